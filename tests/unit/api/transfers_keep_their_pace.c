/* A limit on the rate holds for all transfers together, to the millisecond of a clock that only the test
 * moves: one alone takes its bytes' time, two share, idle time is no credit, a rate that is set meanwhile
 * counts at once, and a cancel is heard. */
#include "api/meter.h"
#include "api/pace.h"
#include "harness/fake.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct transfer {
    ferry_pace *pace;
    ferry_meter meter;
    uint64_t piece, pieces;
    uint64_t ended_ms;
    int code;
};

static FERRY_CO int run(void *arg)
{
    struct transfer *t = arg;
    for (uint64_t i = 0; i < t->pieces && t->code == 0; i++)
        t->code = ferry_pace_pay(t->pace, &t->meter, t->piece);
    t->ended_ms = ferry_loop_now(ferry_self_loop());
    return 0;
}

/* All of them at once. How long it took. */
static FERRY_CO uint64_t run_all(struct transfer *t, unsigned n)
{
    ferry_scope s;
    uint64_t started = ferry_loop_now(ferry_self_loop());
    ferry_scope_open(&s, 0);
    for (unsigned i = 0; i < n; i++)
        fake_equal(ferry_spawn(&s, "transfer", run, &t[i]), 0);
    fake_equal(ferry_scope_join(&s), 0);
    return ferry_loop_now(ferry_self_loop()) - started;
}

/* Rounded up to a millisecond at each piece, so never sooner than it should be. */
static void took(uint64_t ms, uint64_t least, uint64_t pieces)
{
    fake_check(ms >= least);
    fake_check(ms <= least + pieces + 1);
}

static FERRY_CO int without_a_limit_nothing_waits(void *arg)
{
    ferry_pace p = {0};
    struct transfer t = {.pace = &p, .piece = UINT32_MAX, .pieces = 1000};
    (void)arg;
    fake_equal(run_all(&t, 1), 0);
    fake_equal(t.code, 0);
    fake_check(ferry_pace_piece(&p) == SIZE_MAX);
    return 0;
}

static FERRY_CO int bytes_take_their_time(void *arg)
{
    static const uint64_t rates[] = {1, 7, 1000, 300000, 1 << 30, 1ULL << 40};
    (void)arg;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        ferry_pace p = {.rate = rates[i]};
        struct transfer t = {.pace = &p, .piece = rates[i], .pieces = 20};
        took(run_all(&t, 1), 20000, 20);
    }
    return 0;
}

static FERRY_CO int several_share_it(void *arg)
{
    ferry_pace p = {.rate = 1000};
    struct transfer t[3] = {{.pace = &p, .piece = 100, .pieces = 20},
                            {.pace = &p, .piece = 100, .pieces = 20},
                            {.pace = &p, .piece = 100, .pieces = 2}};
    (void)arg;
    took(run_all(t, 3), 4200, 42);
    /* Piece by piece: the short one does not wait for the long ones. */
    took(t[2].ended_ms, 600, 6);
    fake_check(t[0].ended_ms - t[1].ended_ms + 101 <= 202);
    return 0;
}

static FERRY_CO int idle_time_is_no_credit(void *arg)
{
    ferry_pace p = {.rate = 1000};
    struct transfer t = {.pace = &p, .piece = 100, .pieces = 10};
    (void)arg;
    took(run_all(&t, 1), 1000, 10);
    fake_equal(ferry_sleep(3600 * 1000), 0);
    took(run_all(&t, 1), 1000, 10);
    return 0;
}

struct change {
    ferry_pace *pace;
    uint64_t rate;
};

static FERRY_CO int change(void *arg)
{
    struct change *c = arg;
    fake_equal(ferry_sleep(1000), 0);
    atomic_store(&c->pace->rate, c->rate);
    return 0;
}

static FERRY_CO int a_new_rate_counts_at_once(void *arg)
{
    (void)arg;
    for (uint64_t rate = 0; rate <= 50000; rate += 50000) {
        ferry_pace p = {.rate = 1000};
        struct transfer t = {.pace = &p, .piece = 51000, .pieces = 1};
        struct change c = {&p, rate};
        ferry_scope s;
        ferry_scope_open(&s, 0);
        fake_equal(ferry_spawn(&s, "change", change, &c), 0);
        uint64_t ms = run_all(&t, 1);
        fake_equal(ferry_scope_join(&s), 0);
        took(ms, rate ? 1900 : 1000, 100);
    }
    return 0;
}

static FERRY_CO int stop(void *arg)
{
    struct transfer *t = arg;
    fake_equal(ferry_sleep(500), 0);
    fake_check(t->meter.paced); /* so that it is no stall */
    return -FERRY_ECANCELED;    /* ends its sibling */
}

static FERRY_CO int a_cancel_is_heard(void *arg)
{
    ferry_pace p = {.rate = 1};
    struct transfer t = {.pace = &p, .piece = 1 << 20, .pieces = 1};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "transfer", run, &t), 0);
    fake_equal(ferry_spawn(&s, "stop", stop, &t), 0);
    fake_equal(ferry_scope_join(&s), -FERRY_ECANCELED);
    fake_equal(t.code, -FERRY_ECANCELED);
    fake_equal(t.ended_ms, 500);
    fake_check(!t.meter.paced);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(without_a_limit_nothing_waits),
        TEST_IN_TASK(bytes_take_their_time),
        TEST_IN_TASK(several_share_it),
        TEST_IN_TASK(idle_time_is_no_credit),
        TEST_IN_TASK(a_new_rate_counts_at_once),
        TEST_IN_TASK(a_cancel_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
