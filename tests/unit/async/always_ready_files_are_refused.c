/* What epoll cannot watch (regular files, /dev/zero, /dev/null) is -EPERM, taken over or
 * borrowed, and not libuv's abort; a descriptor that was to be taken over is closed all the
 * same, also when its number is one that libuv does not close. */
#include "async/pipe.h"
#include "async/poll.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static FERRY_CO int refused(void *arg)
{
    static const char *const paths[] = {"/dev/zero", "/dev/null", "/proc/self/exe"};
    ferry_loop *loop = ferry_self_loop();
    ferry_link *l = NULL;
    ferry_poll *p = NULL;
    (void)arg;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        check(fd >= 0);
        check_eq(ferry_poll_open(loop, fd, &p), -EPERM);
        check_eq(ferry_pipe_borrow(loop, fd, FERRY_PIPE_READ, &l), -EPERM);
        check(fcntl(fd, F_GETFD) >= 0);
        check(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
        check_eq(ferry_pipe_open(loop, fd, FERRY_PIPE_READ, 0, &l), -EPERM);
        check(fcntl(fd, F_GETFD) < 0);
    }
    check_eq(ferry_pipe_open(loop, -1, FERRY_PIPE_READ, 0, &l), -EBADF);
    check_eq(ferry_pipe_open(loop, 9999, FERRY_PIPE_READ, 0, &l), -EBADF);
    check_eq(ferry_poll_open(loop, -1, &p), -EBADF);
    return 0;
}

/* A program without a stdin gets its sockets there; libuv leaves 0-2 open at a close. */
static FERRY_CO int low_numbers_are_closed_too(void *arg)
{
    int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), s[2];
    ferry_link *l = NULL;
    (void)arg;
    close(STDIN_FILENO);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    check_eq(s[0], STDIN_FILENO);
    check_eq(ferry_pipe_open(ferry_self_loop(), s[0], 3, 0, &l), 0);
    check_eq(write(s[1], "abc", 3), 3);
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(10, &b), 0);
    check_eq(ferry_link_read(l, b), 3);
    ferry_link_close(l);
    check_eq(recv(s[1], b->data, 1, MSG_DONTWAIT), 0); /* the other end sees the close */
    close(s[1]);
    check_eq(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    close(kept);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(refused),
        TEST_ON_UV(low_numbers_are_closed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
