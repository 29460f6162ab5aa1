/* Conditions, semaphores, channels: see sync.h. */
#include "async/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    const ferry_sem_rank any = {.most = count};
    ferry_sem_init_ranks(s, count, (const ferry_sem_rank[]){any, any, any});
}

void ferry_sem_init_ranks(ferry_sem *s, unsigned count,
                          const ferry_sem_rank rank[FERRY_SEM_RANKS])
{
    *s = (ferry_sem){.free = count};
    memcpy(s->rank, rank, sizeof s->rank);
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

static bool try_take(ferry_sem *s, unsigned rank)
{
    const ferry_sem_rank *k = &s->rank[rank];
    if (s->free <= k->leaves || s->held[rank] >= k->most)
        return false;
    s->free--;
    s->held[rank]++;
    return true;
}

int ferry_sem_get_at(ferry_sem *s, unsigned rank)
{
    struct waiter w = {.task = ferry_self(), .rank = rank};
    if (try_take(s, rank)) /* so nobody waits who would go before */
        return 0;

    queue_up(s, &w);
    int r = 0;
    while (!w.given && r == 0)
        r = ferry_park();
    ferry_list_remove(&w.link);
    return w.given ? 0 : r; /* given beats cancelled: the slot is not lost */
}

void ferry_sem_put_at(ferry_sem *s, unsigned rank)
{
    assert(s->held[rank] > 0 && "put back at another rank than it was got at");
    s->free++;
    s->held[rank]--;
    ferry_list_each (struct waiter, w, &s->waiters, link)
        if (try_take(s, w->rank)) {
            ferry_list_remove(&w->link);
            w->given = true;
            ferry_wake(w->task);
            return;
        }
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
