/* Conditions, semaphores, channels: see sync.h. */
#include "async/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct waiter {
    ferry_list link;
    ferry_task *task;
    /* semaphore */
    bool given; /* a slot is ours */
    unsigned rank;
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
    ferry_sem_init_ranks(s, (const unsigned[FERRY_SEM_RANKS]){count});
}

void ferry_sem_init_ranks(ferry_sem *s, const unsigned count[FERRY_SEM_RANKS])
{
    s->free = 0;
    for (unsigned rank = FERRY_SEM_RANKS; rank-- > 0; s->free += count[rank])
        s->leaves[rank] = s->free;
    ferry_list_init(&s->waiters);
}

static void queue_up(ferry_sem *s, struct waiter *w)
{
    ferry_list *next = &s->waiters; /* none: at the end */
    ferry_list_each (struct waiter, other, &s->waiters, link)
        if (other->rank < w->rank) {
            next = &other->link;
            break;
        }
    ferry_list_append(next, &w->link); /* before it */
}

static bool may_take(const ferry_sem *s, const struct waiter *w)
{
    return s->free > s->leaves[w->rank];
}

int ferry_sem_get_at(ferry_sem *s, unsigned rank)
{
    struct waiter w = {.task = ferry_self(), .rank = rank};
    if (may_take(s, &w)) { /* so nobody waits who would go before */
        s->free--;
        return 0;
    }

    queue_up(s, &w);
    int r = 0;
    while (!w.given && r == 0)
        r = ferry_park();
    ferry_list_remove(&w.link);
    return w.given ? 0 : r; /* given beats cancelled: the slot is not lost */
}

int ferry_sem_get(ferry_sem *s)
{
    return ferry_sem_get_at(s, 0);
}

void ferry_sem_put(ferry_sem *s)
{
    s->free++;
    if (ferry_list_empty(&s->waiters))
        return;
    struct waiter *w = ferry_container(s->waiters.next, struct waiter, link);
    if (!may_take(s, w))
        return;
    s->free--;
    ferry_list_remove(&w->link);
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
