/* Coroutines by ucontext and sigsetjmp: see co.h. Owns stacks; knows no task and no loop.
 *
 *   a stack's mapping                                     low addresses first
 *   | guard page (PROT_NONE) | ... free ... grows down <- frames |
 *
 * The ferry_co itself is malloced, not on the stack: a runaway frame hits the guard, and the
 * struct is still there for the debugger. */

/* glibc's fortified longjmp takes a jump to another stack for an attack. */
#undef _FORTIFY_SOURCE

#include "async/co.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define CO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CO_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CO_TSAN 1
#endif
#endif

#ifdef CO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CO_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#define CO_VALGRIND 1 /* a few instructions a stack, so in every build that can */
#include <valgrind/valgrind.h>
#endif

struct ferry_co {
    ferry_list link; /* in the pool while spare */
    ferry_co_pool *pool;
    ferry_co_fn fn;
    void *arg;
    bool done;
    bool started;

    bool entered; /* the stack has its first frame; env leads into it */
    uint8_t *map; /* guard page first */
    size_t map_size;
    ucontext_t entry; /* not in a frame of enter(): that is left by a jump, and ASan
                         * would keep the frame's red zones on the resumer's stack */
    sigjmp_buf env;   /* where it yielded, or waits in trampoline() for its next use */
    sigjmp_buf resumer; /* where it was resumed from */

    unsigned valgrind_id;
    void *tsan_fiber, *tsan_resumer;
    void *asan_fake, *asan_resumer_fake; /* fake stacks while switched away */
    const void *asan_resumer_stack;      /* told by the first switch */
    size_t asan_resumer_size;
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static uint8_t *stack_low(const ferry_co *co)
{
    return co->map + page_size();
}

static size_t stack_size(const ferry_co *co)
{
    return co->map_size - page_size();
}

/* ---- what the tools want to know of a switch ------------------------------------- */

/* In line even at -O0: a function that is entered on one stack and left on another upsets
 * TSan's record of calls. */
#define TOLD inline __attribute__((always_inline))

static TOLD void leave_resumer(ferry_co *co)
{
    (void)co;
#ifdef CO_ASAN
    __sanitizer_start_switch_fiber(&co->asan_resumer_fake, stack_low(co),
                                   stack_size(co));
#endif
#ifdef CO_TSAN
    co->tsan_resumer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(co->tsan_fiber, 0);
#endif
}

static TOLD void arrive_resumer(ferry_co *co)
{
    (void)co;
#ifdef CO_ASAN
    __sanitizer_finish_switch_fiber(co->asan_resumer_fake, NULL, NULL);
#endif
}

static TOLD void leave_co(ferry_co *co, bool for_good)
{
    (void)co;
    (void)for_good;
#ifdef CO_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &co->asan_fake,
                                   co->asan_resumer_stack, co->asan_resumer_size);
#endif
#ifdef CO_TSAN
    __tsan_switch_to_fiber(co->tsan_resumer, 0);
#endif
}

static TOLD void arrive_co(ferry_co *co)
{
    (void)co;
#ifdef CO_ASAN
    __sanitizer_finish_switch_fiber(co->asan_fake, &co->asan_resumer_stack,
                                    &co->asan_resumer_size);
#endif
}

static void tools_know_stack(ferry_co *co)
{
    (void)co;
#ifdef CO_VALGRIND
    co->valgrind_id =
        VALGRIND_STACK_REGISTER(stack_low(co), stack_low(co) + stack_size(co));
#endif
}

static void tools_forget_stack(ferry_co *co)
{
    (void)co;
#ifdef CO_VALGRIND
    VALGRIND_STACK_DEREGISTER(co->valgrind_id);
#endif
}

/* ---- stacks ----------------------------------------------------------------------- */

void ferry_co_pool_init(ferry_co_pool *pool, unsigned max_spare)
{
    ferry_list_init(&pool->spare);
    pool->nspare = 0;
    pool->max_spare = max_spare;
}

static void unmap(ferry_co *co)
{
    tools_forget_stack(co);
#ifdef CO_TSAN
    __tsan_destroy_fiber(co->tsan_fiber);
#endif
    munmap(co->map, co->map_size);
    free(co);
}

void ferry_co_pool_done(ferry_co_pool *pool)
{
    for (ferry_list *l; (l = ferry_list_pop(&pool->spare));)
        unmap(ferry_container(l, ferry_co, link));
    pool->nspare = 0;
}

