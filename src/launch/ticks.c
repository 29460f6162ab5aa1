/* Measuring the host's time stamp counter: see ticks.h. Nothing else in the process says how fast
 * it is. */
#include "launch/ticks.h"

#include <stdatomic.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>

/* Both clocks are read within some 50 ns, unless the thread is put aside in between. */
#define SPAN_NS 1000000
#define TRIES 8

struct moment {
    uint64_t ticks, ns;
};

/* Of several readings the one that took the fewest ticks. RAW: nobody slews it. */
static struct moment look(void)
{
    struct moment best = {0};
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        struct timespec t;
        uint64_t before = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &t);
        uint64_t took = __rdtsc() - before;
        if (took < least) {
            least = took;
            best.ticks = before + took / 2;
            best.ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
        }
    }
    return best;
}

static uint32_t measure(void)
{
    struct moment from = look(), to;
    do { /* a signal may end it early */
        nanosleep(&(struct timespec){.tv_nsec = SPAN_NS}, NULL);
        to = look();
    } while (to.ns - from.ns < SPAN_NS);
    return (uint32_t)((double)(to.ticks - from.ticks) * 1e6 / (double)(to.ns - from.ns));
}

#else

static uint32_t measure(void)
{
    return 0;
}

#endif

uint32_t ferry_ticks_khz(void)
{
    static _Atomic uint32_t known;
    uint32_t khz = atomic_load_explicit(&known, memory_order_relaxed);
    if (khz == 0) {
        khz = measure();
        atomic_store_explicit(&known, khz, memory_order_relaxed);
    }
    return khz;
}

/* 1 % of what today's counters run at. */
#define CLASS_KHZ 32000

uint32_t ferry_ticks_class(uint32_t khz)
{
    return (khz + CLASS_KHZ / 2) / CLASS_KHZ;
}
