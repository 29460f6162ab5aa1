/* A descriptor that is borrowed is afterwards as it was, and a terminal that a shell shares
 * is never non-blocking in between. What cannot be opened again without becoming something
 * else is not: a pty's master, a FIFO whose writer has left. */
#include "async/pipe.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static bool nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static FERRY_CO void expect(ferry_link *l, const char *text)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(64, &b), 0);
    check_eq(ferry_link_read(l, b), strlen(text));
    check(memcmp(b->data, text, strlen(text)) == 0);
}

static FERRY_CO void expect_end(ferry_link *l)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(64, &b), 0);
    check_eq(ferry_link_read(l, b), 0);
}

static FERRY_CO void say(ferry_link *l, const char *text)
{
    struct iovec iov = {(char *)(uintptr_t)text, strlen(text)};
    check_eq(ferry_link_write(l, &iov, 1), 0);
}

static int open_pty(int *ret_master)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    char name[64];
    check(master >= 0);
    check_eq(grantpt(master), 0);
    check_eq(unlockpt(master), 0);
    check_eq(ptsname_r(master, name, sizeof name), 0);
    int tty = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    check(tty >= 0);
    tcgetattr(tty, &raw);
    cfmakeraw(&raw);
    tcsetattr(tty, TCSANOW, &raw);
    *ret_master = master;
    return tty;
}

static FERRY_CO int a_tty_is_never_nonblocking(void *arg)
{
    int master, tty = open_pty(&master);
    char back[16] = "";
    ferry_link *l = NULL;
    (void)arg;
    check_eq(ferry_pipe_borrow(ferry_self_loop(), tty, 3, &l), 0);
    check(!nonblocking(tty));
    check_eq(write(master, "typed", 5), 5);
    expect(l, "typed");
    say(l, "shown");
    check_eq(read(master, back, 5), 5);
    check(strcmp(back, "shown") == 0);
    check(!nonblocking(tty));
    ferry_link_close(l);
    check(!nonblocking(tty));
    close(tty);
    close(master);
    return 0;
}

/* Opening /proc/self/fd/N of a master makes another pair, on which nothing is ever heard. */
static FERRY_CO int a_ptys_master_stays_itself(void *arg)
{
    int master, tty = open_pty(&master);
    ferry_link *l = NULL;
    (void)arg;
    check_eq(ferry_pipe_borrow(ferry_self_loop(), master, 3, &l), 0);
    check_eq(write(tty, "shown", 5), 5);
    expect(l, "shown");
    ferry_link_close(l);
    check(!nonblocking(master));
    close(tty);
    close(master);
    return 0;
}

static FERRY_CO int a_socket_is_put_back(void *arg)
{
    int s[2];
    ferry_link *l = NULL;
    (void)arg;
    for (int already = 0; already < 2; already++) {
        check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
        if (already)
            fcntl(s[0], F_SETFL, O_NONBLOCK);
        check_eq(ferry_pipe_borrow(ferry_self_loop(), s[0], 3, &l), 0);
        check_eq(write(s[1], "hello", 5), 5);
        expect(l, "hello");
        fcntl(s[0], F_SETFL,
              fcntl(s[0], F_GETFL) | O_ASYNC); /* by somebody else, meanwhile */
        ferry_link_close(l);
        check_eq(nonblocking(s[0]), already);
        check(fcntl(s[0], F_GETFL) & O_ASYNC);
        check_eq(write(s[1], "still", 5), 5); /* and it is open */
        close(s[0]);
        close(s[1]);
    }
    return 0;
}

static FERRY_CO int pipes_are_never_nonblocking(void *arg)
{
    int p[2];
    ferry_link *in = NULL, *out = NULL;
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), p[0], FERRY_PIPE_READ, &in), 0);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), p[1], FERRY_PIPE_WRITE, &out), 0);
    check(!nonblocking(p[0]) && !nonblocking(p[1]));
    say(out, "through");
    expect(in, "through");
    ferry_link_close(out);
    close(p[1]);
    expect_end(in); /* of our own description too */
    ferry_link_close(in);
    check(!nonblocking(p[0]));
    close(p[0]);
    return 0;
}

/* Somebody opened a FIFO, its writer wrote and left, then we got it: there is an end. */
static FERRY_CO int a_fifo_whose_writer_left_ends(void *arg)
{
    char *dir = scratch_new(), path[4096];
    ferry_link *l = NULL;
    (void)arg;
    snprintf(path, sizeof path, "%s/fifo", dir);
    check_eq(mkfifo(path, 0600), 0);
    for (int with_writer = 0; with_writer < 2; with_writer++) {
        int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        int out = open(path, O_WRONLY | O_CLOEXEC);
        fcntl(in, F_SETFL, 0);
        check_eq(write(out, "last words", 10), 10);
        if (!with_writer)
            close(out);
        check_eq(ferry_pipe_borrow(ferry_self_loop(), in, FERRY_PIPE_READ, &l), 0);
        if (with_writer)
            check(!nonblocking(in));
        expect(l, "last words");
        if (with_writer)
            close(out);
        expect_end(l);
        ferry_link_close(l);
        check(!nonblocking(in));
        close(in);
    }
    scratch_free(dir);
    return 0;
}

/* Not more than was lent: a reading end does not become a writing one by way of /proc. */
static FERRY_CO int only_what_was_lent(void *arg)
{
    int p[2];
    ferry_link *l = NULL;
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), p[0], FERRY_PIPE_WRITE, &l), -EBADF);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), p[1], FERRY_PIPE_READ, &l), -EBADF);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), p[0], 3, &l), -EBADF);
    close(p[0]);
    close(p[1]);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), p[0], FERRY_PIPE_READ, &l), -EBADF);
    check_eq(ferry_pipe_borrow(ferry_self_loop(), -1, FERRY_PIPE_READ, &l), -EBADF);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(a_tty_is_never_nonblocking),
        TEST_ON_UV(a_ptys_master_stays_itself),
        TEST_ON_UV(a_socket_is_put_back),
        TEST_ON_UV(pipes_are_never_nonblocking),
        TEST_ON_UV(a_fifo_whose_writer_left_ends),
        TEST_ON_UV(only_what_was_lent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
