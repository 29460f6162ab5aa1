/* The rate is that of the last seconds, not of the whole transfer, and no figure is shown
 * before it means something. Clocks are given by hand. */
#include "meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MB 1000000ULL

/* Feeds a steady rate from `from` ms on, every 100 ms. Returns the bytes at the end. */
static uint64_t feed(struct meter *m, uint64_t from, uint64_t to, uint64_t bytes,
                     uint64_t per_second)
{
    for (uint64_t t = from + 100; t <= to; t += 100) {
        bytes += per_second / 10;
        meter_add(m, t, bytes);
    }
    return bytes;
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 5000);
    assert_int_equal(meter_rate(&m), 0);
    assert_int_equal(meter_eta_ms(&m, 100), -1);
    meter_add(&m, 5000 + METER_WARMUP_MS - 1, MB);
    assert_int_equal(meter_rate(&m), 0);
    meter_add(&m, 5000 + METER_WARMUP_MS, MB);
    assert_int_equal(meter_rate(&m), MB * 1000 / METER_WARMUP_MS);
}

static void steady_is_exact(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 0);
    uint64_t bytes = feed(&m, 0, 60000, 0, 100 * MB);
    assert_int_equal(bytes, 6000 * MB);
    assert_int_equal(meter_rate(&m), 100 * MB);
    assert_int_equal(meter_eta_ms(&m, 7000 * MB), 10000);
    assert_int_equal(meter_eta_ms(&m, bytes), 0);
}

static void an_old_rate_is_forgotten(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 0);
    uint64_t bytes = feed(&m, 0, 60000, 0, 100 * MB);
    /* One window and a sample later only the new rate is left. */
    feed(&m, 60000, 60000 + METER_WINDOW_MS + 2 * METER_SPACING_MS, bytes, 10 * MB);
    assert_int_equal(meter_rate(&m), 10 * MB);
}

static void a_stall_shows(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 0);
    uint64_t bytes = feed(&m, 0, 20000, 0, 100 * MB);
    feed(&m, 20000, 24000, bytes, 0);
    assert_true(meter_rate(&m) < 60 * MB);
    feed(&m, 24000, 40000, bytes, 0);
    assert_int_equal(meter_rate(&m), 0);
    assert_int_equal(meter_eta_ms(&m, bytes + MB), -1);
}

static void a_total_that_was_wrong_has_no_eta(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 0);
    uint64_t bytes = feed(&m, 0, 10000, 0, MB);
    assert_int_equal(meter_eta_ms(&m, 0), -1);
    assert_int_equal(meter_eta_ms(&m, bytes - 1), -1);
}

static void seldom_looked_at_is_right_too(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 0);
    meter_add(&m, 30000, 30 * MB);
    meter_add(&m, 60000, 90 * MB);
    assert_int_equal(meter_rate(&m), 2 * MB);
}

static void going_back_starts_anew(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, 0);
    feed(&m, 0, 10000, 0, 100 * MB);
    meter_add(&m, 10100, 5);
    assert_int_equal(meter_rate(&m), 0);
    meter_add(&m, 11100, 5 + MB);
    assert_int_equal(meter_rate(&m), MB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(steady_is_exact),
        cmocka_unit_test(an_old_rate_is_forgotten),
        cmocka_unit_test(a_stall_shows),
        cmocka_unit_test(a_total_that_was_wrong_has_no_eta),
        cmocka_unit_test(seldom_looked_at_is_right_too),
        cmocka_unit_test(going_back_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
