/* Bytes over time: the rate over a window, and what it says of the time left. Pure
 * arithmetic on clocks that are passed in; progress.c feeds it, tests feed it by hand. */
#ifndef GFERRY_METER_H
#define GFERRY_METER_H

#include <stdint.h>

/* Long enough to smooth a guest's write-back bursts, short enough that a stall shows. */
#define METER_WINDOW_MS 8000
/* Samples kept: at most 4 a second over the window, and one beyond it. */
#define METER_SAMPLES 34
#define METER_SPACING_MS (METER_WINDOW_MS / (METER_SAMPLES - 2))
/* No rate before this much time has been seen: the first figures jump. */
#define METER_WARMUP_MS 500

struct meter {
    struct {
        uint64_t ms, bytes;
    } sample[METER_SAMPLES];
    unsigned first, count;
    uint64_t last_ms, last_bytes; /* the newest observation, kept or not */
};

void meter_init(struct meter *m, uint64_t now_ms);
/* bytes: the total moved so far. If it goes back (a restart) the window starts anew. */
void meter_add(struct meter *m, uint64_t now_ms, uint64_t bytes);
/* Bytes per second over the window; 0 while unknown, and when nothing moves. */
uint64_t meter_rate(const struct meter *m);
/* Milliseconds until `total`, at that rate; -1 while unknown. */
int64_t meter_eta_ms(const struct meter *m, uint64_t total);

#endif
