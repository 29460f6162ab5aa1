/* Each allocation of a conversation fails once, the first, the second, and so on until
 * none is left to fail: nobody aborts or hangs, no byte is wrong, nothing is leaked,
 * and what fails says so.
 *
 * malloc, calloc and aligned_alloc are wrapped by the linker (CMakeLists.txt). */
#include "sim/sim.h"

#include "base/auto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- the allocator -------------------------------------------------------------- */

static long fail_at = -1; /* counts down; at 0 one allocation fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);

static bool fails(void)
{
    return fail_at >= 0 && fail_at-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : __real_aligned_alloc(align, n);
}

/* ---- the conversation ----------------------------------------------------------- */

struct part {
    sim *s;
    enum sim_proc proc;
    uint32_t chunk;
    int result;
};

static FERRY_CO int converse(struct part *p)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = 50 * 1000, .chunk = p->chunk, .seed = 3};
    uint64_t count = 0;
    sim_answer a = {0};

    int r = sim_call(p->s, p->proc, rq, &st);
    if (r == 0 && p->proc == SIM_SINK) {
        r = sim_send(st, rq);
        ferry_stream_finish(st);
        if (r == -EPIPE)
            r = 0; /* the REPLY knows why */
    }
    if (r == 0 && p->proc == SIM_SOURCE) {
        r = sim_receive(st, rq.seed, &count);
        if (r == 0 && ferry_stream_replied(st) && count < rq.bytes)
            r = 0; /* likewise */
    }
    if (r == 0)
        r = sim_wait(st, &a);
    if (r == 0)
        r = a.status;
    if (r == 0 && p->proc == SIM_SOURCE)
        fake_equal(count, rq.bytes);
    if (r == 0 && p->proc == SIM_SINK)
        fake_equal(a.count, rq.bytes);
    return r;
}

static FERRY_CO int part_task(void *arg)
{
    struct part *p = arg;
    p->result = converse(p);
    return 0;
}

static FERRY_CO int conversation(sim *s)
{
    struct part parts[] = {
        {s, SIM_SINK, 20000, -1},
        {s, SIM_SINK, 200, -1},
        {s, SIM_SOURCE, 20000, -1},
        {s, SIM_SOURCE, 200, -1},
    };
    ferry_scope scope;
    ferry_scope_open(&scope, FERRY_SCOPE_SUPERVISE);
    int worst = 0;
    for (int i = 0; i < 4; i++) {
        int r = ferry_spawn(&scope, "part", part_task, &parts[i]);
        if (r < 0)
            parts[i].result = r;
    }
    ferry_scope_join(&scope);
    for (int i = 0; i < 4; i++) {
        int r = parts[i].result;
        /* Of the other side's memory one hears an ENOMEM, or that it has gone, or that
         * it gave the call up. */
        fake_check(r == 0 || r == -ENOMEM || r == -EPIPE || r == -FERRY_ECANCELED);
        if (r < 0)
            worst = r;
    }
    return worst;
}

static void every_allocation(void **state)
{
    (void)state;
    long failed = 0;
    for (long n = 0;; n++) {
        sim s;
        sim_init(&s, conversation);
        s.fail_at = &fail_at;
        s.fail_after = n;
        int r = sim_run(&s);
        bool over = fail_at >= 0;
        fail_at = -1;
        if (over) {
            assert_int_equal(r, 0);
            break;
        }
        failed += r < 0;
    }
    assert_true(failed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
