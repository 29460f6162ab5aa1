/* What coroutines cost: a switch, a task's life, a trip through a channel; and how deep
 * stacks were used. Prints one line a figure: name, value, unit.
 *
 *     ./dev build release && build/release/bin/bench_co
 *
 * The loop is the one with the fake clock: what is measured is ours, not epoll's. */
#include "async/co.h"
#include "async/loop.h"
#include "async/scope.h"
#include "async/sync.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 5 /* the best one counts: the machine is shared */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void figure(const char *name, double value, const char *unit)
{
    printf("%-34s %10.1f %s\n", name, value, unit);
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "bench_co: failed with %d\n", r);
        exit(1);
    }
}

/* ---- the seam itself --------------------------------------------------------------- */

#define SWITCHES 2000000

struct ping {
    ferry_co *co;
};

static void yield_for_ever(void *arg)
{
    struct ping *p = arg;
    for (int i = 0; i < SWITCHES / 2; i++)
        ferry_co_yield(p->co);
}

/* A resume and a yield are two switches. */
static double switch_ns(ferry_co_pool *pool)
{
    struct ping p;
    must(ferry_co_new(pool, yield_for_ever, &p, &p.co));
    ferry_co_resume(p.co);
    uint64_t start = now_ns();
    while (!ferry_co_finished(p.co))
        ferry_co_resume(p.co);
    uint64_t took = now_ns() - start;
    ferry_co_delete(p.co);
    return (double)took / SWITCHES;
}

static void nothing(void *arg)
{
    (void)arg;
}

#define LIVES 200000

static double life_ns(ferry_co_pool *pool)
{
    uint64_t start = now_ns();
    for (int i = 0; i < LIVES; i++) {
        ferry_co *co;
        must(ferry_co_new(pool, nothing, NULL, &co));
        ferry_co_resume(co);
        ferry_co_delete(co);
    }
    return (double)(now_ns() - start) / LIVES;
}

static void seam(void)
{
    ferry_co_pool warm, cold;
    ferry_co_pool_init(&warm, 4);
    ferry_co_pool_init(&cold, 0); /* every stack is mapped anew */
    double sw = 1e9, life = 1e9, mapped = 1e9, t;
    for (int i = 0; i < ROUNDS; i++) {
        sw = (t = switch_ns(&warm)) < sw ? t : sw;
        life = (t = life_ns(&warm)) < life ? t : life;
        mapped = (t = life_ns(&cold)) < mapped ? t : mapped;
    }
    figure("switch", sw, "ns");
    figure("coroutine, pooled stack", life, "ns");
    figure("coroutine, new stack", mapped, "ns");
    printf("%-34s %10zu bytes of %d\n", "deepest stack",
           ferry_co_pool_high_water(&warm), FERRY_CO_STACK);
    ferry_co_pool_done(&warm);
    ferry_co_pool_done(&cold);
}

/* ---- tasks ------------------------------------------------------------------------- */

#define TASKS 200000
#define WIDTH 100
#define MESSAGES 500000

static FERRY_CO int child(void *arg)
{
    (void)arg;
    return 0;
}

static double spawn_join_ns(int width)
{
    uint64_t start = now_ns();
    for (int i = 0; i < TASKS / width; i++) {
        ferry_scope s;
        ferry_scope_open(&s, 0);
        for (int j = 0; j < width; j++)
            must(ferry_spawn(&s, "child", child, NULL));
        must(ferry_scope_join(&s));
    }
    return (double)(now_ns() - start) / TASKS;
}

static FERRY_CO int yielder(void *arg)
{
    (void)arg;
    for (int i = 0; i < MESSAGES; i++)
        must(ferry_yield());
    return 0;
}

static double yield_ns(void)
{
    ferry_scope s;
    ferry_scope_open(&s, 0);
    uint64_t start = now_ns();
    must(ferry_spawn(&s, "a", yielder, NULL));
    must(ferry_spawn(&s, "b", yielder, NULL));
    must(ferry_scope_join(&s));
    return (double)(now_ns() - start) / (2 * MESSAGES);
}

static FERRY_CO int sender(void *arg)
{
    for (int i = 0; i < MESSAGES; i++)
        must(ferry_chan_send(arg, arg));
    return 0;
}

static double message_ns(size_t places)
{
    ferry_chan ch;
    ferry_scope s;
    must(ferry_chan_init(&ch, places));
    ferry_scope_open(&s, 0);
    uint64_t start = now_ns();
    must(ferry_spawn(&s, "sender", sender, &ch));
    for (int i = 0; i < MESSAGES; i++) {
        void *v;
        must(ferry_chan_recv(&ch, &v));
    }
    uint64_t took = now_ns() - start;
    must(ferry_scope_join(&s));
    ferry_chan_done(&ch);
    return (double)took / MESSAGES;
}

static FERRY_CO int tasks(void *arg)
{
    (void)arg;
    double one = 1e9, many = 1e9, yield = 1e9, tight = 1e9, roomy = 1e9, t;
    for (int i = 0; i < ROUNDS; i++) {
        one = (t = spawn_join_ns(1)) < one ? t : one;
        many = (t = spawn_join_ns(WIDTH)) < many ? t : many;
        yield = (t = yield_ns()) < yield ? t : yield;
        tight = (t = message_ns(1)) < tight ? t : tight;
        roomy = (t = message_ns(64)) < roomy ? t : roomy;
    }
    figure("task: spawn + run + join, one", one, "ns");
    figure("task: spawn + run + join, of 100", many, "ns");
    figure("task: ferry_yield()", yield, "ns");
    figure("channel of 1: message", tight, "ns");
    figure("channel of 64: message", roomy, "ns");
    return 0;
}

int main(void)
{
    ferry_loop *loop;
    ferry_scope root;
    seam();
    must(ferry_loop_new_fake(&loop));
    ferry_scope_open_root(&root, loop, NULL, 0);
    must(ferry_spawn(&root, "bench", tasks, NULL));
    must(ferry_loop_run_fake(loop));
    ferry_scope_done(&root);
    ferry_loop_close(loop, NULL, NULL);
    return 0;
}
