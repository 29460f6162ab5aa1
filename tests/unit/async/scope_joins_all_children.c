/* A scope does not close before its last child has ended, whatever happens meanwhile: a
 * cancel, a deadline, children that spawn more children, children that clean up slowly. */
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
struct tree {
    ferry_scope *scope;
    int left; /* levels to spawn */
    int *ended;
};

static FERRY_CO int slow_leaf(void *arg)
{
    int *ended = arg;
    ferry_scope cleanup;
    ferry_sleep(5);
    ferry_scope_open(&cleanup, FERRY_SCOPE_SHIELD);
    ferry_sleep(100);
    ferry_scope_join(&cleanup);
    ++*ended;
    return 0;
}

static FERRY_CO int all_have_ended(void *arg)
{
    enum { N = 300 }; /* more than the pool keeps stacks */
    int ended = 0;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    for (int i = 0; i < N; i++)
        fake_equal(ferry_spawn(&s, "leaf", slow_leaf, &ended), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(ended, N);
    fake_equal(ferry_loop_now(ferry_self_loop()), 105);
    return 0;
}

/* The cancel shortens the children's waits, not the join's. */
static FERRY_CO int cleanup_is_awaited(void *arg)
{
    int ended = 0;
    ferry_scope outer, s;
    (void)arg;
    ferry_scope_open(&outer, 0);
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "leaf", slow_leaf, &ended), 0);
    ferry_scope_cancel(&outer, -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(ended, 1);
    fake_equal(ferry_scope_join(&outer), 0);
    fake_equal(ferry_loop_now(ferry_self_loop()), 100);
    return 0;
}

static FERRY_CO int branch(void *arg)
{
    struct tree t = *(struct tree *)arg;
    t.left--;
    if (t.left > 0) {
        /* Siblings of its own, while somebody already waits in the join. */
        fake_equal(ferry_spawn(t.scope, "left", branch, &t), 0);
        fake_equal(ferry_spawn(t.scope, "right", branch, &t), 0);
        fake_equal(ferry_sleep(1), 0); /* t is on this stack */
    }
    ++*t.ended;
    return 0;
}

static FERRY_CO int late_siblings_are_awaited(void *arg)
{
    int ended = 0;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    struct tree t = {&s, 6, &ended};
    fake_equal(ferry_spawn(&s, "root", branch, &t), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(ended, (1 << 6) - 1);
    return 0;
}

static FERRY_CO int nest(void *arg)
{
    int *depth = arg;
    ferry_scope s;
    if (--*depth == 0)
        return -EXDEV;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "deeper", nest, depth), 0);
    return ferry_scope_join(&s);
}

/* Scopes inside scopes, each in a task of its own; the innermost error comes out. */
static FERRY_CO int deep_trees_are_joined(void *arg)
{
    int depth = 200;
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "nest", nest, &depth), 0);
    fake_equal(ferry_scope_join(&s), -EXDEV);
    fake_equal(depth, 0);
    return 0;
}

static void note_empty(ferry_scope *s)
{
    s->error = -EOWNERDEAD; /* somewhere to write it */
}

static FERRY_CO int root_tells_when_empty(void *arg)
{
    int ended = 0;
    ferry_scope root;
    (void)arg;
    ferry_scope_open_root(&root, ferry_self_loop(), NULL, FERRY_SCOPE_SUPERVISE);
    root.empty = note_empty;
    fake_equal(ferry_spawn(&root, "a", slow_leaf, &ended), 0);
    fake_equal(ferry_spawn(&root, "b", slow_leaf, &ended), 0);
    fake_equal(ferry_sleep(104), 0);
    fake_equal(root.error, 0);
    fake_equal(ferry_sleep(2), 0);
    fake_equal(ended, 2);
    fake_equal(root.error, -EOWNERDEAD);
    ferry_scope_done(&root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(all_have_ended),
        TEST_IN_TASK(cleanup_is_awaited),
        TEST_IN_TASK(late_siblings_are_awaited),
        TEST_IN_TASK(deep_trees_are_joined),
        TEST_IN_TASK(root_tells_when_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
