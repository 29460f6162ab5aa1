/* Thousands of calls of every kind, one after the other and in crowds: no stream stays
 * in a table, and the heap is as large after as before. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/internal.h"

#include <malloc.h>

#define TURNS 3000

/* Bytes in use; 0 where a sanitizer has its own allocator (its leak check looks then).
 * */
static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static FERRY_CO int turn(sim *s, unsigned i)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    uint64_t count = 0;
    sim_request rq = {.bytes = i % 5 * 3000, .chunk = 999, .seed = i};
    static const enum sim_proc procs[] = {SIM_NOTHING, SIM_SOURCE, SIM_SINK, SIM_WAIT};
    int r = sim_call(s, procs[i % 4], rq, &st);
    if (r < 0)
        return r;
    if (procs[i % 4] == SIM_SOURCE && i % 3)
        fake_equal(sim_receive(st, i, &count), 0); /* else: left unread */
    if (procs[i % 4] == SIM_SINK)
        fake_equal(sim_send(st, rq), 0);
    ferry_stream_finish(st);
    if (procs[i % 4] == SIM_WAIT)
        return 0; /* closed without a word */
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    return a.status;
}

static FERRY_CO void settle(sim *s)
{
    while (s->client->nstreams > 0 || s->ended < s->started)
        ferry_sleep(1);
    fake_equal(s->server->nstreams, 0);
    for (int i = 0; i < FERRY_TABLE_BUCKETS; i++) {
        fake_check(ferry_list_empty(&s->client->table[i]));
        fake_check(ferry_list_empty(&s->server->table[i]));
    }
    fake_equal(s->client->places.free, FERRY_CONN_STREAMS);
}

static FERRY_CO int in_sequence(sim *s)
{
    size_t before = 0;
    for (unsigned i = 0; i < TURNS; i++) {
        int r = turn(s, i);
        if (!fake_equal(r, 0))
            return r;
        if (i == TURNS / 2) {
            settle(s);
            before = heap();
        }
    }
    settle(s);
    fake_check(heap() <= before + 16 * 1024); /* a stage may be of another age */
    return 0;
}

static void one_after_the_other(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, in_sequence);
    assert_int_equal(sim_run(&s), 0);
}

struct turner {
    sim *s;
    unsigned i;
};

static FERRY_CO int turn_task(void *arg)
{
    struct turner *t = arg;
    return turn(t->s, t->i);
}

static FERRY_CO int in_crowds(sim *s)
{
    struct turner turners[200];
    int r = 0;
    for (unsigned round = 0; round < 10 && r == 0; round++) {
        ferry_scope scope;
        ferry_scope_open(&scope, 0);
        for (unsigned i = 0; i < 200; i++) {
            turners[i] = (struct turner){s, i};
            ferry_spawn(&scope, "turn", turn_task, &turners[i]);
        }
        r = ferry_scope_join(&scope);
    }
    settle(s);
    return r;
}

static void in_crowds_of_two_hundred(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, in_crowds);
    assert_int_equal(sim_run(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(in_crowds_of_two_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
