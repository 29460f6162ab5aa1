/* Stackful coroutines: the three-function seam everything above stands on.
 *
 *      resumer                    coroutine
 *      ferry_co_new(fn) ......... (a stack, nothing runs yet)
 *      ferry_co_resume(co) -----> fn(arg) starts, or its ferry_co_yield() returns
 *          returns        <------ ferry_co_yield(), or fn returns (co is done)
 *      ferry_co_delete(co)        (stack back to the pool)
 *
 * Control is asymmetric: a yield always goes back to whoever resumed. A coroutine runs
 * on the thread that resumes it, and only one at a time per thread. ucontext makes the
 * stack, sigsetjmp/siglongjmp switch it, because swapcontext pays a system call for the
 * signal mask (the technique is QEMU's util/coroutine-ucontext.c). ASan, TSan and
 * valgrind are told of every switch.
 *
 * Stacks are mmapped with a guard page below and kept in a pool of the owner's; there is
 * no process-wide state. Only task.c calls this; the rest spawns tasks (scope.h). */
#ifndef FERRY_ASYNC_CO_H
#define FERRY_ASYNC_CO_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>

/* A coroutine's stack. Deepest user: libtirpc decoding inside a daemon call, ~12 KiB
 * (ferry_co_pool_high_water, printed by bench/co); TSan and ASan frames are several times
 * larger. Pages never touched cost nothing. */
#define FERRY_CO_STACK (256 * 1024)

/* Marks a function that may suspend: no pointer into a table and no lock may be held
 * across a call of one. For the reader; the compiler sees nothing. */
#define FERRY_CO

typedef struct ferry_co ferry_co;
typedef void (*ferry_co_fn)(void *arg);

/* Spare stacks. Embedded in its owner (one per loop). */
typedef struct ferry_co_pool {
    ferry_list spare;
    unsigned nspare;
    unsigned max_spare; /* more than this are unmapped */
} ferry_co_pool;

void ferry_co_pool_init(ferry_co_pool *pool, unsigned max_spare);
void ferry_co_pool_done(ferry_co_pool *pool);
/* Deepest use of any spare stack so far, in bytes: counts pages that are no longer
 * zero, from the bottom. For the bench's stack census; walks memory. */
size_t ferry_co_pool_high_water(const ferry_co_pool *pool);

/* -ENOMEM. fn runs on the first resume. */
int ferry_co_new(ferry_co_pool *pool, ferry_co_fn fn, void *arg, ferry_co **ret);
void ferry_co_resume(ferry_co *co); /* co is not running and not done */
void ferry_co_yield(ferry_co *co);
bool ferry_co_finished(const ferry_co *co);
void ferry_co_delete(ferry_co *co); /* done, or never resumed */

#endif
