/* What is told to a guest about its time stamp counter is true of ours, and always the same. */
#include "launch/ticks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#if defined(__x86_64__)
#include <x86intrin.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Over so long a time that no pause between two readings makes a hundredth. */
static void they_count_milliseconds(void **state)
{
    (void)state;
    uint32_t khz = ferry_ticks_khz();
    uint64_t from = __rdtsc();
    double then = now_ms(), outer, inner;
    uint64_t to;
    do {
        inner = now_ms() - then;
        to = __rdtsc();
        outer = now_ms() - then;
    } while (inner < 300 || outer - inner > 1);
    double counted = (double)(to - from) / khz;
    if (counted < inner * 0.99 || counted > (outer + 3) * 1.01)
        fail_msg("%u kHz: %.1f to %.1f ms are %.1f", khz, inner, outer, counted);
    assert_int_equal(ferry_ticks_khz(), khz);
}
#else
static void they_count_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(ferry_ticks_khz(), 0); /* the guest's kernel is not told */
}
#endif

/* Two measurements of one counter make one template. */
static void nearly_the_same_is_the_same(void **state)
{
    (void)state;
    assert_int_equal(ferry_ticks_class(2596112), ferry_ticks_class(2596138));
    assert_int_equal(ferry_ticks_class(2596112), ferry_ticks_class(2590000));
    assert_int_not_equal(ferry_ticks_class(2596112), ferry_ticks_class(2496112));
    assert_int_equal(ferry_ticks_class(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_count_milliseconds),
        cmocka_unit_test(nearly_the_same_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
