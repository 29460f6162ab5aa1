/* Whoever dies - the host, the guard, the child - nobody stays behind, and the host learns
 * how the child ended. The child is a shell or a sleep in qemu's place; the guard is the
 * real one. Waiting is on pidfds and sockets, never on a clock. */
#include "launch/guard.h"

#include "harness/real.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Generous for a busy machine; a pass takes milliseconds. */
#define PATIENCE_MS 20000

struct guarded {
    pid_t guard, child;
    int control;
};

static const char *guard_path(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/gferry-guard", getenv("FERRY_LIBEXEC"));
    return path;
}

static ferry_guard_report next_report(int control)
{
    ferry_guard_report r = {0};
    struct pollfd p = {.fd = control, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) == 1 && read(control, &r, sizeof r) != sizeof r)
        r.what = -1; /* end of file */
    return r;
}

/* Starts the guard as the library does: null, output, control, and fd 4. Only calls that
 * are allowed after a fork: one test calls it there. */
static pid_t start_guard(int control, const char *const *program)
{
    char host[16];
    snprintf(host, sizeof host, "%d", (int)getpid());
    pid_t pid = fork();
    if (pid != 0)
        return pid;

    int null = open("/dev/null", O_RDWR);
    int moved = fcntl(control, F_DUPFD, 100);
    dup2(null, 0);
    dup2(moved, FERRY_GUARD_CONTROL);
    dup2(null, FERRY_GUARD_FIRST);
    closefrom(FERRY_GUARD_FIRST + 1);
    const char *argv[16] = {guard_path(), host, "5"};
    for (int i = 0; program[i]; i++)
        argv[3 + i] = program[i];
    setsid();
    execv(argv[0], (char **)(uintptr_t)argv);
    _exit(99);
}

static struct guarded start(const char *const *program)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct guarded g = {.control = pair[0], .guard = start_guard(pair[1], program)};
    close(pair[1]);
    assert_true(g.guard > 0);
    assert_int_equal(write(g.control, "g", 1), 1);
    return g;
}

static void started(struct guarded *g)
{
    ferry_guard_report r = next_report(g->control);
    assert_int_equal(r.what, FERRY_GUARD_STARTED);
    assert_true(r.value > 0);
    g->child = r.value;
}

static void assert_ended(struct guarded *g, int status)
{
    ferry_guard_report r = next_report(g->control);
    assert_int_equal(r.what, FERRY_GUARD_ENDED);
    assert_int_equal(r.value, status);
    r = next_report(g->control);
    assert_int_equal(r.what, -1);
    int guard_status;
    assert_int_equal(waitpid(g->guard, &guard_status, 0), g->guard);
    assert_int_equal(guard_status, 0);
    assert_int_equal(wait_gone(g->child, PATIENCE_MS), 0);
    close(g->control);
}

static const char *const sleeper[] = {"/bin/sleep", "1000", NULL};

static void a_shut_down_control_kills(void **state)
{
    (void)state;
    struct guarded g = start(sleeper);
    started(&g);
    assert_int_equal(shutdown(g.control, SHUT_WR), 0);
    assert_ended(&g, W_EXITCODE(0, SIGKILL));
}

static void a_closed_control_kills(void **state)
{
    (void)state;
    struct guarded g = start(sleeper);
    started(&g);
    close(g.control);
    assert_int_equal(waitpid(g.guard, NULL, 0), g.guard);
    assert_int_equal(wait_gone(g.child, PATIENCE_MS), 0);
}

static void a_control_closed_at_once_kills(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct guarded g = start(sleeper);
        close(g.control);
        assert_int_equal(waitpid(g.guard, NULL, 0), g.guard);
    }
}

static void nothing_starts_without_a_go(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t guard = start_guard(pair[1], sleeper);
    close(pair[1]);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    assert_int_equal(next_report(pair[0]).what, -1);
    assert_int_equal(waitpid(guard, NULL, 0), guard);
    close(pair[0]);
}

static void bytes_on_control_mean_nothing(void **state)
{
    (void)state;
    static const char *const program[] = {"/bin/cat", "/proc/self/fd/4", NULL};
    struct guarded g = start(program);
    assert_int_equal(write(g.control, "hello", 5), 5);
    started(&g);
    assert_ended(&g, W_EXITCODE(0, 0));
}

