/* A task whose scope is cancelled between its spawn and its first instruction runs, so that
 * it can clean up, but its first wait fails; one that is spawned later never runs.
 *
 *      test                      child
 *      spawn child               (ready)
 *      cancel scope
 *      join: parks ------------> starts, parks: -ECANCELED
 *      spawn: -ECANCELED         (never made)
 */
#include "harness/fake.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct seen {
    bool ran;
    int first;
};

static FERRY_CO int child(void *arg)
{
    struct seen *s = arg;
    s->ran = true;
    s->first = ferry_sleep(1000);
    return s->first;
}

static FERRY_CO int cancel_at_once(void *arg)
{
    struct seen early = {0}, late = {0};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "early", child, &early), 0);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    fake_equal(ferry_spawn(&s, "late", child, &late), -FERRY_ECANCELED);
    fake_check(!early.ran);

    fake_equal(ferry_scope_join(&s), -FERRY_ECANCELED);
    fake_check(early.ran);
    fake_equal(early.first, -FERRY_ECANCELED);
    fake_check(!late.ran);
    fake_equal(ferry_loop_now(ferry_self_loop()), 0);
    return 0;
}

/* The cancel may come even before the scope has any task: it is latched. */
static FERRY_CO int cancel_an_empty_scope(void *arg)
{
    struct seen never = {0};
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    ferry_scope_cancel(&s, -FERRY_ETIMEDOUT);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    fake_equal(ferry_spawn(&s, "never", child, &never), -FERRY_ETIMEDOUT);
    fake_equal(ferry_cancelled(), -FERRY_ETIMEDOUT);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(ferry_cancelled(), 0);
    fake_check(!never.ran);
    return 0;
}

static FERRY_CO int reads_ancestors(void *arg)
{
    struct seen *s = arg;
    ferry_scope inner;
    ferry_scope_open(&inner, 0);
    s->ran = true;
    s->first = ferry_spawn(&inner, "grandchild", child, s);
    return ferry_scope_join(&inner);
}

/* So may that of an ancestor: nothing is spawned two levels further down. */
static FERRY_CO int cancel_an_ancestor(void *arg)
{
    struct seen seen = {0};
    ferry_scope outer, inner;
    (void)arg;
    ferry_scope_open(&outer, 0);
    ferry_scope_open(&inner, 0);
    fake_equal(ferry_spawn(&inner, "child", reads_ancestors, &seen), 0);
    ferry_scope_cancel(&outer, -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&inner), 0);
    fake_equal(ferry_scope_join(&outer), 0);
    fake_equal(seen.first, -FERRY_ECANCELED);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(cancel_at_once),
        TEST_IN_TASK(cancel_an_empty_scope),
        TEST_IN_TASK(cancel_an_ancestor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
