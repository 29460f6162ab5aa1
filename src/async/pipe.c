/* Byte streams on descriptors: see pipe.h.
 *
 *      read:   uv_pipe_t on fd         stopped when something comes and no task waits
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
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Most iovecs of one writev; IOV_MAX is 1024, a frame batch has fewer. */
#define IOV_BATCH 256

/* Bytes written to a peer that keeps pace before the loop gets its turn and a cancel is
 * looked at: about a millisecond's worth. */
#define WRITE_TURN (1024 * 1024)

/* How often a device is asked for more where there was none the last time. */
#define LOOK_EVERY 8

typedef struct ferry_pipe {
    ferry_link link;
    ferry_loop *loop;
    uv_pipe_t uv;
    int fd; /* uv's; -1 once closed */
    mode_t type;
    size_t read_size;
    bool restore; /* a borrowed description: O_NONBLOCK is ours to take off */

    /* the reader */
    ferry_task *reader;
    ferry_buf *into; /* while reading: a reference */
    bool started;    /* uv_read_start: also between reads, see on_alloc */
    ssize_t added;   /* since pipe_read began */
    bool several;    /* the last read_more() found something */
    unsigned reads;
    int ended; /* 0, UV_EOF or an error: told once what was read before is taken */

    /* the writer */
    int dup_fd;
    int pass_fd;          /* goes with the next byte of a socket; -1: none */
    ferry_poll *writable; /* made at the first full pipe */
    size_t unbroken;      /* bytes written since the last wait */
} ferry_pipe;

static ferry_pipe *pipe_of(ferry_link *l)
{
    return ferry_container(l, ferry_pipe, link);
}

/* ---- reading ----------------------------------------------------------------------- */

static void stop_reading(ferry_pipe *p)
{
    p->started = false;
    uv_read_stop((uv_stream_t *)&p->uv);
}

static size_t read_room(const ferry_pipe *p)
{
    size_t room = ferry_buf_room(p->into);
    return p->read_size && room > p->read_size ? p->read_size : room;
}

/* A reader that comes back within the same turn of the loop, as most do, finds reading still
 * started: to stop and start costs two epoll_ctl. When none is back by the time something
 * comes, the stream is given no room (UV_ENOBUFS) and stopped; nothing is consumed. */
static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    ferry_pipe *p = h->data;
    (void)suggested;
    if (!p->into) {
        *ret = uv_buf_init(NULL, 0);
        return;
    }
    *ret = uv_buf_init((char *)p->into->data + p->into->len, (unsigned)read_room(p));
}

/* A virtio port gives one of its buffers a read, which is what was written into its other end at once,
 * and libuv takes a read that is not full for the last. What else has come meanwhile is worth a
 * system call: 32 calls in flight are then answered several at a time. How it ends libuv will see. */
static void read_more(ferry_pipe *p)
{
    if (!p->read_size || (!p->several && p->reads++ % LOOK_EVERY))
        return;
    p->several = false;
    for (size_t room; (room = read_room(p)) > 0; p->several = true) {
        ssize_t n = read(p->fd, p->into->data + p->into->len, room);
        if (n <= 0)
            return;
        p->into->len += (size_t)n;
        p->added += n;
    }
}

/* libuv goes on reading while reads come back full; it is stopped when the buffer is. */
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *unused)
{
    ferry_pipe *p = s->data;
    (void)unused;
    if (n > 0) {
        p->into->len += (size_t)n;
        p->added += n;
        read_more(p);
        if (ferry_buf_room(p->into) == 0)
            stop_reading(p);
    } else if (n < 0) {
        if (n != UV_ENOBUFS)
            p->ended = (int)n;
        stop_reading(p);
    }
    if (p->reader && (p->added || p->ended))
        ferry_wake(p->reader);
}

static int start_reading(ferry_pipe *p)
{
    int r = p->started ? 0 : uv_read_start((uv_stream_t *)&p->uv, on_alloc, on_read);
    p->started = r == 0;
    return r;
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
        r = start_reading(p);
        while (!p->added && !p->ended && r == 0)
            r = ferry_park();
        if (r < 0)
            stop_reading(p);
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

/* With the descriptor that is to go along, if there is one (it goes with the first byte). */
static ssize_t send_some(ferry_pipe *p, struct iovec *iov, int n)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    if (p->pass_fd >= 0) {
        memcpy(CMSG_DATA(&control.head), &p->pass_fd, sizeof(int));
        m.msg_control = &control;
        m.msg_controllen = sizeof control.space;
    }
    ssize_t done = sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done > 0)
        p->pass_fd = -1;
    return done;
}

