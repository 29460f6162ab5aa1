/* The private thread: asynchronous signals are handled by the program's threads and faults
 * by whoever made them, tasks run there, posts reach it while it sleeps, and it ends without
 * a trace, also when the program has no standard streams. */
#include "async/fs.h"
#include "async/pipe.h"
#include "async/process.h"
#include "async/thread.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct visit {
    ferry_post post;
    ferry_thread *thread;
    ferry_loop *loop;
    ferry_scope root;
    sigset_t blocked;
    bool there;
    int result;
};

static void leave(ferry_post *p)
{
    struct visit *v = ferry_container(p, struct visit, post);
    ferry_scope_done(&v->root);
    ferry_loop_close(v->loop, NULL, NULL);
}

static void when_empty(ferry_scope *s)
{
    struct visit *v = ferry_container(s, struct visit, root);
    v->post.run = leave;
    ferry_loop_post(v->loop, &v->post);
}

static FERRY_CO int look_around(void *arg)
{
    struct visit *v = arg;
    v->there = ferry_thread_is_self(v->thread);
    pthread_sigmask(SIG_SETMASK, NULL, &v->blocked);

    /* One of everything that makes a descriptor on the loop. */
    int p[2];
    ferry_link *l = NULL;
    ferry_file *f = NULL;
    v->result = pipe2(p, O_CLOEXEC);
    close(p[1]);
    if (v->result == 0)
        v->result = ferry_pipe_open(v->loop, p[0], FERRY_PIPE_READ, 0, &l);
    ferry_link_close(l);
    if (v->result == 0)
        v->result = ferry_fs_open("/proc/self/exe", O_RDONLY, 0, &f);
    if (v->result == 0)
        ferry_file_unref(f);
    if (v->result == 0)
        v->result = ferry_sleep(1);
    return 0;
}

static void arrive(ferry_post *p)
{
    struct visit *v = ferry_container(p, struct visit, post);
    ferry_scope_open_root(&v->root, v->loop, NULL, FERRY_SCOPE_SUPERVISE);
    v->root.empty = when_empty;
    if (ferry_spawn(&v->root, "look around", look_around, v) < 0)
        abort();
}

static void visit(struct visit *v)
{
    *v = (struct visit){.post = {NULL, arrive}, .result = -1};
    assert_int_equal(ferry_thread_start(&v->thread, &v->loop), 0);
    assert_false(ferry_thread_is_self(v->thread));
    ferry_loop_post(v->loop, &v->post);
    ferry_thread_join(v->thread);
    assert_int_equal(v->result, 0);
    assert_true(v->there);
}

static void signals_are_the_programs(void **state)
{
    struct visit v;
    sigset_t before, after;
    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    visit(&v);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    static const int asynchronous[] = {SIGINT,  SIGTERM, SIGHUP,   SIGCHLD, SIGALRM,
                                       SIGUSR1, SIGPIPE, SIGWINCH, SIGPROF};
    for (size_t i = 0; i < sizeof asynchronous / sizeof *asynchronous; i++)
        assert_true(sigismember(&v.blocked, asynchronous[i]));
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        assert_false(sigismember(&v.blocked, faults[i]));
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

static void nothing_is_left(void **state)
{
    struct visit v;
    (void)state;
    visit(&v); /* the pool's threads stay, from the first time */
    int fds = count_fds();
    for (int i = 0; i < 20; i++)
        visit(&v);
    assert_int_equal(count_fds(), fds);
}

/* libuv aborts when a descriptor of its own has a number below 3. */
static void without_standard_streams(void **state)
{
    struct visit v;
    int kept[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    visit(&v);
    for (int i = 0; i < 3; i++) {
        bool was_free = fcntl(i, F_GETFD) < 0;
        dup2(kept[i], i);
        close(kept[i]);
        assert_true(was_free);
    }
}

/* Every limit on descriptors up to the first that is enough: an error, nothing left. This
 * is the first test, because libuv aborts when the first loop of a process is one that has
 * too few. */
static void few_descriptors_are_an_error(void **state)
{
    struct rlimit before, low;
    int r = -1, failed = 0, fds = count_fds();
    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    for (low.rlim_cur = 3; r < 0 && low.rlim_cur < 60; low.rlim_cur++) {
        ferry_thread *t = NULL;
        ferry_loop *loop = NULL;
        setrlimit(RLIMIT_NOFILE, &low);
        r = ferry_thread_start(&t, &loop);
        setrlimit(RLIMIT_NOFILE, &before);
        if (r < 0) {
            failed++;
            assert_int_equal(r, -EMFILE);
            assert_null(t);
            assert_int_equal(count_fds(), fds);
            continue;
        }
        struct visit v = {.post = {NULL, leave}, .loop = loop};
        ferry_scope_open_root(&v.root, loop, NULL, 0);
        ferry_loop_post(loop, &v.post);
        ferry_thread_join(t);
    }
    assert_int_equal(r, 0);
    assert_true(failed > 1);
    assert_in_range(count_fds(), fds, fds + 2); /* a pipe stays with the process */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_descriptors_are_an_error),
        cmocka_unit_test(signals_are_the_programs),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(without_standard_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
