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

static FERRY_CO int run_meter(void *arg)
{
    ferry_meter *m = arg;
    do
        tick(m);
    while (ferry_sleep(FERRY_METER_TICK_MS) == 0);
    return 0;
}

void ferry_meter_start(ferry_meter *m)
{
    ferry_scope_open(&m->scope, FERRY_SCOPE_SUPERVISE);
    ferry_spawn(&m->scope, "meter", run_meter, m);
}

void ferry_meter_stop(ferry_meter *m)
{
    ferry_scope_cancel(&m->scope, -FERRY_ECANCELED);
    ferry_scope_join(&m->scope);
    tick(m);
}
