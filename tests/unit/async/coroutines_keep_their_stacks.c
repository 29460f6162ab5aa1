/* A coroutine's locals, registers and floating point are its own across switches; its stack
 * is used again by the next one; what is not used any more is unmapped. */
#include "async/co.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N 50

struct fib {
    ferry_co *co;
    uint64_t value;
    double real;
    unsigned seen_low, seen_high;
};

/* Yields from inside a recursion, so that every level's frame lives through switches. */
static uint64_t fib(struct fib *f, unsigned n, double scale)
{
    volatile char frame[200];
    memset((char *)frame, (int)n, sizeof frame);
    uint64_t r = n < 2 ? n : fib(f, n - 1, scale * 1.5) + fib(f, n - 2, scale * 2.5);
    f->real += scale;
    ferry_co_yield(f->co);
    for (size_t i = 0; i < sizeof frame; i++)
        assert((unsigned char)frame[i] == n);
    return r;
}

static void run_fib(void *arg)
{
    struct fib *f = arg;
    f->value = fib(f, 12, 1.0);
}

/* Fifty of them, interleaved one switch at a time. */
static void locals_survive(void **state)
{
    (void)state;
    ferry_co_pool pool;
    static struct fib f[N];
    ferry_co_pool_init(&pool, N);
    for (int i = 0; i < N; i++)
        assert_int_equal(ferry_co_new(&pool, run_fib, &f[i], &f[i].co), 0);
    for (int live = N; live > 0;) {
        live = 0;
        for (int i = 0; i < N; i++)
            if (!ferry_co_finished(f[i].co)) {
                ferry_co_resume(f[i].co);
                live++;
            }
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(f[i].value, 144);
        assert_memory_equal(&f[i].real, &f[0].real, sizeof f[0].real);
        ferry_co_delete(f[i].co);
    }
    assert_int_equal(pool.nspare, N);
    ferry_co_pool_done(&pool);
    assert_int_equal(pool.nspare, 0);
}

struct frame {
    uintptr_t at;
    ferry_co *inner, *self;
    int depth;
    ferry_co_pool *pool;
};

static void note_frame(void *arg)
{
    struct frame *f = arg;
    f->at = (uintptr_t)__builtin_frame_address(0);
}

static void stacks_are_used_again(void **state)
{
    (void)state;
    ferry_co_pool pool;
    struct frame first = {0}, f = {0};
    ferry_co *co;
    ferry_co_pool_init(&pool, 1);
    for (int i = 0; i < 1000; i++) {
        struct frame *out = i ? &f : &first;
        assert_int_equal(ferry_co_new(&pool, note_frame, out, &co), 0);
        ferry_co_resume(co);
        assert_true(ferry_co_finished(co));
        ferry_co_delete(co);
        assert_int_equal(pool.nspare, 1);
        if (i)
            assert_true(f.at == first.at);
    }
    ferry_co_pool_done(&pool);
}

/* Mappings of just a stack's size: sanitizers have many others, and make more. */
static int stacks_mapped(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    unsigned long low, high;
    int n = 0;
    assert_non_null(f);
    while (fscanf(f, "%lx-%lx%*[^\n]", &low, &high) == 2)
        n += high - low == FERRY_CO_STACK;
    fclose(f);
    return n;
}

static void spares_are_bounded(void **state)
{
    (void)state;
    ferry_co_pool pool;
    ferry_co *co[N];
    struct frame f;
    ferry_co_pool_init(&pool, 3);
    int before = stacks_mapped();
    for (int i = 0; i < N; i++)
        assert_int_equal(ferry_co_new(&pool, note_frame, &f, &co[i]), 0);
    assert_in_range(stacks_mapped(), before + N - 1, before + N);
    for (int i = 0; i < N; i++) {
        if (i % 2) /* every other one was never resumed */
            ferry_co_resume(co[i]);
        ferry_co_delete(co[i]);
    }
    assert_int_equal(pool.nspare, 3);
    assert_in_range(stacks_mapped(), before + 2, before + 3);
    ferry_co_pool_done(&pool);
    assert_int_equal(stacks_mapped(), before);
}

static void dig(void *arg)
{
    struct frame *f = arg;
    if (f->depth-- > 0) {
        assert(ferry_co_new(f->pool, dig, f, &f->inner) == 0);
        ferry_co *inner = f->inner;
        ferry_co_resume(inner);
        assert(ferry_co_finished(inner));
        ferry_co_delete(inner);
    }
}

/* A coroutine may resume another: a yield goes back to whoever resumed. */
static void resumes_nest(void **state)
{
    (void)state;
    ferry_co_pool pool;
    ferry_co_pool_init(&pool, 100);
    struct frame f = {.depth = 20, .pool = &pool};
    ferry_co *co;
    assert_int_equal(ferry_co_new(&pool, dig, &f, &co), 0);
    ferry_co_resume(co);
    assert_true(ferry_co_finished(co));
    ferry_co_delete(co);
    assert_int_equal(f.depth, -1);
    assert_int_equal(pool.nspare, 21);
    ferry_co_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locals_survive),
        cmocka_unit_test(stacks_are_used_again),
        cmocka_unit_test(spares_are_bounded),
        cmocka_unit_test(resumes_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
