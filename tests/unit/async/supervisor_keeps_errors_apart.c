/* In the supervising scope that holds a VM's ops, one op's failure is its own: the others go
 * on and the join succeeds. A cancel of the scope still reaches all. */
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
static FERRY_CO int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static FERRY_CO int wait_long(void *arg)
{
    int *got = arg;
    *got = ferry_sleep(1000);
    return *got;
}

static FERRY_CO int failures_stay_where_they_are(void *arg)
{
    int got = 1;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, FERRY_SCOPE_SUPERVISE);
    fake_equal(ferry_spawn(&s, "waits", wait_long, &got), 0);
    fake_equal(ferry_spawn(&s, "fails", fails, NULL), 0);
    fake_equal(ferry_yield(), 0);
    fake_equal(ferry_spawn(&s, "fails too", fails, NULL), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(got, 0);
    fake_equal(ferry_loop_now(ferry_self_loop()), 1000);
    return 0;
}

static FERRY_CO int a_cancel_reaches_all(void *arg)
{
    int got[3] = {1, 1, 1};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, FERRY_SCOPE_SUPERVISE);
    for (int i = 0; i < 3; i++)
        fake_equal(ferry_spawn(&s, "waits", wait_long, &got[i]), 0);
    fake_equal(ferry_yield(), 0);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&s), 0);
    for (int i = 0; i < 3; i++)
        fake_equal(got[i], -FERRY_ECANCELED);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(failures_stay_where_they_are),
        TEST_IN_TASK(a_cancel_reaches_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
