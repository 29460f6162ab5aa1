/* A virStream to a socket and back; see pump.h. */
#include "launch/libvirt/pump.h"

#include "launch/libvirt/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One message of libvirt's protocol holds 256 KiB less its header. */
#define PIECE (128 * 1024)

/* Reads of one callback: others have their turn on the event loop too. */
#define TURNS 16

struct ferry_pump {
    pthread_mutex_t lock;
    unsigned refs; /* the owner, the socket's handle, the stream's callback, the thread */

    virStreamPtr st;
    bool st_live; /* the callback is registered */
    int st_events;

    int fd;
    int watch;
    bool fd_live; /* the handle is registered */
    int fd_events;

    void (*on_end)(void *arg);
    void *arg;
    bool told;

    char out[PIECE]; /* from the stream; out[off .. off + len) waits */
    size_t off, len;
    char in[PIECE]; /* the thread's */
};

/* ---- life ------------------------------------------------------------------------ */

static void unref(void *opaque)
{
    ferry_pump *p = opaque;
    pthread_mutex_lock(&p->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    virStreamFree(p->st);
    close(p->fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* With the lock. libvirt drops the references in a later turn of its loop: never inside
 * these. The shutdown ends the thread, too. */
static void stop_fd(ferry_pump *p)
{
    shutdown(p->fd, SHUT_RDWR);
    if (!p->fd_live)
        return;
    p->fd_live = false;
    virEventRemoveHandle(p->watch);
}

static void stop_stream(ferry_pump *p)
{
    if (!p->st_live)
        return;
    p->st_live = false;
    virStreamEventRemoveCallback(p->st);
}

/* ---- out of the stream, with the lock --------------------------------------------- */

static void flush_out(ferry_pump *p)
{
    while (p->len > 0 && p->fd_live) {
        ssize_t n = send(p->fd, p->out + p->off, p->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            stop_fd(p);
            return;
        }
        p->off += (size_t)n;
        p->len -= (size_t)n;
    }
}

static void pull_stream(ferry_pump *p)
{
    for (int i = 0; i < TURNS && p->len == 0 && p->st_live; i++) {
        int n = virStreamRecv(p->st, p->out, sizeof p->out);
        if (n == -2)
            return;
        if (n <= 0) {
            stop_stream(p);
            return;
        }
        p->off = 0;
        p->len = (size_t)n;
        flush_out(p);
    }
}

/* The stream is at its end and all of it is through. */
static void tell_end(ferry_pump *p)
{
    if (!p->on_end)
        stop_fd(p);
    else if (!p->told)
        p->on_end(p->arg);
    p->told = true;
}

/* The stream is read while there is room; while something waits, the socket is asked. */
static void settle(ferry_pump *p)
{
    if (!p->fd_live)
        stop_stream(p);
    else if (!p->st_live && p->len == 0)
        tell_end(p);

    int fd_events = p->len > 0 ? VIR_EVENT_HANDLE_WRITABLE : 0;
    if (p->fd_live && fd_events != p->fd_events)
        virEventUpdateHandle(p->watch, fd_events);
    p->fd_events = fd_events;

    int st_events = p->len == 0 ? VIR_STREAM_EVENT_READABLE : 0;
    if (p->st_live && st_events != p->st_events)
        virStreamEventUpdateCallback(p->st, st_events);
    p->st_events = st_events;
}

static void on_fd(int watch, int fd, int events, void *opaque)
{
    ferry_pump *p = opaque;
    (void)watch, (void)fd, (void)events;
    pthread_mutex_lock(&p->lock);
    flush_out(p);
    settle(p);
    pthread_mutex_unlock(&p->lock);
}

static void on_stream(virStreamPtr st, int events, void *opaque)
{
    ferry_pump *p = opaque;
    (void)st, (void)events;
    pthread_mutex_lock(&p->lock);
    pull_stream(p);
    settle(p);
    pthread_mutex_unlock(&p->lock);
}

/* ---- into the stream, without the lock --------------------------------------------- */

static bool send_all(ferry_pump *p, size_t len)
{
    for (size_t off = 0; off < len;) {
        int n = virStreamSend(p->st, p->in + off, len - off);
        if (n < 0)
            return false;
        off += (size_t)n;
    }
    return true;
}

/* A stream that takes nothing more has ended, or will: that is told where it is read. */
static void *run_in(void *arg)
{
    ferry_pump *p = arg;
    ssize_t n;
    do {
        n = recv(p->fd, p->in, sizeof p->in, 0);
    } while ((n < 0 && errno == EINTR) || (n > 0 && send_all(p, (size_t)n)));
    unref(p);
    return NULL;
}

/* ---- the contract ---------------------------------------------------------------- */

static bool start_reading(ferry_pump *p)
{
    p->watch = virEventAddHandle(p->fd, 0, on_fd, p, unref);
    p->fd_live = p->watch >= 0;
    p->refs += p->fd_live;
    p->st_events = VIR_STREAM_EVENT_READABLE;
    p->st_live = p->fd_live && virStreamEventAddCallback(p->st, p->st_events, on_stream,
                                                         p, unref) == 0;
    p->refs += p->st_live;
    return p->st_live;
}

static bool start_writing(ferry_pump *p)
{
    p->refs++;
    if (ferry_events_thread(run_in, p) == 0)
        return true;
    p->refs--;
    return false;
}

ferry_pump *ferry_pump_new(virStreamPtr st, int fd, void (*on_end)(void *arg), void *arg)
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
    p->on_end = on_end;
    p->arg = arg;

    pthread_mutex_lock(&p->lock);
    bool works = start_reading(p) && (!on_end || start_writing(p));
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
    p->len = 0;
    p->told = true;
    stop_fd(p);
    stop_stream(p);
    pthread_mutex_unlock(&p->lock);
    unref(p);
}
