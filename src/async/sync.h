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

/* Counting semaphore, first come first served. A slot handed to a task that is being
 * cancelled goes to the next one: none is lost. A higher rank goes before the lower ones, who
 * leave some of the slots for it. */
#define FERRY_SEM_RANKS 3

typedef struct ferry_sem {
    unsigned free, leaves[FERRY_SEM_RANKS]; /* each rank: so many have to stay free */
    ferry_list waiters;                     /* the highest rank first */
} ferry_sem;

void ferry_sem_init(ferry_sem *s, unsigned count);
/* Rank 0 has count[0], each higher one count[rank] more than the one below it. */
void ferry_sem_init_ranks(ferry_sem *s, const unsigned count[FERRY_SEM_RANKS]);
FERRY_CO int ferry_sem_get(ferry_sem *s); /* 0: one is ours; or the cancel code */
FERRY_CO int ferry_sem_get_at(ferry_sem *s, unsigned rank);
void ferry_sem_put(ferry_sem *s);

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
