/* The meter: see meter.h. */
#include "api/meter.h"

static void tick(ferry_meter *m)
{
    uint64_t bytes = 0, total = 0, now = ferry_loop_now(ferry_self_loop());
    m->read(m->arg, &bytes, &total);
    unsigned i = m->ticks % FERRY_METER_WINDOW;
    unsigned oldest = m->ticks < FERRY_METER_WINDOW ? 0 : (i + 1) % FERRY_METER_WINDOW;
    m->bytes[i] = bytes;
    m->at_ms[i] = now;
    m->ticks++;

    uint64_t ms = now - m->at_ms[oldest];
    atomic_store(&m->op->total, total);
    atomic_store(&m->op->bytes, bytes);
    if (ms > 0)
        atomic_store(&m->op->rate, (bytes - m->bytes[oldest]) * 1000 / ms);
}

static void check_stall(ferry_meter *m)
{
    uint64_t now = ferry_loop_now(ferry_self_loop());
    uint64_t bytes = atomic_load(&m->op->bytes);
    if (bytes != m->moved || m->paced) {
        m->moved = bytes;
        m->moved_ms = now;
    }
    if (!m->stall_ms || m->stalled || m->patient || now - m->moved_ms < m->stall_ms)
        return;
    m->stalled = true;
    if (m->op->scope)
        ferry_scope_cancel(m->op->scope, -FERRY_ETIMEDOUT);
}

static FERRY_CO int run_meter(void *arg)
{
    ferry_meter *m = arg;
    do {
        tick(m);
        check_stall(m);
    } while (ferry_sleep(FERRY_METER_TICK_MS) == 0);
    return 0;
}

void ferry_meter_start(ferry_meter *m)
{
    m->moved_ms = ferry_loop_now(ferry_self_loop());
    ferry_scope_open(&m->scope, FERRY_SCOPE_SUPERVISE);
    ferry_spawn(&m->scope, "meter", run_meter, m);
}

void ferry_meter_stop(ferry_meter *m)
{
    ferry_scope_cancel(&m->scope, -FERRY_ECANCELED);
    ferry_scope_join(&m->scope);
    tick(m);
}

int ferry_meter_verdict(const ferry_meter *m, int r, const char *where,
                        const char *what, ferry_error *e)
{
    if (r != -FERRY_ETIMEDOUT || !m->stalled)
        return r;
    return ferry_fail(e, r, where, "%s: nothing has moved for %u ms", what, m->stall_ms);
}
