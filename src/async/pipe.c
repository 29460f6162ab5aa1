/* Byte streams on descriptors: see pipe.h.
 *
 *      read:   uv_pipe_t on fd         uv_read_start while a task waits, else stopped
 *      write:  sendmsg/writev on fd    and uv_poll on a duplicate while it is full
 *
 * A duplicate, because libuv allows one handle a descriptor. */
#include "async/pipe.h"

#include "async/internal.h"
#include "async/poll.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Most iovecs of one writev; IOV_MAX is 1024, a frame batch has fewer. */
#define IOV_BATCH 256

typedef struct ferry_pipe {
    ferry_link link;
    ferry_loop *loop;
    uv_pipe_t uv;
    int fd; /* uv's; -1 once closed */
    mode_t type;
    size_t read_size;
    int restore_flags; /* of a borrowed description, -1: nothing to put back */

    /* the reader */
    ferry_task *reader;
    ferry_buf *into; /* while reading: a reference */
    ssize_t added;   /* since uv_read_start */
    int ended;       /* 0, UV_EOF or an error: told once what was read before is taken */

    /* the writer */
    int dup_fd;
    ferry_poll *writable; /* made at the first full pipe */
} ferry_pipe;

static ferry_pipe *pipe_of(ferry_link *l)
{
    return ferry_container(l, ferry_pipe, link);
}

/* ---- reading ----------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    ferry_pipe *p = h->data;
    (void)suggested;
    size_t room = ferry_buf_room(p->into);
    if (p->read_size && room > p->read_size)
        room = p->read_size;
    *ret = uv_buf_init((char *)p->into->data + p->into->len, (unsigned)room);
}

/* libuv goes on reading while reads come back full; it is stopped when the buffer is. */
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *unused)
{
    ferry_pipe *p = s->data;
    (void)unused;
    if (n > 0) {
        p->into->len += (size_t)n;
        p->added += n;
        if (ferry_buf_room(p->into) == 0)
            uv_read_stop(s);
    } else if (n < 0) {
        p->ended = (int)n;
        uv_read_stop(s);
    }
    if (p->reader && (p->added || p->ended))
        ferry_wake(p->reader);
}

static FERRY_CO ssize_t pipe_read(ferry_link *l, ferry_buf *b)
{
    ferry_pipe *p = pipe_of(l);
    assert(!p->reader && "two tasks read one pipe");
    assert(ferry_buf_room(b) > 0 && "nowhere to read to");

    p->added = 0;
    int r = 0;
    if (!p->ended) {
        p->into = ferry_buf_ref(b);
        p->reader = ferry_self();
        r = uv_read_start((uv_stream_t *)&p->uv, on_alloc, on_read);
        while (!p->added && !p->ended && r == 0)
            r = ferry_park();
        uv_read_stop((uv_stream_t *)&p->uv);
        p->reader = NULL;
        p->into = NULL;
        ferry_buf_unref(b);
    }
    if (p->added)
        return p->added;
    if (p->ended)
        return p->ended == UV_EOF ? 0 : p->ended;
    return r;
}

/* ---- writing ----------------------------------------------------------------------- */

/* A FIFO or pipe whose reader left raises SIGPIPE on the writing thread, which may be the
 * caller's: it is blocked meanwhile, and taken back if it was this write that raised it. */
static ssize_t write_without_sigpipe(int fd, const struct iovec *iov, int n)
{
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE);

    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t done = writev(fd, iov, n);
    int saved = errno;
    if (done < 0 && saved == EPIPE && !was_pending)
        sigtimedwait(&pipe_only, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return done;
}

