/* A reader gets every byte in order before it hears of the end, however the bytes were cut,
 * how small its buffers are, and whatever read_size is; the end is told again when asked
 * again; an error comes after the bytes that came before it. */
#include "async/pipe.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOTAL 300007

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 2654435761u >> 13);
}

struct writer {
    int fd;
    unsigned dice;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    uint8_t piece[9000];
    for (size_t at = 0; at < TOTAL;) {
        size_t n = 1 + (size_t)rand_r(&w->dice) % sizeof piece;
        n = n < TOTAL - at ? n : TOTAL - at;
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(at + i);
        ssize_t done = write(w->fd, piece, n);
        if (done < 0)
            abort();
        at += (size_t)done;
    }
    close(w->fd);
    return NULL;
}

/* Reads with buffers of changing size that already hold something. */
static FERRY_CO void read_all(ferry_link *l, unsigned dice)
{
    size_t at = 0;
    for (;;) {
        FERRY_AUTO(buf) ferry_buf *b = NULL;
        size_t held = (size_t)rand_r(&dice) % 10,
               cap = held + 1 + (size_t)rand_r(&dice) % 9000;
        check_eq(ferry_buf_new(cap, &b), 0);
        memset(b->data, 0xee, held);
        b->len = held;
        ssize_t n = ferry_link_read(l, b);
        if (n <= 0) {
            check_eq(n, 0);
            break;
        }
        check_eq(b->len, held + (size_t)n);
        check(b->len <= cap);
        for (size_t i = 0; i < held; i++)
            check_eq(b->data[i], 0xee);
        for (size_t i = 0; i < (size_t)n; i++)
            if (b->data[held + i] != byte_at(at + i)) {
                check(!"the bytes in order");
                return;
            }
        at += (size_t)n;
    }
    check_eq(at, TOTAL);

    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(10, &b), 0);
    for (int i = 0; i < 3; i++)
        check_eq(ferry_link_read(l, b), 0);
    check_eq(b->len, 0);
}

static FERRY_CO int through(int out, int in, size_t read_size, unsigned dice)
{
    pthread_t t;
    struct writer w = {out, dice};
    ferry_link *l = NULL;
    check_eq(ferry_pipe_open(ferry_self_loop(), in, FERRY_PIPE_READ, read_size, &l), 0);
    check_eq(pthread_create(&t, NULL, write_all, &w), 0);
    read_all(l, dice + 1);
    ferry_link_close(l);
    pthread_join(t, NULL);
    return 0;
}

static FERRY_CO int every_byte_then_the_end(void *arg)
{
    static const size_t read_sizes[] = {0, 1, 100, 4096};
    (void)arg;
    for (unsigned i = 0; i < sizeof read_sizes / sizeof *read_sizes; i++) {
        int p[2], s[2];
        check_eq(pipe2(p, O_CLOEXEC), 0);
        through(p[1], p[0], read_sizes[i], i);
        check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
        through(s[1], s[0], read_sizes[i], i + 100);
    }
    return 0;
}

/* The writer is gone before the first read: what it wrote is still there, then the end. */
static FERRY_CO int the_end_waits_for_the_bytes(void *arg)
{
    int p[2];
    ferry_link *l = NULL;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    check_eq(write(p[1], "0123456789", 10), 10);
    close(p[1]);
    check_eq(ferry_pipe_open(ferry_self_loop(), p[0], FERRY_PIPE_READ, 0, &l), 0);
    check_eq(ferry_buf_new(4, &b), 0);
    for (int left = 10; left > 0; left -= 4, b->len = 0)
        check_eq(ferry_link_read(l, b), left < 4 ? left : 4);
    check_eq(ferry_link_read(l, b), 0);
    ferry_link_close(l);
    return 0;
}

/* A peer that dies with our bytes unread resets the connection. */
static FERRY_CO int an_error_waits_for_the_bytes(void *arg)
{
    int s[2];
    ferry_link *l = NULL;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    struct iovec iov = {(char[]){"unread"}, 6};
    (void)arg;
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    check_eq(ferry_pipe_open(ferry_self_loop(), s[0], 3, 0, &l), 0);
    check_eq(ferry_buf_new(10, &b), 0);
    check_eq(ferry_link_write(l, &iov, 1), 0);
    close(s[1]);
    check_eq(ferry_link_read(l, b), -ECONNRESET);
    check_eq(ferry_link_read(l, b), -ECONNRESET);
    check_eq(b->len, 0);
    ferry_link_close(l);
    return 0;
}

/* Its buffer is the reader's only while it reads. */
static FERRY_CO int reads(void *arg)
{
    void **a = arg;
    *(int *)a[2] = (int)ferry_link_read(a[0], a[1]);
    return 0;
}

static FERRY_CO int a_cancelled_read_takes_nothing(void *arg)
{
    int p[2], got = 1;
    ferry_link *l = NULL;
    ferry_buf *b = NULL;
    ferry_scope s;
    (void)arg;
    check_eq(pipe2(p, O_CLOEXEC), 0);
    check_eq(ferry_pipe_open(ferry_self_loop(), p[0], FERRY_PIPE_READ, 0, &l), 0);
    check_eq(ferry_buf_new(10, &b), 0);
    void *args[] = {l, b, &got};
    ferry_scope_open(&s, 0);
    check_eq(ferry_spawn(&s, "reads", reads, args), 0);
    let_others_park();
    check_eq(b->refs, 2);
    check_eq(write(p[1], "abc", 3), 3);
    ferry_scope_cancel(&s, -FERRY_ECANCELED); /* the loop has not turned in between */
    check_eq(ferry_scope_join(&s), 0);
    check_eq(got, -FERRY_ECANCELED);
    check_eq(b->refs, 1);
    check_eq(b->len, 0);
    ferry_buf_unref(b);

    check_eq(ferry_buf_new(10, &b), 0);
    check_eq(ferry_link_read(l, b), 3);
    check(memcmp(b->data, "abc", 3) == 0);
    ferry_buf_unref(b);
    ferry_link_close(l);
    close(p[1]);
    return 0;
}

/* Like a virtio port: a read gives one message, however much room there is. */
static FERRY_CO int messages_are_had_at_once(void *arg)
{
    static const char *const said[] = {"one", "and", "a longer one", "x"};
    const char *all = "oneanda longer onex";
    int fd[2];
    ferry_link *l = NULL;
    (void)arg;
    check_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
    check_eq(ferry_pipe_open(ferry_self_loop(), fd[0], FERRY_PIPE_READ, 4096, &l), 0);
    for (int round = 0; round < 3; round++) {
        FERRY_AUTO(buf) ferry_buf *b = NULL;
        check_eq(ferry_buf_new(10000, &b), 0);
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)
            check_eq(write(fd[1], said[i], strlen(said[i])), strlen(said[i]));
        if (round == 2)
            close(fd[1]);
        check_eq(ferry_link_read(l, b), strlen(all));
        check(memcmp(b->data, all, b->len) == 0);
    }
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(10, &b), 0);
    check_eq(ferry_link_read(l, b), 0);
    ferry_link_close(l);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(every_byte_then_the_end),
        TEST_ON_UV(the_end_waits_for_the_bytes),
        TEST_ON_UV(an_error_waits_for_the_bytes),
        TEST_ON_UV(a_cancelled_read_takes_nothing),
        TEST_ON_UV(messages_are_had_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
