/* However often a parked task is woken before it runs, it runs once; a wake of a running or
 * ready task is nothing; a spurious wake ends no wait. */
#include "async/sync.h"
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
struct sleeper {
    ferry_task *task;
    int parks, slept;
};

static FERRY_CO int counts_parks(void *arg)
{
    struct sleeper *s = arg;
    s->task = ferry_self();
    ferry_wake(s->task); /* itself: nothing is owed to the park that follows */
    for (;;) {
        int r = ferry_park();
        if (r < 0)
            return 0;
        s->parks++;
    }
}

static FERRY_CO int wakes_are_one(void *arg)
{
    struct sleeper one = {0};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "parks", counts_parks, &one), 0);
    fake_equal(ferry_yield(), 0);
    fake_equal(one.parks, 0);
    for (int i = 0; i < 1000; i++)
        ferry_wake(one.task);
    for (int i = 0; i < 10; i++)
        fake_equal(ferry_yield(), 0);
    fake_equal(one.parks, 1);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    ferry_wake(one.task);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(one.parks, 1);
    return 0;
}

static FERRY_CO int sleeps(void *arg)
{
    struct sleeper *s = arg;
    s->task = ferry_self();
    s->slept = ferry_sleep(100);
    return 0;
}

static FERRY_CO int spurious_wakes_end_no_wait(void *arg)
{
    struct sleeper one = {.slept = 1};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "sleeps", sleeps, &one), 0);
    for (int i = 0; i < 50; i++) {
        fake_equal(ferry_sleep(1), 0);
        ferry_wake(one.task);
    }
    fake_equal(one.slept, 1);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(one.slept, 0);
    fake_equal(ferry_loop_now(ferry_self_loop()), 100);
    return 0;
}

/* Tasks that are ready run in the order in which they became so; a yield goes to the end. */
static FERRY_CO int logs(void *arg)
{
    char **at = arg;
    char id = ferry_task_name(ferry_self())[0];
    for (int i = 0; i < 3; i++) {
        *(*at)++ = id;
        if (ferry_yield() < 0)
            break;
    }
    return 0;
}

static FERRY_CO int turns_are_taken(void *arg)
{
    char log[10] = "", *at = log;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "a", logs, &at), 0);
    fake_equal(ferry_spawn(&s, "b", logs, &at), 0);
    fake_equal(ferry_spawn(&s, "c", logs, &at), 0);
    fake_equal(ferry_scope_join(&s), 0);
    for (int i = 0; i < 9; i++)
        fake_equal(log[i], "abcabcabc"[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(wakes_are_one),
        TEST_IN_TASK(spurious_wakes_end_no_wait),
        TEST_IN_TASK(turns_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
