/* Readiness of a descriptor: a uv_poll with one task waiting at it. See poll.h. */
#include "async/poll.h"

#include "async/internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct ferry_poll {
    uv_poll_t uv;
    ferry_loop *loop;
    ferry_task *waiter;
    int seen; /* events; 0: none yet */
};

static int to_uv(int events)
{
    return (events & POLLIN ? UV_READABLE | UV_DISCONNECT : 0) |
           (events & POLLOUT ? UV_WRITABLE : 0);
}

static int from_uv(int events)
{
    return (events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0) |
           (events & UV_DISCONNECT ? POLLHUP : 0);
}

static void on_closed(uv_handle_t *h)
{
    ferry_poll *p = h->data;
    ferry_loop *loop = p->loop;
    free(p);
    ferry_loop_unref(loop);
}

static void on_event(uv_poll_t *h, int status, int events)
{
    ferry_poll *p = h->data;
    uv_poll_stop(h); /* level-triggered: once is enough until somebody asks again */
    /* libuv says UV_EBADF for EPOLLERR: what the error is, the next read or write tells. */
    p->seen = status < 0 ? POLLERR : from_uv(events);
    if (p->waiter)
        ferry_wake(p->waiter);
}

int ferry_poll_open(ferry_loop *loop, int fd, ferry_poll **ret)
{
    ferry_poll *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    int r = uv_poll_init(loop->uv, &p->uv, fd);
    if (r < 0) {
        free(p);
        return r;
    }
    p->loop = loop;
    p->uv.data = p;
    ferry_loop_ref(loop);
    uv_unref((uv_handle_t *)&p->uv);
    *ret = p;
    return 0;
}

int ferry_poll_wait(ferry_poll *p, int events)
{
    assert(!p->waiter && "two tasks wait at one ferry_poll");
    p->seen = 0;
    int r = uv_poll_start(&p->uv, to_uv(events), on_event);
    if (r < 0)
        return r;

    p->waiter = ferry_self();
    while (!p->seen && r == 0)
        r = ferry_park();
    p->waiter = NULL;
    if (p->seen)
        return p->seen;
    uv_poll_stop(&p->uv);
    return r;
}

void ferry_poll_close(ferry_poll *p)
{
    if (!p)
        return;
    assert(!p->waiter && "closed under a waiter");
    uv_poll_stop(&p->uv); /* takes the fd out of epoll now: it may be closed right after */
    uv_close((uv_handle_t *)&p->uv, on_closed);
}
