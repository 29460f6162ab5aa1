/* Blocking work of a call: one function on a pool thread while the call's task waits.
 *
 *      static void work(void *arg) { struct lookup *x = arg; x->r = fstatat(...); }
 *      ...
 *      struct lookup x = {.path = a->path};
 *      int r = ferryd_block(work, &x);
 *
 * The wait is not cancellable: when the call ends, none of its system calls is still
 * running, so `arg` may live on the stack, nothing reappears after its cleanup, and a
 * cancelled call holds no mount busy. What takes long works in steps and looks at
 * ferryd_stop() between them. A disk that hangs for ever keeps its call, not the loop: the
 * host gives such a call up on its own clock. */
#ifndef FERRYD_BLOCK_H
#define FERRYD_BLOCK_H

#include "call.h"

/* 0 when fn has run. When it has not: the cancel code of a call that was cancelled before, or
 * -ENOMEM. Cleanup calls it in a shielded scope. */
FERRY_CO int ferryd_block(void (*fn)(void *arg), void *arg);

/* Any thread: 0, or the code with which the call has been cancelled. */
static inline int ferryd_stop(const struct ferryd_call *c)
{
    return atomic_load_explicit(&c->cancelled, memory_order_relaxed);
}

#endif
