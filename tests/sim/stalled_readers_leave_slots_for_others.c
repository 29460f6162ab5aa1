/* Readers that have stopped reading hold slots of the lane, each its share, and all together never
 * so many that nobody else can move: one more download ends, and so does one after that. */
#include "sim/sim.h"

#include "base/auto.h"
#include "proto/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define STALLED 20
#define LOTS (4ull * 1024 * 1024)

static FERRY_CO int body(sim *s)
{
    sim_request rq = {.bytes = LOTS, .chunk = SIM_LANE.slot, .seed = 1};
    ferry_stream *stalled[STALLED];
    while (ferry_conn_get_lane(s->client) == FERRY_CONN_LANE_OFFERED)
        if (ferry_sleep(1) < 0)
            break;

    for (unsigned i = 0; i < STALLED; i++)
        fake_equal(sim_call(s, SIM_SOURCE, rq, &stalled[i]), 0);
    ferry_sleep(1000);
    const ferry_lane_out *out = &s->server->lane.out;
    unsigned held = (unsigned)__builtin_popcountll(out->ours | out->theirs);
    fake_check(held > 0 && held <= (out->n + 1) / 2);

    for (int i = 0; i < 3; i++) {
        FERRY_AUTO(stream) ferry_stream *st = NULL;
        uint64_t count = 0;
        fake_equal(sim_call(s, SIM_SOURCE, rq, &st), 0);
        fake_equal(sim_receive(st, rq.seed, &count), 0);
        fake_equal(count, LOTS);
    }

    /* A stalled one that reads again gets the rest: all of it. */
    for (unsigned i = 0; i < STALLED; i++) {
        uint64_t count = 0;
        if (i % 2 == 0) {
            fake_equal(sim_receive(stalled[i], rq.seed, &count), 0);
            fake_equal(count, LOTS);
        }
        ferry_stream_close(stalled[i]);
    }
    fake_check(sim_lane_rests(s));
    return 0;
}

static void others_move(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, body);
    s.lane = true;
    assert_int_equal(sim_run(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(others_move)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
