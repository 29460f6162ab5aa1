/* Progress of a transfer, and its stall timeout: a task that copies the counts to the op ten times a second, and works
 * out the rate over a few seconds. */
#ifndef FERRY_API_METER_H
#define FERRY_API_METER_H

#include "api/internal.h"

#define FERRY_METER_TICK_MS 100
#define FERRY_METER_WINDOW 32 /* ticks: a rate over 3.2 s is steady and still moves */

typedef struct ferry_meter {
    ferry_op *op;
    /* Bytes moved so far, and in all (0: unknown). */
    void (*read)(void *arg, uint64_t *ret_bytes, uint64_t *ret_total);
    void *arg;

    uint32_t stall_ms; /* the op's scope is cancelled when bytes stand still so long; 0: never */
    bool stalled; /* ... which has happened */
    bool patient; /* all is sent: a commit may take its time */
    bool paced;   /* it waits, as the user wished (pace.h) */

    ferry_scope scope;
    uint64_t moved_ms; /* when bytes last changed */
    uint64_t moved;
    uint64_t bytes[FERRY_METER_WINDOW];
    uint64_t at_ms[FERRY_METER_WINDOW];
    unsigned ticks;
} ferry_meter;

/* From here to _stop the meter runs in the calling task's scope. Only progress depends on it:
 * without memory there is none. */
FERRY_CO void ferry_meter_start(ferry_meter *m);
FERRY_CO void ferry_meter_stop(ferry_meter *m);

/* The code of a transfer that ended with r, and if it was the meter that ended it, the error. */
int ferry_meter_verdict(const ferry_meter *m, int r, const char *where,
                        const char *what, ferry_error *e);

#endif
