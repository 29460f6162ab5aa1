/* Rate and time left over a sliding window; see meter.h. */
#include "meter.h"

#include <string.h>

void meter_init(struct meter *m, uint64_t now_ms)
{
    memset(m, 0, sizeof *m);
    m->sample[0].ms = now_ms;
    m->count = 1;
    m->last_ms = now_ms;
}

void meter_add(struct meter *m, uint64_t now_ms, uint64_t bytes)
{
    if (bytes < m->last_bytes) {
        meter_init(m, now_ms);
        m->sample[0].bytes = m->last_bytes = bytes;
        return;
    }
    m->last_ms = now_ms;
    m->last_bytes = bytes;

    /* Samples closer together than the spacing would push the window's start out. */
    unsigned newest = (m->first + m->count - 1) % METER_SAMPLES;
    if (now_ms - m->sample[newest].ms < METER_SPACING_MS)
        return;
    if (m->count == METER_SAMPLES) {
        m->first = (m->first + 1) % METER_SAMPLES;
        m->count--;
    }
    unsigned slot = (m->first + m->count++) % METER_SAMPLES;
    m->sample[slot].ms = now_ms;
    m->sample[slot].bytes = bytes;

    /* One sample from before the window's start stays: it is where the window begins. */
    while (m->count > 2 &&
           now_ms - m->sample[(m->first + 1) % METER_SAMPLES].ms >= METER_WINDOW_MS) {
        m->first = (m->first + 1) % METER_SAMPLES;
        m->count--;
    }
}

uint64_t meter_rate(const struct meter *m)
{
    uint64_t ms = m->last_ms - m->sample[m->first].ms;
    if (ms < METER_WARMUP_MS)
        return 0;
    uint64_t bytes = m->last_bytes - m->sample[m->first].bytes;
    return (uint64_t)((double)bytes * 1000 / (double)ms);
}

int64_t meter_eta_ms(const struct meter *m, uint64_t total)
{
    uint64_t rate = meter_rate(m);
    if (total == 0 || rate == 0 || m->last_bytes > total)
        return -1;
    return (int64_t)((double)(total - m->last_bytes) * 1000 / (double)rate);
}
