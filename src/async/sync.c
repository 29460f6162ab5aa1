/* Conditions, semaphores, channels: see sync.h. */
#include "async/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct waiter {
    ferry_list link;
    ferry_task *task;
    bool given; /* semaphore: a slot is ours */
};

/* ---- conditions ------------------------------------------------------------------- */

void ferry_cond_init(ferry_cond *c)
{
    ferry_list_init(&c->waiters);
}

int ferry_cond_wait(ferry_cond *c)
{
    struct waiter w = {.task = ferry_self()};
    ferry_list_append(&c->waiters, &w.link);
    int r = ferry_park();
    ferry_list_remove(&w.link);
    return r;
}

void ferry_cond_wake(ferry_cond *c)
{
    ferry_list_each (struct waiter, w, &c->waiters, link)
        ferry_wake(w->task);
}

/* ---- semaphores ------------------------------------------------------------------- */

void ferry_sem_init(ferry_sem *s, unsigned count)
{
    s->free = count;
    ferry_list_init(&s->waiters);
}

int ferry_sem_get(ferry_sem *s)
{
    if (s->free > 0 && ferry_list_empty(&s->waiters)) {
        s->free--;
        return 0;
    }

    struct waiter w = {.task = ferry_self()};
    ferry_list_append(&s->waiters, &w.link);
    int r = 0;
    while (!w.given && r == 0)
        r = ferry_park();
    ferry_list_remove(&w.link);
    return w.given ? 0 : r; /* given beats cancelled: the slot is not lost */
}

void ferry_sem_put(ferry_sem *s)
{
    ferry_list *l = ferry_list_pop(&s->waiters);
    if (!l) {
        s->free++;
        return;
    }
    struct waiter *w = ferry_container(l, struct waiter, link);
    w->given = true;
    ferry_wake(w->task);
}

/* ---- channels --------------------------------------------------------------------- */

int ferry_chan_init(ferry_chan *ch, size_t cap)
{
    assert(cap > 0 && "a channel without a place is never sent to");
    *ch = (ferry_chan){.ring = calloc(cap, sizeof *ch->ring), .cap = cap};
    ferry_cond_init(&ch->changed);
    return ch->ring ? 0 : -ENOMEM;
}

void ferry_chan_done(ferry_chan *ch)
{
    assert(ch->count == 0 && "what is in a channel has an owner: drain it first");
    free(ch->ring);
    ch->ring = NULL;
}

int ferry_chan_send(ferry_chan *ch, void *v)
{
    for (int r = 0;; r = ferry_cond_wait(&ch->changed)) {
        if (ch->closed)
            return -EPIPE;
        if (ch->count < ch->cap)
            break;
        if (r < 0)
            return r;
    }
    ch->ring[(ch->head + ch->count++) % ch->cap] = v;
    ferry_cond_wake(&ch->changed);
    return 0;
}

bool ferry_chan_try_recv(ferry_chan *ch, void **ret_v)
{
    if (ch->count == 0)
        return false;
    *ret_v = ch->ring[ch->head];
    ch->head = (ch->head + 1) % ch->cap;
    ch->count--;
    ferry_cond_wake(&ch->changed);
    return true;
}

/* A value that came with the cancel beats it: it would be nobody's. */
int ferry_chan_recv(ferry_chan *ch, void **ret_v)
{
    for (int r = 0;; r = ferry_cond_wait(&ch->changed)) {
        if (ferry_chan_try_recv(ch, ret_v))
            return 0;
        if (ch->closed)
            return -EPIPE;
        if (r < 0)
            return r;
    }
}

void ferry_chan_close(ferry_chan *ch)
{
    ch->closed = true;
    ferry_cond_wake(&ch->changed);
}