static ssize_t try_write(ferry_pipe *p, struct iovec *iov, int n)
{
    ssize_t done;
    if (n > IOV_BATCH)
        n = IOV_BATCH;
    do {
        if (S_ISSOCK(p->type)) {
            struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
            done = sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else if (S_ISCHR(p->type)) {
            done = writev(p->fd, iov, n);
        } else {
            done = write_without_sigpipe(p->fd, iov, n);
        }
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static FERRY_CO int wait_writable(ferry_pipe *p)
{
    if (!p->writable) {
        int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        int r = ferry_poll_open(p->loop, fd, &p->writable);
        if (r < 0) {
            close(fd);
            return r;
        }
        p->dup_fd = fd;
    }
    int r = ferry_poll_wait(p->writable, POLLOUT);
    return r < 0 ? r : 0;
}

static void advance(struct iovec **iov, int *n, size_t done)
{
    while (*n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*n)--;
    }
    if (*n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

static FERRY_CO int pipe_write(ferry_link *l, struct iovec *iov, int n)
{
    ferry_pipe *p = pipe_of(l);
    advance(&iov, &n, 0);
    while (n > 0) {
        ssize_t done = try_write(p, iov, n);
        if (done == -EAGAIN) {
            int r = wait_writable(p);
            if (r < 0)
                return r;
            continue;
        }
        if (done < 0)
            return (int)done;
        advance(&iov, &n, (size_t)done);
    }
    return 0;
}

/* ---- life -------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
    ferry_pipe *p = h->data;
    ferry_loop *loop = p->loop;
    free(p);
    ferry_loop_unref(loop);
}

static void pipe_close(ferry_link *l)
{
    ferry_pipe *p = pipe_of(l);
    assert(!p->reader && "closed under a reader");
    ferry_poll_close(p->writable);
    if (p->dup_fd >= 0)
        close(p->dup_fd);
    if (p->restore_flags >= 0)
        fcntl(p->fd, F_SETFL, p->restore_flags);
    uv_close((uv_handle_t *)&p->uv, on_closed);
}

static const ferry_link_ops pipe_ops = {pipe_read, pipe_write, pipe_close};

/* -EPERM for what is always ready (regular files, /dev/zero): libuv aborts on it. */
static int check_pollable(int fd, struct stat *ret)
{
    if (fstat(fd, ret) < 0)
        return -errno;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        return -errno;
    struct epoll_event ev = {.events = EPOLLIN};
    int r = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
    close(ep);
    return r;
}

static int open_pipe(ferry_loop *loop, int fd, unsigned flags, size_t read_size,
                     int restore_flags, ferry_link **ret)
{
    struct stat st;
    int r = check_pollable(fd, &st);
    if (r < 0) {
        close(fd);
        return r;
    }
    ferry_pipe *p = calloc(1, sizeof *p);
    if (!p) {
        close(fd);
        return -ENOMEM;
    }
    *p = (ferry_pipe){.link = {&pipe_ops},
                      .loop = loop,
                      .fd = fd,
                      .type = st.st_mode & S_IFMT,
                      .read_size = read_size,
                      .restore_flags = restore_flags,
                      .dup_fd = -1};
    ferry_loop_ref(loop);
    uv_pipe_init(loop->uv, &p->uv, 0);
    p->uv.data = p;
    uv_unref((uv_handle_t *)&p->uv);
    r = uv_pipe_open(&p->uv, fd);
    if (r < 0) {
        close(fd);
        p->restore_flags = -1;
        uv_close((uv_handle_t *)&p->uv, on_closed);
        return r;
    }
    (void)flags; /* what the descriptor can do, uv_pipe_open has read from it */
    *ret = &p->link;
    return 0;
}

int ferry_pipe_open(ferry_loop *loop, int fd, unsigned flags, size_t read_size,
                    ferry_link **ret)
{
    return open_pipe(loop, fd, flags, read_size, -1, ret);
}

/* A description of our own where the kernel gives one (not for sockets): O_NONBLOCK on the
 * caller's would reach every process that shares it, the shell that owns the tty included. */
static int reopen(int fd, unsigned flags)
{
    char path[32];
    int mode = flags == (FERRY_PIPE_READ | FERRY_PIPE_WRITE) ? O_RDWR
               : flags & FERRY_PIPE_WRITE                    ? O_WRONLY
                                                             : O_RDONLY;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int ferry_pipe_borrow(ferry_loop *loop, int fd, unsigned flags, ferry_link **ret)
{
    int own = reopen(fd, flags);
    if (own >= 0)
        return open_pipe(loop, own, flags, 0, -1, ret);

    int before = fcntl(fd, F_GETFL);
    if (before < 0)
        return -errno;
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    return open_pipe(loop, own, flags, 0, before & O_NONBLOCK ? -1 : before, ret);
}
