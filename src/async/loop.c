/* The loop: our handles on a uv loop, messages from outside, and the fake clock. See
 * loop.h for the picture. Closing is the delicate part: the struct is counted, because
 * children that are dying and handles that are closing outlive everything else. */
#include "async/fs.h"
#include "async/internal.h"
#include "base/buf.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Stacks kept for reuse: 64 ops of three tasks each. Untouched pages cost nothing, touched ones
 * about 12 KiB a stack. */
#define SPARE_STACKS 192

/* How long a close waits for requests in the pool that nobody else waits for any more. Those of a disk
 * that works are over in a moment; the hung ones are left to their threads. */
#define CLOSE_MS 1000

/* ---- life -------------------------------------------------------------------------- */

void ferry_loop_ref(ferry_loop *loop)
{
    loop->refs++;
}

void ferry_loop_unref(ferry_loop *loop)
{
    if (--loop->refs > 0)
        return;
    ferry_co_pool_done(&loop->stacks);
    ferry_buf_drop_kept();
    void (*closed)(void *) = loop->closed;
    void *arg = loop->closed_arg;
    free(loop);
    if (closed)
        closed(arg);
}

static ferry_loop *allocate(void)
{
    ferry_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->refs = 1;
    ferry_list_init(&loop->ready);
    ferry_co_pool_init(&loop->stacks, SPARE_STACKS);
    const ferry_sem_rank usual = {.most = FERRY_POOL_SHARE, .leaves = FERRY_POOL_SPARE};
    ferry_sem_init_ranks(&loop->pool_share, FERRY_POOL_PLACES + FERRY_POOL_SPARE,
                         (const ferry_sem_rank[FERRY_SEM_RANKS]){
                             [FERRY_WORK_BULK] = usual,
                             [FERRY_WORK_IN_TURN] = usual,
                             [FERRY_WORK_IN_A_HURRY] = {.most = UINT_MAX},
                         });
    return loop;
}

static void on_prepare(uv_prepare_t *h)
{
    ferry_drain(h->data);
}

static void on_check(uv_check_t *h)
{
    ferry_drain(h->data);
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its being active is all: the poll does not sleep */
}

/* Newest first becomes oldest first. */
static ferry_post *reversed(ferry_post *p)
{
    ferry_post *out = NULL;
    while (p) {
        ferry_post *next = p->next;
        p->next = out;
        out = p;
        p = next;
    }
    return out;
}

/* Silent before it looks: who posts behind the look rings again. */
static void answer(ferry_loop *loop)
{
    eventfd_t rings;
    (void)eventfd_read(loop->bell_fd, &rings);
    atomic_store(&loop->rung, false);
}

static void run_posts(ferry_loop *loop)
{
    for (ferry_post *p = reversed(atomic_exchange(&loop->posted, NULL)); p;) {
        ferry_post *next = p->next;
        p->run(p);
        p = next;
    }
}

static void on_bell(uv_poll_t *h, int status, int events)
{
    ferry_loop *loop = h->data;
    (void)status;
    (void)events;

    ferry_loop_ref(loop);
    answer(loop);
    run_posts(loop);
    ferry_loop_unref(loop);
}

static void on_async(uv_async_t *h)
{
    ferry_loop *loop = h->data;
    if (loop->on_kick)
        loop->on_kick(loop->kick_arg);
}

static void adopt(ferry_loop *loop, uv_handle_t *h)
{
    h->data = loop;
    uv_unref(h);
    loop->open_handles++;
}

/* Kicks (cancels: rare, and from signal handlers) wake a uv_async_t. Posts, one for every call,
 * have an eventfd of our own: a loop that wakes while the sender is still inside
 * uv_async_send() spins until it is out, and on a busy machine that was every second
 * call (1000 pauses and a sched_yield). */
static int hang_bell(ferry_loop *loop)
{
    loop->bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->bell_fd < 0)
        return -errno;
    int r = uv_poll_init(loop->uv, &loop->bell, loop->bell_fd);
    if (r == 0)
        r = uv_poll_start(&loop->bell, UV_READABLE, on_bell);
    if (r < 0)
        close(loop->bell_fd);
    return r;
}

int ferry_loop_new(struct uv_loop_s *uv, ferry_loop **ret)
{
    ferry_loop *loop = allocate();
    if (!loop)
        return -ENOMEM;
    loop->uv = uv;
    int r = hang_bell(loop);
    if (r < 0) {
        ferry_loop_unref(loop);
        return r;
    }
    r = uv_async_init(uv, &loop->async, on_async);
    assert(r == 0 && "uv_loop_init has made the descriptor that all uv_asyncs share");
    (void)r;
    uv_prepare_init(uv, &loop->prepare);
    uv_check_init(uv, &loop->check);
    uv_idle_init(uv, &loop->idle);
    uv_timer_init(uv, &loop->timer);
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    adopt(loop, (uv_handle_t *)&loop->bell);
    adopt(loop, (uv_handle_t *)&loop->async);
    adopt(loop, (uv_handle_t *)&loop->prepare);
    adopt(loop, (uv_handle_t *)&loop->check);
    adopt(loop, (uv_handle_t *)&loop->idle);
    adopt(loop, (uv_handle_t *)&loop->timer);
    *ret = loop;
    return 0;
}

