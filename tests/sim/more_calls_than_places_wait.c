/* The daemon never has more than FERRY_CONN_STREAMS calls: the others wait on the host,
 * each gets its turn, one that is cancelled while it waits takes nobody's, and all of
 * them hear of the connection's end. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/internal.h"

#define CALLERS (3 * FERRY_CONN_STREAMS)

struct caller {
    sim *s;
    unsigned deadline; /* ms, 0: none */
    int result;
};

static FERRY_CO int call_task(void *arg)
{
    struct caller *c = arg;
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    if (c->deadline)
        ferry_scope_deadline(&scope, c->deadline);
    c->result = sim_ask(c->s, SIM_PAUSE, (sim_request){.bytes = 100});
    ferry_scope_join(&scope);
    fake_check(c->s->server->nstreams <= FERRY_CONN_STREAMS);
    return 0;
}

static struct caller callers[CALLERS];

static FERRY_CO int crowd(sim *s)
{
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){s, i >= 300 && i < 400 ? 50 : 0, -1};
        ferry_spawn(&scope, "caller", call_task, &callers[i]);
    }
    int r = ferry_scope_join(&scope);
    for (unsigned i = 0; i < CALLERS; i++)
        fake_equal(callers[i].result, i >= 300 && i < 400 ? -FERRY_ETIMEDOUT : 0);
    fake_equal(s->started, CALLERS - 100);
    fake_equal(ferry_loop_now(s->loop), 300); /* three turns of 100 ms */
    return r;
}

static void each_gets_its_turn(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, crowd);
    assert_int_equal(sim_run(&s), 0);
}

static FERRY_CO int crowd_cut_off(sim *s)
{
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){s, 0, -1};
        ferry_spawn(&scope, "caller", call_task, &callers[i]);
    }
    int r = ferry_scope_join(&scope);
    for (unsigned i = 0; i < CALLERS; i++)
        fake_equal(callers[i].result, -FERRY_EPIPE);
    return r;
}

static void all_hear_of_the_end(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, crowd_cut_off);
    s.to_client.cut_at = 60; /* in the first REPLY */
    assert_int_equal(sim_run(&s), 0);
    assert_int_equal(s.started, FERRY_CONN_STREAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_its_turn),
        cmocka_unit_test(all_hear_of_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
