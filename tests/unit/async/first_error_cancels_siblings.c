/* One child fails: its siblings are cancelled, the join returns its error and not what the
 * siblings make of the cancel, and the opener itself sees the cancel until it joins. */
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
static FERRY_CO int fail_at(void *arg)
{
    int *when = arg;
    int r = ferry_sleep((uint64_t)*when);
    return r < 0 ? r : -(1000 + *when);
}

static FERRY_CO int wait_long(void *arg)
{
    int *got = arg;
    *got = ferry_sleep(100000);
    return *got;
}

static FERRY_CO int the_first_error_is_the_joins(void *arg)
{
    int late = 20, early = 10, got = 0;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "late", fail_at, &late), 0);
    fake_equal(ferry_spawn(&s, "waits", wait_long, &got), 0);
    fake_equal(ferry_spawn(&s, "early", fail_at, &early), 0);
    fake_equal(ferry_scope_join(&s), -1010);
    fake_equal(got, -FERRY_ECANCELED);
    fake_equal(ferry_loop_now(ferry_self_loop()), 10);
    return 0;
}

/* The opener's own wait, inside the scope, is one of those that are cancelled. */
static FERRY_CO int the_opener_is_told(void *arg)
{
    int when = 10;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "fails", fail_at, &when), 0);
    fake_equal(ferry_sleep(100), -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&s), -1010);
    fake_equal(ferry_cancelled(), 0);
    fake_equal(ferry_sleep(100), 0);
    return 0;
}

/* Nor does it go further: the outer scope hears only what the inner's owner returns. */
static FERRY_CO int inner(void *arg)
{
    int when = 10;
    ferry_scope s;
    ferry_scope_open(&s, 0);
    int r = ferry_spawn(&s, "fails", fail_at, &when);
    fake_equal(r, 0);
    *(int *)arg = ferry_scope_join(&s);
    return 0;
}

static FERRY_CO int outer_scopes_are_untouched(void *arg)
{
    int got = 0;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "inner", inner, &got), 0);
    fake_equal(ferry_sleep(50), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(got, -1010);
    return 0;
}

/* A positive return is no failure. */
static FERRY_CO int positive(void *arg)
{
    (void)arg;
    return 7;
}

static FERRY_CO int success_cancels_nobody(void *arg)
{
    int got = 1;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "positive", positive, NULL), 0);
    fake_equal(ferry_spawn(&s, "waits", wait_long, &got), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(got, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(the_first_error_is_the_joins),
        TEST_IN_TASK(the_opener_is_told),
        TEST_IN_TASK(outer_scopes_are_untouched),
        TEST_IN_TASK(success_cancels_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
