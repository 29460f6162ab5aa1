/* A scope's deadline cancels it with -FERRY_ETIMEDOUT at that millisecond: not before, not
 * after the scope was joined, and not over a cancel that came first. */
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
static FERRY_CO int waits(void *arg)
{
    int *got = arg;
    *got = ferry_sleep(1000);
    return *got;
}

static FERRY_CO int children_are_told(void *arg)
{
    int got[2] = {1, 1};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, 30);
    for (int i = 0; i < 2; i++)
        fake_equal(ferry_spawn(&s, "waits", waits, &got[i]), 0);
    fake_equal(ferry_scope_join(&s), -FERRY_ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        fake_equal(got[i], -FERRY_ETIMEDOUT);
    fake_equal(ferry_loop_now(ferry_self_loop()), 30);
    return 0;
}

static FERRY_CO int moves_and_goes(void *arg)
{
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, 10);
    fake_equal(ferry_sleep(9), 0);
    ferry_scope_deadline(&s, 10); /* from now: at 19 */
    fake_equal(ferry_sleep(9), 0);
    ferry_scope_deadline(&s, 0);
    fake_equal(ferry_sleep(1000), 0);
    ferry_scope_deadline(&s, UINT64_MAX); /* no end, not one that wrapped */
    fake_equal(ferry_sleep(1000), 0);
    fake_equal(ferry_scope_join(&s), 0);
    return 0;
}

/* The timer of a joined scope, which lies on a stack that is gone, never fires. */
static FERRY_CO int for_a_while(void *arg)
{
    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, 10);
    int r = ferry_sleep(5);
    fake_equal(ferry_scope_join(&s), 0);
    *(int *)arg = r;
    return 0;
}

static FERRY_CO int ends_with_the_scope(void *arg)
{
    int got = 1;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "a while", for_a_while, &got), 0);
    fake_equal(ferry_sleep(100), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(got, 0);
    return 0;
}

static FERRY_CO int the_first_code_stays(void *arg)
{
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, 10);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    fake_equal(ferry_sleep(20), 0); /* the deadline passes meanwhile */
    fake_equal(ferry_scope_join(&shield), 0);
    fake_equal(ferry_cancelled(), -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&s), 0);
    return 0;
}

/* The nearest of several deadlines is the one that is told. */
static FERRY_CO int the_outer_may_be_nearer(void *arg)
{
    ferry_scope outer, inner;
    (void)arg;
    ferry_scope_open(&outer, 0);
    ferry_scope_deadline(&outer, 10);
    ferry_scope_open(&inner, 0);
    ferry_scope_deadline(&inner, 20);
    fake_equal(ferry_sleep(100), -FERRY_ETIMEDOUT);
    fake_equal(ferry_loop_now(ferry_self_loop()), 10);
    fake_equal(ferry_scope_join(&inner), 0);
    fake_equal(ferry_scope_join(&outer), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(children_are_told),       TEST_IN_TASK(moves_and_goes),
        TEST_IN_TASK(ends_with_the_scope),     TEST_IN_TASK(the_first_code_stays),
        TEST_IN_TASK(the_outer_may_be_nearer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