size_t ferry_co_pool_high_water(const ferry_co_pool *pool)
{
    size_t most = 0;
    ferry_list_each (ferry_co, co, &pool->spare, link) {
        const uint8_t *low = stack_low(co), *p = low, *end = low + stack_size(co);
        while (p < end && *p == 0)
            p++;
        if ((size_t)(end - p) > most)
            most = (size_t)(end - p);
    }
    return most;
}

static int map_stack(ferry_co_pool *pool, ferry_co **ret)
{
    ferry_co *co = calloc(1, sizeof *co);
    if (!co)
        return -ENOMEM;
    co->pool = pool;
    ferry_list_init(&co->link);
    co->map_size = FERRY_CO_STACK + page_size();
    co->map = mmap(NULL, co->map_size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (co->map == MAP_FAILED) {
        free(co);
        return -ENOMEM;
    }
    if (mprotect(co->map, page_size(), PROT_NONE) < 0) {
        munmap(co->map, co->map_size);
        free(co);
        return -ENOMEM;
    }
    tools_know_stack(co);
#ifdef CO_TSAN
    co->tsan_fiber = __tsan_create_fiber(0);
#endif
    *ret = co;
    return 0;
}

static int take_stack(ferry_co_pool *pool, ferry_co **ret)
{
    ferry_list *l = ferry_list_pop(&pool->spare);
    if (!l)
        return map_stack(pool, ret);
    pool->nspare--;
    *ret = ferry_container(l, ferry_co, link);
    return 0;
}

static void give_stack(ferry_co *co)
{
    ferry_co_pool *pool = co->pool;
#ifdef CO_ASAN
    /* Frames that were left by a switch, not by returning, stay poisoned. */
    __asan_unpoison_memory_region(stack_low(co), stack_size(co));
#endif
    if (pool->nspare >= pool->max_spare) {
        unmap(co);
        return;
    }
    ferry_list_prepend(&pool->spare, &co->link);
    pool->nspare++;
}

/* ---- switching -------------------------------------------------------------------- */

/* The stack's first frame. It never returns but waits for the stack's next coroutine: that
 * one begins by a jump, without the system calls of setcontext. makecontext passes ints: a
 * pointer comes in two. */
static void trampoline(unsigned low, unsigned high)
{
    ferry_co *co = (ferry_co *)((uintptr_t)low | ((uintptr_t)high << 32));

    for (;;) {
        arrive_co(co);
        co->fn(co->arg);
        co->done = true;
        if (sigsetjmp(co->env, 0) == 0) {
            leave_co(co, true);
            siglongjmp(co->resumer, 1);
        }
    }
}

int ferry_co_new(ferry_co_pool *pool, ferry_co_fn fn, void *arg, ferry_co **ret)
{
    ferry_co *co = NULL;
    int r = take_stack(pool, &co);
    if (r < 0)
        return r;
    co->fn = fn;
    co->arg = arg;
    co->done = co->started = false;
#ifdef CO_ASAN
    co->asan_fake = NULL;
#endif
    *ret = co;
    return 0;
}

/* The first resume on a stack goes by way of setcontext, which alone can enter a new one. It
 * sets the signal mask too: to the thread's own, which getcontext has just read. */
static void enter(ferry_co *co)
{
    ucontext_t *uc = &co->entry;
    uintptr_t p = (uintptr_t)co;

    co->entered = true;
    if (getcontext(uc) < 0)
        abort(); /* cannot fail on Linux */
    uc->uc_stack.ss_sp = stack_low(co);
    uc->uc_stack.ss_size = stack_size(co);
    uc->uc_link = NULL;
    makecontext(uc, (void (*)(void))trampoline, 2, (unsigned)p, (unsigned)(p >> 32));
    leave_resumer(co);
    setcontext(uc);
    abort();
}

void ferry_co_resume(ferry_co *co)
{
    assert(!co->done && "resume of a finished coroutine");
    if (sigsetjmp(co->resumer, 0) == 0) {
        co->started = true;
        if (!co->entered)
            enter(co);
        leave_resumer(co);
        siglongjmp(co->env, 1);
    }
    arrive_resumer(co);
}

void ferry_co_yield(ferry_co *co)
{
    if (sigsetjmp(co->env, 0) == 0) {
        leave_co(co, false);
        siglongjmp(co->resumer, 1);
    }
    arrive_co(co);
}

bool ferry_co_finished(const ferry_co *co)
{
    return co->done;
}

void ferry_co_delete(ferry_co *co)
{
    assert((co->done || !co->started) && "delete of a suspended coroutine");
    give_stack(co);
}
