/* Writing to a reader that left is -EPIPE and never a SIGPIPE on the caller's thread, for
 * pipes and sockets; and a SIGPIPE that was pending for the program before stays so. */
#include "async/pipe.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t raised;

static void on_sigpipe(int sig)
{
    (void)sig;
    raised++;
}

static FERRY_CO int write_to_nobody(int fd, int from)
{
    ferry_link *l = NULL;
    close(from);
    check_eq(ferry_pipe_open(ferry_self_loop(), fd, FERRY_PIPE_WRITE, 0, &l), 0);
    for (int i = 0; i < 3; i++) {
        struct iovec iov = {(char[]){"abc"}, 3};
        check_eq(ferry_link_write(l, &iov, 1), -EPIPE);
    }
    ferry_link_close(l);
    return 0;
}

static FERRY_CO int write_to_both(void *arg)
{
    int p[2], s[2];
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    write_to_nobody(p[1], p[0]);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    write_to_nobody(s[0], s[1]);
    return 0;
}

static FERRY_CO int the_handler_is_not_called(void *arg)
{
    struct sigaction sa = {.sa_handler = on_sigpipe}, before;
    (void)arg;
    raised = 0;
    sigaction(SIGPIPE, &sa, &before);
    write_to_both(NULL);
    check_eq(raised, 0);
    raise(SIGPIPE); /* the mask is as it was */
    check_eq(raised, 1);
    sigaction(SIGPIPE, &before, NULL);
    return 0;
}

static FERRY_CO int the_default_does_not_kill(void *arg)
{
    return write_to_both(arg);
}

static FERRY_CO int a_pending_one_stays(void *arg)
{
    sigset_t pipe_only, before, pending;
    struct sigaction sa = {.sa_handler = on_sigpipe}, old;
    (void)arg;
    raised = 0;
    sigaction(SIGPIPE, &sa, &old);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    raise(SIGPIPE);
    write_to_both(NULL);
    sigpending(&pending);
    check(sigismember(&pending, SIGPIPE) == 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    check_eq(raised, 1);
    sigaction(SIGPIPE, &old, NULL);
    return 0;
}

/* Blocked and not pending: it is not pending afterwards either. */
static FERRY_CO int none_is_left_behind(void *arg)
{
    sigset_t pipe_only, before, pending;
    (void)arg;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    write_to_both(NULL);
    sigpending(&pending);
    check(sigismember(&pending, SIGPIPE) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(the_handler_is_not_called),
        TEST_ON_UV(the_default_does_not_kill),
        TEST_ON_UV(a_pending_one_stays),
        TEST_ON_UV(none_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