static ssize_t try_write(ferry_pipe *p, struct iovec *iov, int n)
{
    ssize_t done;
    if (n > IOV_BATCH)
        n = IOV_BATCH;
    do {
        if (S_ISSOCK(p->type)) {
            done = send_some(p, iov, n);
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
    p->unbroken = 0;
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
    int r = ferry_cancelled(); /* before anything is torn */
    advance(&iov, &n, 0);
    while (n > 0 && r == 0) {
        ssize_t done = p->unbroken < WRITE_TURN ? try_write(p, iov, n) : -EAGAIN;
        if (done == -EAGAIN) {
            r = wait_writable(p);
        } else if (done < 0) {
            r = (int)done;
        } else if (done == 0) {
            r = -EIO; /* a device that takes nothing and says nothing */
        } else {
            p->unbroken += (size_t)done;
            advance(&iov, &n, (size_t)done);
        }
    }
    return r;
}

FERRY_CO int ferry_pipe_write_fd(ferry_link *l, struct iovec *iov, int n, int fd)
{
    ferry_pipe *p = pipe_of(l);
    assert(l->ops->write == pipe_write && S_ISSOCK(p->type) && "not a socket's link");
    p->pass_fd = fd;
    int r = pipe_write(l, iov, n);
    p->pass_fd = -1;
    return r;
}

/* ---- life -------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
    ferry_pipe *p = h->data;
    ferry_loop *loop = p->loop;
    free(p);
    ferry_loop_unref(loop);
}

/* Only the bit that is ours: others who share the description may have changed the rest. */
static void make_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

static void pipe_close(ferry_link *l)
{
    ferry_pipe *p = pipe_of(l);
    assert(!p->reader && "closed under a reader");
    ferry_poll_close(p->writable);
    if (p->dup_fd >= 0)
        close(p->dup_fd);
    if (p->restore)
        make_blocking(p->fd);
    uv_close((uv_handle_t *)&p->uv, on_closed);
}

static const ferry_link_ops pipe_ops = {pipe_read, pipe_write, pipe_close};

/* libuv does not close 0-2 with their stream: a descriptor that landed there, because the
 * program has none of its own, is moved up. */
static int above_stdio(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int r = up < 0 ? -errno : up;
    close(fd);
    return r;
}

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

static int open_pipe(ferry_loop *loop, int fd, size_t read_size, bool restore,
                     ferry_link **ret)
{
    struct stat st;
    fd = above_stdio(fd);
    int r = fd < 0 ? fd : check_pollable(fd, &st);
    ferry_pipe *p = r == 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        if (fd >= 0)
            close(fd);
        return r < 0 ? r : -ENOMEM;
    }
    *p = (ferry_pipe){.link = {&pipe_ops},
                      .loop = loop,
                      .fd = fd,
                      .type = st.st_mode & S_IFMT,
                      .read_size = read_size,
                      .restore = restore,
                      .dup_fd = -1,
                      .pass_fd = -1};
    ferry_loop_ref(loop);
    ferry_plugs plugs;
    ferry_plug(&plugs); /* the loop's first stream opens a descriptor in reserve */
    uv_pipe_init(loop->uv, &p->uv, 0);
    ferry_unplug(&plugs);
    p->uv.data = p;
    uv_unref((uv_handle_t *)&p->uv);
    r = uv_pipe_open(&p->uv, fd); /* makes it non-blocking */
    if (r < 0) {
        if (restore)
            make_blocking(fd);
        close(fd);
        uv_close((uv_handle_t *)&p->uv, on_closed);
        return r;
    }
    *ret = &p->link;
    return 0;
}

int ferry_pipe_open(ferry_loop *loop, int fd, unsigned flags, size_t read_size,
                    ferry_link **ret)
{
    (void)flags; /* what the descriptor can do, uv_pipe_open reads from it */
    return open_pipe(loop, fd < 0 ? -EBADF : fd, read_size, false, ret);
}

/* ---- borrowing --------------------------------------------------------------------- */

/* Whether opening /proc/self/fd/N gives the same thing again: a pipe, a FIFO or a tty does.
 * Other devices may make a new instance at every open: a pty's master, /dev/fuse. */
static bool same_when_reopened(int fd)
{
    struct stat st;
    unsigned number;
    if (fstat(fd, &st) < 0)
        return false;
    return S_ISFIFO(st.st_mode) ||
           (S_ISCHR(st.st_mode) && isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0);
}

/* A description of our own where the kernel gives one: O_NONBLOCK on the caller's would
 * reach every process that shares it, the shell that owns the tty included.
 *
 * Not of a FIFO whose writers have come and gone: the end of the stream is told to those
 * who had it open then, a new reader would wait for the next writer. */
static int reopen(int fd, unsigned flags)
{
    if (!same_when_reopened(fd))
        return -1;
    char path[32];
    int mode = flags == (FERRY_PIPE_READ | FERRY_PIPE_WRITE) ? O_RDWR
               : flags & FERRY_PIPE_WRITE                    ? O_WRONLY
                                                             : O_RDONLY;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    struct pollfd now = {.fd = fd, .events = POLLIN};
    if (own >= 0 && poll(&now, 1, 0) == 1 && now.revents & POLLHUP) {
        close(own);
        return -1;
    }
    return own;
}

/* -EBADF: not open, or not for what it is to be used for. */
static int check_access(int status, unsigned flags)
{
    if (status < 0 || (flags & FERRY_PIPE_READ && (status & O_ACCMODE) == O_WRONLY) ||
        (flags & FERRY_PIPE_WRITE && (status & O_ACCMODE) == O_RDONLY))
        return -EBADF;
    return 0;
}

int ferry_pipe_borrow(ferry_loop *loop, int fd, unsigned flags, ferry_link **ret)
{
    int status = fcntl(fd, F_GETFL);
    int r = check_access(status, flags);
    if (r < 0)
        return r;
    int own = reopen(fd, flags);
    if (own >= 0)
        return open_pipe(loop, own, 0, false, ret);

    own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (own < 0)
        return -errno;
    return open_pipe(loop, own, 0, !(status & O_NONBLOCK), ret);
}