static void the_end_is_reported(void **state)
{
    (void)state;
    static const char *const exits[] = {"/bin/sh", "-c", "exit 7", NULL};
    struct guarded g = start(exits);
    started(&g);
    assert_ended(&g, W_EXITCODE(7, 0));

    static const char *const dies[] = {"/bin/sh", "-c", "kill -TERM $$", NULL};
    g = start(dies);
    started(&g);
    assert_ended(&g, W_EXITCODE(0, SIGTERM));

    g = start(sleeper);
    started(&g);
    kill(g.child, SIGKILL);
    assert_ended(&g, W_EXITCODE(0, SIGKILL));
}

static void a_program_that_cannot_run_is_reported(void **state)
{
    (void)state;
    static const char *const none[] = {"/no/such/program", NULL};
    struct guarded g = start(none);
    ferry_guard_report r = next_report(g.control);
    assert_int_equal(r.what, FERRY_GUARD_FAILED);
    assert_int_equal(r.value, ENOENT);
    r = next_report(g.control);
    assert_int_equal(r.what, FERRY_GUARD_ENDED);
    assert_int_equal(waitpid(g.guard, NULL, 0), g.guard);
    close(g.control);
}

static void a_killed_guard_takes_it_along(void **state)
{
    (void)state;
    struct guarded g = start(sleeper);
    started(&g);
    kill(g.guard, SIGKILL);
    assert_int_equal(waitpid(g.guard, NULL, 0), g.guard);
    assert_int_equal(wait_gone(g.child, PATIENCE_MS), 0);
    assert_int_equal(next_report(g.control).what, -1);
    close(g.control);
}

/* Story: the host forks a worker that never execs (Python's multiprocessing). The worker
 * has a copy of the control socket, so a killed host is no end of file. */
static void a_killed_host_kills_though_a_fork_holds_the_socket(void **state)
{
    (void)state;
    int control[2], said[2], hold[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);

    pid_t host = fork();
    if (host == 0) {
        pid_t guard = start_guard(control[1], sleeper);
        pid_t worker = fork();
        if (worker == 0) {
            char c;
            close(hold[1]);
            while (read(hold[0], &c, 1) < 0) /* until the test is over */
                ;
            _exit(0);
        }
        if (write(said[1], &guard, sizeof guard) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    close(said[1]);
    assert_int_equal(write(control[0], "g", 1), 1);
    pid_t guard;
    assert_int_equal(read(said[0], &guard, sizeof guard), sizeof guard);
    ferry_guard_report r = next_report(control[0]);
    assert_int_equal(r.what, FERRY_GUARD_STARTED);

    kill(host, SIGKILL);
    assert_int_equal(waitpid(host, NULL, 0), host);
    assert_int_equal(wait_gone(r.value, PATIENCE_MS), 0);
    assert_int_equal(wait_gone(guard, PATIENCE_MS), 0);
    close(control[0]);
    close(control[1]);
    close(said[0]);
    close(hold[0]);
    close(hold[1]);
}

static void only_the_named_descriptors_are_passed_on(void **state)
{
    (void)state;
    static const char *const program[] =
        {"/bin/sh", "-c",
         "for i in 3 5 6 7 8 9 100; do [ -e /proc/$$/fd/$i ] && exit $i; done;"
         "[ -e /proc/$$/fd/4 ] || exit 40; [ $(pwd) = / ] || exit 41;"
         "[ $(ulimit -c) = 0 ] || exit 42",
         NULL};
    struct guarded g = start(program);
    started(&g);
    assert_ended(&g, W_EXITCODE(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shut_down_control_kills),
        cmocka_unit_test(a_closed_control_kills),
        cmocka_unit_test(a_control_closed_at_once_kills),
        cmocka_unit_test(nothing_starts_without_a_go),
        cmocka_unit_test(bytes_on_control_mean_nothing),
        cmocka_unit_test(the_end_is_reported),
        cmocka_unit_test(a_program_that_cannot_run_is_reported),
        cmocka_unit_test(a_killed_guard_takes_it_along),
        cmocka_unit_test(a_killed_host_kills_though_a_fork_holds_the_socket),
        cmocka_unit_test(only_the_named_descriptors_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
