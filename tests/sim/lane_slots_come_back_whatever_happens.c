/* Whatever becomes of the streams that use the lane (finished, refused, reset in the middle by
 * either order of events, closed, never read), each slot is back in the end, and nothing was sent
 * inline that had a slot waiting. */
#include "sim/sim.h"

#include "base/auto.h"
#include "proto/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LOTS (3ull * 1024 * 1024 + 12345)
#define STREAMS 12

static FERRY_CO bool wait_open(sim *s)
{
    while (ferry_conn_get_lane(s->client) == FERRY_CONN_LANE_OFFERED)
        if (ferry_sleep(1) < 0)
            return false;
    return ferry_conn_get_lane(s->client) == FERRY_CONN_LANE_OPEN;
}

/* Bytes that went by the lane are not on the wire. */
static FERRY_CO int both_ways(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = LOTS, .chunk = 256 * 1024, .seed = 3};
    sim_answer a = {0};
    uint64_t count = 0;
    fake_check(wait_open(s));
    uint64_t up = wire_read(s->server_end), down = wire_read(s->client_end);
    fake_equal(sim_call(s, SIM_SINK, rq, &st), 0);
    fake_equal(sim_send(st, rq), 0);
    ferry_stream_finish(st);
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(a.count, LOTS);
    fake_check(wire_read(s->server_end) - up < SIM_LANE.slot);

    ferry_stream_close(ferry_take(&st));
    fake_equal(sim_call(s, SIM_SOURCE, rq, &st), 0);
    fake_equal(sim_receive(st, rq.seed, &count), 0);
    fake_equal(count, LOTS);
    fake_check(wire_read(s->client_end) - down < SIM_LANE.slot);
    fake_check(sim_lane_rests(s));
    return 0;
}

/* What the server has consumed is known as it goes back. */
static FERRY_CO int progress(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = 2ull * SIM_LANE.slot, .chunk = SIM_LANE.slot, .seed = 3};
    fake_check(wait_open(s));
    fake_equal(sim_call(s, SIM_SINK, rq, &st), 0);
    fake_equal(sim_send(st, rq), 0);
    while (ferry_stream_acked(st) < rq.bytes)
        if (ferry_sleep(1) < 0)
            break;
    fake_equal(ferry_stream_acked(st), rq.bytes);
    return 0;
}

/* ---- many, cancelled anywhere --------------------------------------------------------- */

struct one {
    sim *s;
    unsigned i, after; /* reset after so many ms */
    ferry_scope scope;
};

static FERRY_CO int cancel_later(void *arg)
{
    struct one *o = arg;
    if (ferry_sleep(o->after) == 0)
        ferry_scope_cancel(&o->scope, -FERRY_ECANCELED);
    return 0;
}

static FERRY_CO void transfer(struct one *o, ferry_stream *st, sim_request rq)
{
    uint64_t count;
    if (o->i % 3 == 0)
        sim_receive(st, rq.seed, &count);
    else
        sim_send(st, rq);
    if (o->i % 4 != 0)
        ferry_stream_reset(st, -FERRY_ECANCELED);
}

static FERRY_CO int one_task(void *arg)
{
    static const enum sim_proc procs[] = {SIM_SOURCE, SIM_SINK, SIM_REFUSE, SIM_ECHO};
    struct one *o = arg;
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = LOTS, .chunk = 200 * 1024, .seed = o->i};
    ferry_scope killer;
    ferry_scope_open(&killer, FERRY_SCOPE_SUPERVISE);
    ferry_scope_open(&o->scope, FERRY_SCOPE_SUPERVISE);
    int r = sim_call(o->s, procs[o->i % 3 == 0 ? 0 : 1 + o->i % 3], rq, &st);
    if (r == 0)
        r = ferry_spawn(&killer, "killer", cancel_later, o);
    if (r == 0)
        transfer(o, st, rq);
    ferry_scope_join(&o->scope);
    ferry_scope_cancel(&killer, -FERRY_ECANCELED);
    ferry_scope_join(&killer);
    return 0; /* closes: what is still open becomes a tombstone */
}

static FERRY_CO int cancelled_anywhere(sim *s)
{
    fake_check(wait_open(s));
    for (unsigned round = 0; round < 8; round++) {
        struct one all[STREAMS];
        ferry_scope scope;
        ferry_scope_open(&scope, FERRY_SCOPE_SUPERVISE);
        for (unsigned i = 0; i < STREAMS; i++) {
            all[i] = (struct one){.s = s, .i = i, .after = (round * 7 + i * 3) % 23};
            fake_equal(ferry_spawn(&scope, "one", one_task, &all[i]), 0);
        }
        ferry_scope_join(&scope);
        if (!fake_check(sim_lane_rests(s)))
            break;
    }
    return 0;
}

/* ---- the connection ends -------------------------------------------------------------- */

/* A buffer of the lane outlives its connection: the memory stays as long. */
static FERRY_CO int buffer_outlives(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = LOTS, .chunk = SIM_LANE.slot, .seed = 9};
    ferry_piece p = {0};
    fake_check(wait_open(s));
    fake_equal(sim_call(s, SIM_SOURCE, rq, &st), 0);
    fake_equal(ferry_stream_read(st, &p), 1);
    wire_cut(s->server_end);
    while (!ferry_conn_error(s->client))
        if (ferry_sleep(1) < 0)
            break;
    s->user = p.data.buf;
    return 0;
}

static void run(FERRY_CO int (*body)(sim *s), ferry_buf **ret_left)
{
    sim s;
    sim_init(&s, body);
    s.lane = true;
    assert_int_equal(sim_run(&s), 0);
    if (ret_left)
        *ret_left = s.user;
}

static void bytes_go_by_the_lane(void **state)
{
    (void)state;
    run(both_ways, NULL);
}

static void progress_is_told(void **state)
{
    (void)state;
    run(progress, NULL);
}

static void slots_come_back(void **state)
{
    (void)state;
    run(cancelled_anywhere, NULL);
}

static void memory_outlives_the_connection(void **state)
{
    (void)state;
    ferry_buf *b = NULL;
    run(buffer_outlives, &b);
    assert_non_null(b);
    for (size_t i = 0; i < b->len; i++)
        assert_int_equal(b->data[i], sim_byte(9, i));
    ferry_buf_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_by_the_lane),
        cmocka_unit_test(progress_is_told),
        cmocka_unit_test(slots_come_back),
        cmocka_unit_test(memory_outlives_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
