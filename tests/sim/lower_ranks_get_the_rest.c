/* Of two transfers that could fill the wire or the lane, the one of the higher rank moves as if it
 * were alone, in either direction; the other one gets what is left, comes to its end, and does not
 * wait for a higher one that has stalled. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LOTS (16ull * 1024 * 1024)

/* What a lower one may have got when the higher one is through: all that was already on its way, or
 * was let go in the moments when the higher one had nothing to send. */
#define REST (LOTS / 4)

struct transfer {
    ferry_stream *st;
    uint64_t count; /* bytes that came */
    bool up;
    int result;
};

static FERRY_CO int read_all(struct transfer *t)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_stream_read(t->st, &p);
        if (r <= 0)
            return r;
        t->count += p.hole + p.data.len;
        ferry_slice_done(&p.data);
    }
}

static FERRY_CO int write_all(struct transfer *t)
{
    int r = sim_send(t->st, (sim_request){.bytes = LOTS, .chunk = SIM_LANE.slot});
    ferry_stream_finish(t->st);
    return r;
}

/* Bytes that have come, or that the other side has read. */
static uint64_t moved(const struct transfer *t)
{
    return t->up ? ferry_stream_acked(t->st) : t->count;
}

static FERRY_CO int run(void *arg)
{
    struct transfer *t = arg;
    t->result = t->up ? write_all(t) : read_all(t);
    return t->result;
}

static int begin(sim *s, struct transfer *t, bool up, ferry_rank rank)
{
    sim_request rq = {.bytes = LOTS, .chunk = SIM_LANE.slot};
    *t = (struct transfer){.up = up};
    int r = sim_call(s, up ? SIM_SINK : SIM_SOURCE, rq, &t->st);
    if (r == 0)
        ferry_stream_set_rank(t->st, rank);
    return r;
}

static FERRY_CO void all_there(const struct transfer *t)
{
    sim_answer a = {0};
    fake_equal(t->result, 0);
    fake_equal(sim_wait(t->st, &a), 0);
    fake_equal(t->up ? a.count : t->count, LOTS);
}

/* The lower one begins first, and has all there is by the time the higher one comes. */
static FERRY_CO void beside(sim *s, bool up, ferry_rank lower, ferry_rank higher)
{
    struct transfer low, high;
    ferry_scope scope, first;
    ferry_scope_open(&scope, 0);
    fake_equal(begin(s, &low, up, lower), 0);
    ferry_spawn(&scope, "lower", run, &low);
    while (moved(&low) == 0)
        ferry_yield();

    uint64_t before = moved(&low);
    ferry_scope_open(&first, 0);
    fake_equal(begin(s, &high, up, higher), 0);
    ferry_spawn(&first, "higher", run, &high);
    ferry_scope_join(&first);
    fake_check(moved(&low) - before < REST);
    all_there(&high);
    ferry_scope_join(&scope);
    all_there(&low);
    ferry_stream_close(high.st);
    ferry_stream_close(low.st);
}

static FERRY_CO void await_lane(sim *s)
{
    while (ferry_conn_get_lane(s->client) == FERRY_CONN_LANE_OFFERED)
        if (ferry_sleep(1) < 0)
            break;
}

static FERRY_CO int all_pairs(sim *s)
{
    await_lane(s);
    for (int up = 0; up < 2; up++) {
        beside(s, up, FERRY_RANK_LOW, FERRY_RANK_NORMAL);
        beside(s, up, FERRY_RANK_NORMAL, FERRY_RANK_HIGH);
        beside(s, up, FERRY_RANK_LOW, FERRY_RANK_HIGH);
    }
    fake_check(sim_lane_rests(s));
    return 0;
}

static void higher_ones_go_first(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, all_pairs);
    s.lane = true;
    assert_int_equal(sim_run(&s), 0);
}

static FERRY_CO int stalled(sim *s)
{
    await_lane(s);
    struct transfer high, low;
    ferry_scope scope;
    fake_equal(begin(s, &high, false, FERRY_RANK_HIGH), 0);
    ferry_sleep(
        1000); /* the fake clock's: it has sent all that it may, and nobody reads */
    ferry_scope_open(&scope, 0);
    fake_equal(begin(s, &low, false, FERRY_RANK_LOW), 0);
    ferry_spawn(&scope, "lower", run, &low);
    ferry_scope_join(&scope);
    fake_equal(low.result, 0);
    fake_equal(low.count, LOTS);
    ferry_stream_close(low.st);
    ferry_stream_close(high.st);
    return 0;
}

static void a_stalled_one_leaves_the_rest(void **state)
{
    (void)state;
    for (int lane = 0; lane < 2; lane++) {
        sim s;
        sim_init(&s, stalled);
        s.lane = lane;
        assert_int_equal(sim_run(&s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(higher_ones_go_first),
        cmocka_unit_test(a_stalled_one_leaves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
