/* A test's body as a task on a fake loop: see fake.h. */
#include "harness/fake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned failures;

bool fake_check_at(bool ok, const char *text, const char *file, int line)
{
    if (!ok) {
        failures++;
        fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
    }
    return ok;
}

bool fake_equal_at(long long a, long long b, const char *text, const char *file,
                   int line)
{
    if (a != b) {
        failures++;
        fprintf(stderr, "%s:%d: %lld != %lld: %s\n", file, line, a, b, text);
    }
    return a == b;
}

struct body {
    int (*fn)(void *arg);
    void *arg;
    int result;
};

/* The result travels beside the scope: a failing body is an answer, not a cancel. */
static FERRY_CO int run_body(void *arg)
{
    struct body *b = arg;
    b->result = b->fn(b->arg);
    return 0;
}

int run_in_task(int (*fn)(void *arg), void *arg)
{
    failures = 0;
    ferry_loop *loop = NULL;
    assert_int_equal(ferry_loop_new_fake(&loop), 0);

    struct body b = {fn, arg, -EINPROGRESS};
    ferry_scope root;
    ferry_scope_open_root(&root, loop, NULL, FERRY_SCOPE_SUPERVISE);
    assert_int_equal(ferry_spawn(&root, "test", run_body, &b), 0);

    if (ferry_loop_run_fake(loop) == -EDEADLK)
        fail_msg("tasks are left that nothing will ever wake");
    ferry_scope_done(&root);
    ferry_loop_close(loop, NULL, NULL);
    if (failures)
        fail_msg("%u checks failed", failures);
    return b.result;
}

void run_body_in_task(void **state)
{
    int (*body)(void *arg) = (int (*)(void *))(uintptr_t)*state;
    assert_int_equal(run_in_task(body, NULL), 0);
}
