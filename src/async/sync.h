/* How tasks of one loop wait for each other: conditions, counting semaphores, channels.
 * Loop thread only; all are embedded in their users. */
#ifndef FERRY_ASYNC_SYNC_H
#define FERRY_ASYNC_SYNC_H

#include "async/loop.h"

#include <stddef.h>

/* A place to wait until "something changed". There is no lock: nothing else runs between
 * the caller's check and its wait.
 *
 *     while (!ready) {
 *         int r = ferry_cond_wait(&changed);
 *         if (r < 0) return r;
 *     }                                                                                */
typedef struct ferry_cond {
    ferry_list waiters;
} ferry_cond;

void ferry_cond_init(ferry_cond *c);
FERRY_CO int ferry_cond_wait(ferry_cond *c); /* 0 (perhaps spurious) or the cancel code */
void ferry_cond_wake(ferry_cond *c);         /* all waiters */

/* Counting semaphore. A slot handed to a task that is being cancelled goes to the next one: none is
 * lost. Of those that wait, the highest rank is first, and in a rank whoever came first; but a rank has
 * no more than its own most, so that one that never ends to come leaves the others what is theirs. */
#define FERRY_SEM_RANKS 3

typedef struct ferry_sem_rank {
    unsigned most;   /* slots that it may have at a time */
    unsigned leaves; /* slots that it leaves free, to ranks above */
} ferry_sem_rank;

typedef struct ferry_sem {
    unsigned free, held[FERRY_SEM_RANKS];
    ferry_sem_rank rank[FERRY_SEM_RANKS];
    ferry_list waiters; /* the highest rank first */
} ferry_sem;

void ferry_sem_init(ferry_sem *s, unsigned count); /* all ranks alike */
void ferry_sem_init_ranks(ferry_sem *s, unsigned count,
                          const ferry_sem_rank rank[FERRY_SEM_RANKS]);
/* 0: one is ours, to be put back at the same rank; or the cancel code. */
FERRY_CO int ferry_sem_get_at(ferry_sem *s, unsigned rank);
void ferry_sem_put_at(ferry_sem *s, unsigned rank);

static inline FERRY_CO int ferry_sem_get(ferry_sem *s)
{
    return ferry_sem_get_at(s, 0);
}

static inline void ferry_sem_put(ferry_sem *s)
{
    ferry_sem_put_at(s, 0);
}

/* Bounded channel of pointers. Values are handed over: after a successful send the
 * receiver owns them; what is left at done() is for the caller to drain first.
 *
 *     send ---> [ | | ] ---> recv          closed: send fails, recv empties it, then fails
 */
typedef struct ferry_chan {
    void **ring;
    size_t cap, head, count;
    bool closed;
    ferry_cond changed;
} ferry_chan;

int ferry_chan_init(ferry_chan *ch, size_t cap);       /* -ENOMEM */
void ferry_chan_done(ferry_chan *ch);                  /* must be empty */
FERRY_CO int ferry_chan_send(ferry_chan *ch, void *v); /* 0, -EPIPE closed, cancel code */
FERRY_CO int ferry_chan_recv(ferry_chan *ch, void **ret_v); /* same; -EPIPE: and empty */
bool ferry_chan_try_recv(ferry_chan *ch, void **ret_v);
void ferry_chan_close(ferry_chan *ch);

#endif
