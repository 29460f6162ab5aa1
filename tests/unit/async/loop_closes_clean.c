/* Our handles come and go on a loop of the caller's without a trace: idle ones (an open pipe,
 * a watched child, a poll) do not keep uv_run() from returning, a hold does; the close is
 * complete only when closing handles, dying children and hung reads are; and a second
 * ferry_loop on the same uv_loop lives its own life. */
#include "async/pipe.h"
#include "async/poll.h"
#include "async/process.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static void note_closed(void *arg)
{
    ++*(int *)arg;
}

static void assert_empty(uv_loop_t *uv)
{
    int r = uv_loop_close(uv);
    if (r < 0)
        uv_print_all_handles(uv, stderr);
    assert_int_equal(r, 0);
}

static void at_once(void **state)
{
    uv_loop_t uv;
    ferry_loop *loop[3];
    int closed = 0;
    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ferry_loop_new(&uv, &loop[i]), 0);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0); /* nothing holds it */
    for (int i = 0; i < 3; i++)
        ferry_loop_close(loop[i], note_closed, &closed);
    assert_int_equal(closed, 0); /* in a later turn */
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(closed, 3);
    assert_empty(&uv);
}

struct idle {
    ferry_link *link;
    ferry_poll *poll;
    ferry_process *process;
    int pair[2];
};

static FERRY_CO int open_all(void *arg)
{
    struct idle *i = arg;
    ferry_loop *loop = ferry_self_loop();
    const char *argv[] = {"sleep", "1000", NULL};
    const int fds[] = {-1, -1, -1};
    ferry_process_opts o = {.path = "sleep", .argv = argv, .fds = fds, .nfds = 3};
    int r = ferry_pipe_open(loop, i->pair[0], 3, 0, &i->link);
    if (r == 0)
        r = ferry_poll_open(loop, i->pair[1], &i->poll);
    if (r == 0)
        r = ferry_process_spawn(loop, &o, &i->process);
    ferry_loop_release(loop);
    return r;
}

static void idle_handles_do_not_hold(void **state)
{
    uv_loop_t uv;
    ferry_loop *loop;
    ferry_scope root;
    struct idle i = {0};
    int closed = 0;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, i.pair), 0);
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_loop_new(&uv, &loop), 0);
    ferry_loop_hold(loop);
    ferry_scope_open_root(&root, loop, NULL, 0);
    assert_int_equal(ferry_spawn(&root, "open", open_all, &i), 0);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(root.error, 0);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0); /* returns, though all are open */
    ferry_loop_hold(loop);
    ferry_loop_hold(loop);
    ferry_loop_release(loop);
    assert_int_equal(uv_run(&uv, UV_RUN_NOWAIT), 1); /* alive */
    ferry_loop_release(loop);
    assert_int_equal(uv_run(&uv, UV_RUN_NOWAIT), 0);

    /* Everything is closing, nothing is closed: the loop goes last. */
    ferry_scope_done(&root);
    ferry_link_close(i.link);
    ferry_poll_close(i.poll);
    ferry_process_free(i.process);
    ferry_loop_close(loop, note_closed, &closed);
    close(i.pair[1]);
    while (uv_run(&uv, UV_RUN_ONCE))
        ;
    assert_int_equal(closed, 1);
    assert_empty(&uv);
}

/* The caller's own handles go on through all of it. */
struct tick {
    uv_timer_t timer;
    int left, loops;
};

static void on_tick(uv_timer_t *t)
{
    struct tick *k = ferry_container(t, struct tick, timer);
    ferry_loop *loop;
    assert_int_equal(ferry_loop_new(t->loop, &loop), 0);
    ferry_loop_close(loop, note_closed, &k->loops); /* inside a callback of theirs */
    if (--k->left == 0)
        uv_close((uv_handle_t *)t, NULL);
}

static void inside_the_callers_callbacks(void **state)
{
    uv_loop_t uv;
    struct tick k = {.left = 20};
    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    uv_timer_init(&uv, &k.timer);
    uv_timer_start(&k.timer, on_tick, 0, 1);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(k.loops, 20);
    assert_empty(&uv);
}

/* A kick that is on its way when the loop closes is told to nobody. */
static void must_not(void *arg)
{
    (void)arg;
    abort();
}

static void a_late_kick_is_dropped(void **state)
{
    uv_loop_t uv;
    ferry_loop *loop;
    int closed = 0;
    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_loop_new(&uv, &loop), 0);
    ferry_loop_on_kick(loop, must_not, NULL);
    ferry_loop_kick(loop);
    ferry_loop_close(loop, note_closed, &closed);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(closed, 1);
    assert_empty(&uv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once),
        cmocka_unit_test(idle_handles_do_not_hold),
        cmocka_unit_test(inside_the_callers_callbacks),
        cmocka_unit_test(a_late_kick_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
