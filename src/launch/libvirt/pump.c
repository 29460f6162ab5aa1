/* A virStream to a socket and back; see pump.h. */
#include "launch/libvirt/pump.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One message of libvirt's protocol holds 256 KiB less its header. */
#define HALF_SIZE (128 * 1024)

/* Reads of one callback: others have their turn on the event loop too. */
#define TURNS 16

struct half {
    char data[HALF_SIZE];
    size_t off, len; /* what waits: data[off .. off + len) */
};

struct ferry_pump {
    pthread_mutex_t lock;
    unsigned refs; /* the owner's, that of the socket's handle and the stream's callback */

    virStreamPtr st;
    bool st_live; /* the callback is registered */
    int st_events;

    int fd;
    int watch;
    bool fd_live; /* the handle is registered */
    int fd_events;

    struct half in, out;
};

/* ---- life ------------------------------------------------------------------------ */

/* Called with the lock held; gives it up. */
static void unref_locked(ferry_pump *p)
{
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    virStreamFree(p->st);
    close(p->fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void unref(void *opaque)
{
    ferry_pump *p = opaque;
    pthread_mutex_lock(&p->lock);
    unref_locked(p);
}

/* libvirt drops the reference in a later turn of its loop: never inside these. */
static void stop_fd(ferry_pump *p)
{
    if (!p->fd_live)
        return;
    p->fd_live = false;
    virEventRemoveHandle(p->watch);
    shutdown(p->fd, SHUT_RDWR);
}

static void stop_stream(ferry_pump *p)
{
    if (!p->st_live)
        return;
    p->st_live = false;
    virStreamEventRemoveCallback(p->st);
}

/* ---- moving ---------------------------------------------------------------------- */

static void flush_out(ferry_pump *p)
{
    struct half *h = &p->out;
    while (h->len > 0 && p->fd_live) {
        ssize_t n = send(p->fd, h->data + h->off, h->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            stop_fd(p);
            return;
        }
        h->off += (size_t)n;
        h->len -= (size_t)n;
    }
}

static void flush_in(ferry_pump *p)
{
    struct half *h = &p->in;
    while (h->len > 0 && p->st_live) {
        int n = virStreamSend(p->st, h->data + h->off, h->len);
        if (n == -2)
            return;
        if (n < 0) {
            stop_stream(p);
            return;
        }
        h->off += (size_t)n;
        h->len -= (size_t)n;
    }
}

static void pull_stream(ferry_pump *p)
{
    for (int i = 0; i < TURNS && p->out.len == 0 && p->st_live; i++) {
        int n = virStreamRecv(p->st, p->out.data, sizeof p->out.data);
        if (n == -2)
            return;
        if (n <= 0) {
            stop_stream(p);
            return;
        }
        p->out.off = 0;
        p->out.len = (size_t)n;
        flush_out(p);
    }
}

static void pull_fd(ferry_pump *p)
{
    for (int i = 0; i < TURNS && p->in.len == 0 && p->fd_live; i++) {
        ssize_t n = recv(p->fd, p->in.data, sizeof p->in.data, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            stop_fd(p);
            return;
        }
        p->in.off = 0;
        p->in.len = (size_t)n;
        flush_in(p);
    }
}

/* Each side is read while there is room, and asked for room while something waits. Once
 * one has ended, and what it gave is through, so has the other. */
static void settle(ferry_pump *p)
{
    if (!p->st_live && p->out.len == 0)
        stop_fd(p);
    if (!p->fd_live && p->in.len == 0)
        stop_stream(p);

    int fd_events = (p->in.len == 0 && p->st_live ? VIR_EVENT_HANDLE_READABLE : 0) |
                    (p->out.len > 0 ? VIR_EVENT_HANDLE_WRITABLE : 0);
    if (p->fd_live && fd_events != p->fd_events)
        virEventUpdateHandle(p->watch, fd_events);
    p->fd_events = fd_events;

    int st_events = (p->out.len == 0 ? VIR_STREAM_EVENT_READABLE : 0) |
                    (p->in.len > 0 ? VIR_STREAM_EVENT_WRITABLE : 0);
    if (p->st_live && st_events != p->st_events)
        virStreamEventUpdateCallback(p->st, st_events);
    p->st_events = st_events;
}

static void on_fd(int watch, int fd, int events, void *opaque)
{
    ferry_pump *p = opaque;
    (void)watch, (void)fd;
    pthread_mutex_lock(&p->lock);
    if (events & VIR_EVENT_HANDLE_WRITABLE)
        flush_out(p);
    if (events & ~VIR_EVENT_HANDLE_WRITABLE)
        pull_fd(p);
    settle(p);
    pthread_mutex_unlock(&p->lock);
}

static void on_stream(virStreamPtr st, int events, void *opaque)
{
    ferry_pump *p = opaque;
    (void)st;
    pthread_mutex_lock(&p->lock);
    if (events & VIR_STREAM_EVENT_WRITABLE)
        flush_in(p);
    if (events & ~VIR_STREAM_EVENT_WRITABLE)
        pull_stream(p);
    settle(p);
    pthread_mutex_unlock(&p->lock);
}

/* ---- the contract ---------------------------------------------------------------- */

ferry_pump *ferry_pump_new(virStreamPtr st, int fd)
{
    ferry_pump *p = calloc(1, sizeof *p);
    if (!p) {
        virStreamFree(st);
        close(fd);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->st = st;
    p->fd = fd;
    p->refs = 1;

    pthread_mutex_lock(&p->lock);
    p->fd_events = VIR_EVENT_HANDLE_READABLE;
    p->watch = virEventAddHandle(fd, p->fd_events, on_fd, p, unref);
    p->fd_live = p->watch >= 0;
    p->refs += p->fd_live;
    p->st_events = VIR_STREAM_EVENT_READABLE;
    p->st_live = p->fd_live &&
                 virStreamEventAddCallback(st, p->st_events, on_stream, p, unref) == 0;
    p->refs += p->st_live;
    bool works = p->st_live;
    pthread_mutex_unlock(&p->lock);

    if (works)
        return p;
    ferry_pump_close(p);
    return NULL;
}

void ferry_pump_close(ferry_pump *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->in.len = p->out.len = 0;
    stop_fd(p);
    stop_stream(p);
    unref_locked(p);
}
