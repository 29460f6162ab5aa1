/* Blocking work of a call: one function on a pool thread while the call's task waits.
 *
 *      static void work(void *arg) { struct lookup *x = arg; x->r = fstatat(...); }
 *      ...
 *      struct lookup x = {.path = a->path};
 *      int r = ferryd_block(work, &x);
 *
 * What runs is waited for, cancelled or not: when the call ends, none of its system calls is
 * still running, so `arg` may live on the stack, nothing reappears after its cleanup, and a
 * cancelled call holds no mount busy. What takes long works in steps and looks at
 * ferryd_stop() between them. A disk that hangs for ever keeps its call, not the loop: the
 * host gives such a call up on its own clock. What still waits for a thread is taken back by a
 * cancel: behind it are the reads and writes of 2 MiB of every other transfer. */
#ifndef FERRYD_BLOCK_H
#define FERRYD_BLOCK_H

#include "call.h"

/* 0 when fn has run. When it has not, and will not: the cancel code, or -ENOMEM. */
FERRY_CO int ferryd_block(void (*fn)(void *arg), void *arg);

/* The same for what moves much data, or waits until a disk has written some: it leaves a thread to
 * the others (async/work.h). */
FERRY_CO int ferryd_block_bulk(void (*fn)(void *arg), void *arg);

/* This machine's CPU is ours to divide: an appliance, not a host on which a test runs. Once, before the first
 * job. */
void ferryd_block_alone(void);

/* What is left to do when a call ends: also after a cancel, and before whatever else waits for
 * a thread. */
FERRY_CO void ferryd_clean_up(void (*fn)(void *arg), void *arg);

/* Any thread: 0, or the code with which the call has been cancelled. */
static inline int ferryd_stop(const struct ferryd_call *c)
{
    return atomic_load_explicit(&c->cancelled, memory_order_relaxed);
}

#endif
