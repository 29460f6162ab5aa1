/* Ops in flight; see pump.h. */
#include "pump.h"

#include <string.h>

/* Files that are gone sooner would only flicker. */
#define ROW_AFTER_MS 500

static void unlink_task(struct pump *p, struct pump_task *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        p->tasks = t->next;
    if (t->next)
        t->next->prev = t->prev;
    p->active--;
}

/* From ferry_ctx_dispatch(), so on this thread, inside session_turn(). */
static void on_done(ferry_op *op, void *user)
{
    struct pump_task *t = user;
    struct pump *p = t->pump;
    ferry_error e = {0};
    int r = ferry_op_error(op, &e);
    if (session_is_over(r))
        p->over = true;
    unlink_task(p, t);
    t->done(t, r, &e);
    ferry_op_free(op);
}

void pump_add(struct pump *p, struct pump_task *t)
{
    t->pump = p;
    t->shown.started_ms = progress_now_ms();
    meter_init(&t->shown.meter, t->shown.started_ms);
    t->prev = NULL;
    t->next = p->tasks;
    if (t->next)
        t->next->prev = t;
    p->tasks = t;
    p->active++;
    session_started(p->s, t->op);
    ferry_op_on_done(t->op, on_done, t);
}

void pump_run(struct pump *p)
{
    for (;;) {
        while (p->active < PUMP_MAX && !p->over && !session_stopping(p->s) &&
               p->next(p, p->user))
            ;
        if (p->active == 0)
            return;
        session_turn(p->s);
    }
}

bool pump_any_in(const struct pump *p, const char *phase)
{
    for (const struct pump_task *t = p->tasks; t; t = t->next) {
        ferry_progress progress = {.phase = ""};
        ferry_op_poll(t->op, &progress);
        if (!strcmp(progress.phase, phase))
            return true;
    }
    return false;
}

uint64_t pump_bytes(const struct pump *p)
{
    uint64_t bytes = 0;
    for (const struct pump_task *t = p->tasks; t; t = t->next) {
        ferry_progress progress = {0};
        ferry_op_poll(t->op, &progress);
        bytes += progress.bytes;
    }
    return bytes;
}

static void fill_row(struct pump_task *t, uint64_t now, struct progress_row *ret)
{
    struct pump_shown *w = &t->shown;
    ferry_progress progress = {0};
    ferry_op_poll(t->op, &progress);
    meter_add(&w->meter, now, progress.bytes);
    *ret = (struct progress_row){.label = w->label,
                                 .bytes = progress.bytes,
                                 .total = w->total,
                                 .rate = meter_rate(&w->meter),
                                 .eta_ms = meter_eta_ms(&w->meter, w->total),
                                 .elapsed_ms = now - w->started_ms};
}

unsigned pump_rows(struct pump *p, uint64_t now_ms, struct progress_row *ret)
{
    unsigned n = 0;
    struct pump_task *oldest = p->tasks;
    while (oldest && oldest->next)
        oldest = oldest->next;
    for (struct pump_task *t = oldest; t && n < PROGRESS_ROWS; t = t->prev)
        if (t->shown.label && now_ms - t->shown.started_ms >= ROW_AFTER_MS)
            fill_row(t, now_ms, &ret[n++]);
    return n;
}
