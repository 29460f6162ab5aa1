/* Cleanup that waits runs in a shield: an outer cancel is not seen inside, not even by
 * children and inner scopes there, but its own cancel and deadline are; and after the shield
 * the outer cancel is there as before. */
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
static FERRY_CO int sleep_100(void *arg)
{
    int *got = arg;
    *got = ferry_sleep(100);
    return 0;
}

static FERRY_CO int nested(void *arg)
{
    ferry_scope s;
    ferry_scope_open(&s, 0); /* not a shield itself: it stands behind one */
    int r = ferry_spawn(&s, "sleeps", sleep_100, arg);
    fake_equal(r, 0);
    return ferry_scope_join(&s);
}

/*      outer --- shield --- nested --- sleeps
 *        ^cancel before, and again while it sleeps
 */
static FERRY_CO int cleanup_runs_to_its_end(void *arg)
{
    int got = 1;
    ferry_scope outer, shield;
    (void)arg;
    ferry_scope_open(&outer, 0);
    ferry_scope_cancel(&outer, -FERRY_ECANCELED);
    fake_equal(ferry_sleep(1), -FERRY_ECANCELED);

    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    fake_equal(ferry_sleep(10), 0);
    fake_equal(ferry_spawn(&shield, "nested", nested, &got), 0);
    fake_equal(ferry_scope_join(&shield), 0);
    fake_equal(got, 0);
    fake_equal(ferry_loop_now(ferry_self_loop()), 110);

    fake_equal(ferry_sleep(1), -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&outer), 0);
    return 0;
}

struct cleaner {
    int shielded, after;
};

static FERRY_CO int cleans(void *arg)
{
    struct cleaner *c = arg;
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    c->shielded = ferry_sleep(100);
    ferry_scope_join(&shield);
    c->after = ferry_sleep(100);
    return 0;
}

static FERRY_CO int a_cancel_meanwhile_waits(void *arg)
{
    struct cleaner c = {1, 1};
    ferry_scope outer;
    (void)arg;
    ferry_scope_open(&outer, 0);
    fake_equal(ferry_spawn(&outer, "cleans", cleans, &c), 0);
    fake_equal(ferry_sleep(50), 0);
    ferry_scope_cancel(&outer, -FERRY_ETIMEDOUT);
    fake_equal(ferry_scope_join(&outer), 0);
    fake_equal(c.shielded, 0);
    fake_equal(c.after, -FERRY_ETIMEDOUT);
    fake_equal(ferry_loop_now(ferry_self_loop()), 100);
    return 0;
}

static FERRY_CO int its_own_deadline_holds(void *arg)
{
    ferry_scope outer, shield;
    (void)arg;
    ferry_scope_open(&outer, 0);
    ferry_scope_cancel(&outer, -FERRY_ECANCELED);
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&shield, 30);
    fake_equal(ferry_sleep(100), -FERRY_ETIMEDOUT);
    fake_equal(ferry_loop_now(ferry_self_loop()), 30);
    fake_equal(ferry_scope_join(&shield), 0);
    fake_equal(ferry_scope_join(&outer), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(cleanup_runs_to_its_end),
        TEST_IN_TASK(a_cancel_meanwhile_waits),
        TEST_IN_TASK(its_own_deadline_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
