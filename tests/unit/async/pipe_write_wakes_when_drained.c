/* A writer to a slow peer parks and is woken when there is room, until everything is
 * written, in order: any number of pieces, empty ones among them, more than one writev
 * takes. A reader that leaves ends the wait with -EPIPE; a peer that always keeps pace does
 * not keep the loop from its other work. */
#include "async/pipe.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECES 3000

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 2654435761u >> 11);
}

struct reader {
    int fd;
    size_t got;
    bool right;
};

static void *read_slowly(void *arg)
{
    struct reader *r = arg;
    uint8_t b[777];
    r->right = true;
    for (ssize_t n; (n = read(r->fd, b, sizeof b)) > 0; r->got += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            r->right &= b[i] == byte_at(r->got + (size_t)i);
    close(r->fd);
    return NULL;
}

static FERRY_CO void write_pieces(int fd, int from)
{
    pthread_t t;
    unsigned dice = 5;
    size_t total = 0;
    ferry_link *l = NULL;
    struct reader r = {.fd = from};
    static struct iovec iov[PIECES + 4];
    static uint8_t bytes[PIECES * 100];
    int n = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = byte_at(i);
    iov[n++] = (struct iovec){NULL, 0}; /* empty: first, in between, last */
    iov[n++] = (struct iovec){bytes, 0};
    for (int i = 0; i < PIECES; i++) {
        size_t len = (size_t)rand_r(&dice) % 5 ? (size_t)rand_r(&dice) % 100 : 0;
        iov[n++] = (struct iovec){bytes + total, len};
        total += len;
    }
    iov[n++] = (struct iovec){bytes, 0};
    iov[n++] = (struct iovec){NULL, 0};

    check_eq(ferry_pipe_open(ferry_self_loop(), fd, FERRY_PIPE_WRITE, 0, &l), 0);
    check_eq(ferry_link_write(l, NULL, 0), 0);
    check_eq(ferry_link_write(l, iov, 2), 0);
    check_eq(pthread_create(&t, NULL, read_slowly, &r), 0);
    check_eq(ferry_link_write(l, iov, n), 0);
    ferry_link_close(l);
    pthread_join(t, NULL);
    check_eq(r.got, total);
    check(r.right);
}

static FERRY_CO int everything_is_written(void *arg)
{
    int p[2], s[2];
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    check_eq(fcntl(p[1], F_SETPIPE_SZ, 4096), 4096);
    write_pieces(p[1], p[0]);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    check_eq(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)), 0);
    write_pieces(s[0], s[1]);
    return 0;
}

struct blocked {
    ferry_link *l;
    size_t len;
    int result;
};

static FERRY_CO int writes(void *arg)
{
    struct blocked *b = arg;
    static char bytes[1 << 22];
    struct iovec iov = {bytes, b->len};
    b->result = ferry_link_write(b->l, &iov, 1);
    return 0;
}

/* libuv tells an error condition as UV_EBADF: it must not be what the writer hears. */
static FERRY_CO int reader_leaves(int fd, int from)
{
    struct blocked b = {.len = 1 << 22, .result = 1};
    ferry_scope s;
    check_eq(ferry_pipe_open(ferry_self_loop(), fd, FERRY_PIPE_WRITE, 0, &b.l), 0);
    ferry_scope_open(&s, 0);
    check_eq(ferry_spawn(&s, "writes", writes, &b), 0);
    let_others_park();
    check_eq(b.result, 1);
    close(from);
    check_eq(ferry_scope_join(&s), 0);
    check_eq(b.result, -EPIPE);
    ferry_link_close(b.l);
    return 0;
}

static FERRY_CO int a_reader_that_leaves_is_epipe(void *arg)
{
    int p[2], s[2];
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    reader_leaves(p[1], p[0]);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    reader_leaves(s[0], s[1]);
    return 0;
}

static void *swallow(void *arg)
{
    struct reader *r = arg;
    static char b[1 << 20];
    for (ssize_t n; (n = read(r->fd, b, sizeof b)) > 0;)
        r->got += (size_t)n;
    close(r->fd);
    return NULL;
}

struct beat {
    ferry_timer timer;
    ferry_loop *loop;
    ferry_scope *scope;
    int left;
};

static void beat(ferry_timer *t)
{
    struct beat *b = ferry_container(t, struct beat, timer);
    if (--b->left > 0)
        ferry_timer_start(b->loop, t, 1, beat);
    else
        ferry_scope_cancel(b->scope, -FERRY_ECANCELED);
}

static FERRY_CO int writes_for_ever(void *arg)
{
    struct blocked *b = arg;
    while (b->result >= 0)
        writes(b);
    return 0;
}

/* A timer of the same loop ends a writer that never has to wait of its own. */
static FERRY_CO int the_loop_turns_meanwhile(void *arg)
{
    int s[2];
    pthread_t t;
    ferry_scope scope;
    (void)arg;
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    struct blocked b = {.len = 65536, .result = 0};
    struct reader r = {.fd = s[1]};
    struct beat heart = {.loop = ferry_self_loop(), .scope = &scope, .left = 10};
    check_eq(ferry_pipe_open(heart.loop, s[0], FERRY_PIPE_WRITE, 0, &b.l), 0);
    check_eq(pthread_create(&t, NULL, swallow, &r), 0);
    ferry_scope_open(&scope, 0);
    ferry_timer_start(heart.loop, &heart.timer, 1, beat);
    check_eq(ferry_spawn(&scope, "writes", writes_for_ever, &b), 0);
    check_eq(ferry_scope_join(&scope), 0);
    check_eq(b.result, -FERRY_ECANCELED);
    ferry_link_close(b.l);
    pthread_join(t, NULL);
    return 0;
}

static FERRY_CO int cancels(void *arg)
{
    ferry_scope_cancel(arg, -FERRY_ECANCELED);
    return 0;
}

/* Into a socket with room for 32 MiB: the writer never has to wait, and yet the task behind
 * it comes to its turn after one. (Where root's leave for such a buffer is missing, the writer
 * waits sooner anyway.) */
static FERRY_CO int a_peer_with_room_is_no_excuse(void *arg)
{
    int s[2], queued = 0;
    ferry_scope scope;
    (void)arg;
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    setsockopt(s[0], SOL_SOCKET, SO_SNDBUFFORCE, &(int){32 << 20}, sizeof(int));
    struct blocked b = {.len = 65536, .result = 0};
    check_eq(ferry_pipe_open(ferry_self_loop(), s[0], FERRY_PIPE_WRITE, 0, &b.l), 0);
    ferry_scope_open(&scope, 0);
    check_eq(ferry_spawn(&scope, "writes", writes_for_ever, &b), 0);
    check_eq(ferry_spawn(&scope, "cancels", cancels, &scope), 0);
    check_eq(ferry_scope_join(&scope), 0);
    check_eq(b.result, -FERRY_ECANCELED);
    check_eq(ioctl(s[1], FIONREAD, &queued), 0);
    check(queued > 0 && queued < 2 << 20);
    ferry_link_close(b.l);
    close(s[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(everything_is_written),
        TEST_ON_UV(a_reader_that_leaves_is_epipe),
        TEST_ON_UV(the_loop_turns_meanwhile),
        TEST_ON_UV(a_peer_with_room_is_no_excuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