int ferry_loop_new_fake(ferry_loop **ret)
{
    ferry_loop *loop = allocate();
    if (!loop)
        return -ENOMEM;
    *ret = loop;
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    ferry_loop *loop = h->data;
    if (--loop->open_handles > 0)
        return;
    close(loop->bell_fd);
    ferry_loop_unref(loop);
}

/* The post that led to this close may have been seen before its thread was through with
 * ring(): the descriptor must not go from under it. */
static void await_senders(ferry_loop *loop)
{
    while (atomic_load(&loop->senders) > 0)
        sched_yield();
}

static void close_handles(ferry_loop *loop)
{
    ferry_pool_free(loop->pool);
    loop->pool = NULL;
    await_senders(loop);
    run_posts(loop); /* requests that were over when the pool was freed */
    assert(!atomic_load(&loop->posted) && "a post behind the close");
    uv_close((uv_handle_t *)&loop->prepare, on_closed);
    uv_close((uv_handle_t *)&loop->check, on_closed);
    uv_close((uv_handle_t *)&loop->idle, on_closed);
    uv_close((uv_handle_t *)&loop->timer, on_closed);
    uv_close((uv_handle_t *)&loop->async, on_closed);
    uv_close((uv_handle_t *)&loop->bell, on_closed);
}

/* The requests are over, or there is no waiting for them any more. */
static void stop_waiting(ferry_loop *loop)
{
    loop->closing = false;
    ferry_timer_stop(&loop->close_timer);
    ferry_loop_release(loop);
    close_handles(loop);
}

static void on_close_ms(ferry_timer *t)
{
    stop_waiting(ferry_container(t, ferry_loop, close_timer));
}

void ferry_loop_close(ferry_loop *loop, void (*closed)(void *arg), void *arg)
{
    assert(loop->ntasks == 0 && "a loop closes after its tasks");
    assert(!loop->timers && "a loop closes after its timers");
    loop->closed = closed;
    loop->closed_arg = arg;
    loop->on_kick = NULL; /* one kick may still be on its way to on_async */
    if (!loop->uv) {
        ferry_loop_unref(loop);
        return;
    }
    if (loop->requests == 0) {
        close_handles(loop);
        return;
    }
    loop->closing = true;
    ferry_loop_hold(loop);
    ferry_timer_start(loop, &loop->close_timer, CLOSE_MS, on_close_ms);
}

void ferry_loop_request_over(ferry_loop *loop)
{
    if (--loop->requests == 0 && loop->closing)
        stop_waiting(loop);
}

/* ---- time -------------------------------------------------------------------------- */

uint64_t ferry_loop_now(const ferry_loop *loop)
{
    return loop->uv ? uv_now(loop->uv) : loop->fake_now;
}

int ferry_loop_run_fake(ferry_loop *loop)
{
    assert(!loop->uv && "a loop on libuv is run by libuv");
    while (loop->ntasks > 0) {
        ferry_drain(loop);
        if (!ferry_list_empty(&loop->ready) || loop->ntasks == 0)
            continue;
        uint64_t due = ferry_timers_next(loop);
        if (due == UINT64_MAX)
            return -EDEADLK;
        loop->fake_now = due;
        ferry_timers_fire(loop);
    }
    return 0;
}

/* ---- from outside ------------------------------------------------------------------ */

void ferry_loop_want_drain(ferry_loop *loop)
{
    if (loop->uv && !loop->draining)
        uv_idle_start(&loop->idle, on_idle);
}

void ferry_loop_drained(ferry_loop *loop)
{
    if (!loop->uv)
        return;
    if (ferry_list_empty(&loop->ready))
        uv_idle_stop(&loop->idle);
    else
        uv_idle_start(&loop->idle, on_idle);
}

/* Rings coalesce until the loop has answered. */
static void ring(ferry_loop *loop)
{
    if (!atomic_exchange(&loop->rung, true))
        (void)eventfd_write(loop->bell_fd, 1);
}

void ferry_loop_post(ferry_loop *loop, ferry_post *p)
{
    atomic_fetch_add(&loop->senders, 1);
    ferry_post *head = atomic_load(&loop->posted);
    do
        p->next = head;
    while (!atomic_compare_exchange_weak(&loop->posted, &head, p));
    ring(loop);
    atomic_fetch_sub(&loop->senders, 1); /* from here on the loop may be gone */
}

void ferry_loop_kick(ferry_loop *loop)
{
    int saved = errno;
    atomic_fetch_add(&loop->senders, 1);
    uv_async_send(&loop->async); /* sends coalesce: what is wanted was latched before */
    atomic_fetch_sub(&loop->senders, 1);
    errno = saved;
}

void ferry_loop_on_kick(ferry_loop *loop, void (*on_kick)(void *arg), void *arg)
{
    loop->on_kick = on_kick;
    loop->kick_arg = arg;
}

void ferry_loop_hold(ferry_loop *loop)
{
    if (loop->holds++ == 0 && loop->uv)
        uv_ref((uv_handle_t *)&loop->bell);
}

void ferry_loop_release(ferry_loop *loop)
{
    assert(loop->holds > 0 && "released more often than held");
    if (--loop->holds == 0 && loop->uv)
        uv_unref((uv_handle_t *)&loop->bell);
}
