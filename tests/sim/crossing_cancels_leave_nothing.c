/* A cancel at any moment of any call, over a slow wire: RESET crosses DATA, END and
 * REPLY in every order. Each stream still gets exactly one REPLY, the server hears at
 * most one reset, the other streams notice nothing, and no state is left on either
 * side. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/internal.h"

#include <errno.h>
#include <stdlib.h>

#define ROUNDS 60
#define SIDE_BYTES (8ull * 1024 * 1024)

/* Writes or reads until the stream says no more. */
static FERRY_CO int be_busy(void *arg)
{
    ferry_stream *st = arg;
    uint64_t count = 0;
    int r = sim_send(st, (sim_request){.bytes = 1 << 20, .chunk = 30000, .seed = 1});
    if (r == 0)
        ferry_stream_finish(st);
    r = sim_receive(st, 1, &count);
    fake_check(r != -EBADMSG);
    return 0;
}

static FERRY_CO int one_cancel(sim *s, unsigned *dice)
{
    static const enum sim_proc procs[] = {SIM_NOTHING, SIM_SOURCE, SIM_SINK,
                                          SIM_ECHO,    SIM_WAIT,   SIM_PAUSE};
    enum sim_proc proc = procs[(unsigned)rand_r(dice) % 6];
    unsigned when = (unsigned)rand_r(dice) % 30;
    bool wait = rand_r(dice) % 3; /* else it is closed without a look at the REPLY */
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = 20, .seed = 1};
    if (proc == SIM_SOURCE)
        rq = (sim_request){.bytes = (unsigned)rand_r(dice) % 300000,
                           .chunk = 7000,
                           .seed = 1};
    int r = sim_call(s, proc, rq, &st);
    if (!fake_equal(r, 0))
        return r;

    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    ferry_spawn(&scope, "busy", be_busy, st);
    if (when)
        ferry_sleep(when);
    ferry_stream_reset(st, -FERRY_ECANCELED);
    ferry_stream_reset(st,
                       -FERRY_ETIMEDOUT); /* the first counts, the second is nothing */
    ferry_scope_join(&scope);
    if (!wait)
        return 0;

    sim_answer a = {0};
    fake_equal(sim_wait(st, &a), 0);
    fake_check(a.status == 0 || a.status == -FERRY_ECANCELED);
    fake_check(proc != SIM_WAIT || a.status == -FERRY_ECANCELED);
    return 0;
}

static FERRY_CO int bystander(void *arg)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = SIDE_BYTES, .seed = 9};
    int r = sim_call(arg, SIM_SOURCE, rq, &st);
    if (r < 0)
        return r;
    uint64_t count = 0;
    fake_equal(sim_receive(st, rq.seed, &count), 0);
    fake_equal(count, SIDE_BYTES);
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    return a.status;
}

struct canceller {
    sim *s;
    unsigned dice;
};

static FERRY_CO int cancel_much(void *arg)
{
    struct canceller *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int r = one_cancel(c->s, &c->dice);
        if (r < 0)
            return r;
    }
    return 0;
}

static FERRY_CO int crossing(sim *s)
{
    unsigned seed = *(unsigned *)s->user;
    struct canceller c[3] = {{s, seed}, {s, seed + 100}, {s, seed + 200}};
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    ferry_spawn(&scope, "bystander", bystander, s);
    for (int i = 0; i < 3; i++)
        ferry_spawn(&scope, "canceller", cancel_much, &c[i]);
    int r = ferry_scope_join(&scope);

    /* Tombstones go as their REPLY comes. */
    while (s->client->nstreams > 0)
        ferry_sleep(1);
    fake_equal(s->server->nstreams, 0);
    /* A call that was closed before it was sent never was. */
    fake_check(s->started > 2 * ROUNDS && s->started <= 1 + 3 * ROUNDS);
    fake_check(s->resets > 0 && s->resets <= 3 * ROUNDS);
    return r;
}

static void many_rounds(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        sim s;
        sim_init(&s, crossing);
        s.user = &seed;
        s.to_server.seed = seed;
        s.to_client.seed = seed + 50;
        s.to_server.max_delay = seed % 4;
        s.to_client.max_delay = seed % 5;
        s.to_server.max_read = seed % 2 ? 0 : 5000;
        s.to_client.capacity = seed % 3 ? 20000 : 0;
        assert_int_equal(sim_run(&s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
