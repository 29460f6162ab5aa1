/* A REPLY that is here is here, whatever was not read yet: waiting for it first loses
 * no byte, and a cancel or the end of the connection comes too late to change it. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/raw.h"

#include <guestferry/error.h>

static FERRY_CO int reply_first(sim *s, enum sim_proc proc)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = FERRY_WINDOW, .chunk = 60000, .seed = 4};
    int r = sim_call(s, proc, rq, &st);
    if (r < 0)
        return r;
    fake_check(!ferry_stream_replied(st));
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(a.status, 0);
    fake_check(ferry_stream_replied(st));

    ferry_stream_reset(st, -FERRY_ECANCELED); /* too late */
    uint64_t count = 0;
    fake_equal(sim_receive(st, rq.seed, &count), 0);
    fake_equal(count, rq.bytes);
    fake_equal(sim_wait(st, &a), 0); /* and again */
    return a.status;
}

static FERRY_CO int with_end(sim *s)
{
    return reply_first(s, SIM_SOURCE);
}

static FERRY_CO int without_end(sim *s)
{
    return reply_first(s, SIM_NO_END);
}

static void data_stays_readable(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, with_end);
    assert_int_equal(sim_run(&s), 0);
    assert_int_equal(s.resets, 0);
    sim_init(&s, without_end);
    assert_int_equal(sim_run(&s), 0);
}

/* The daemon answers the call that ends it, and is gone: by then we cannot write any
 * more, but what it said is read first. */
static FERRY_CO int vanished(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    FERRY_AUTO(stream) ferry_stream *answered = NULL;
    FERRY_AUTO(stream) ferry_stream *open = NULL;
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &answered), 0);
    fake_equal(ferry_stream_call(r.conn, 2, NULL, &open), 0);
    raw_expect(&r, FERRY_CALL, 1, NULL);
    raw_expect(&r, FERRY_CALL, 2, NULL);

    wire_hold(r.conn_end, true); /* on its way while ... */
    raw_put(&r, FERRY_DATA, 0, 1, "last words", 10);
    raw_put(&r, FERRY_REPLY, 0, 1, "bye", 3);
    raw_hang_up(&r);
    ferry_stream *more = NULL; /* ... we write, which fails */
    fake_equal(ferry_stream_call(r.conn, 3, NULL, &more), 0);
    ferry_sleep(10);
    fake_equal(ferry_conn_error(r.conn), 0);
    wire_hold(r.conn_end, false);

    ferry_slice body = {0};
    fake_equal(ferry_stream_wait_reply(answered, &body), 0);
    fake_equal(body.len, 3);
    ferry_slice_done(&body);
    fake_equal(raw_wait_end(&r), -FERRY_EPIPE);
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(answered, &p), 1);
    fake_equal(p.data.len, 10);
    ferry_slice_done(&p.data);
    fake_equal(ferry_stream_read(answered, &p), 0);

    fake_equal(ferry_stream_wait_reply(open, &body), -FERRY_EPIPE);
    fake_equal(ferry_stream_wait_reply(more, &body), -FERRY_EPIPE);
    ferry_stream_close(more);
    raw_close(&r);
    return 0;
}

static void words_of_a_vanished_peer_are_read(void **state)
{
    (void)state;
    assert_int_equal(run_in_task(vanished, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_stays_readable),
        cmocka_unit_test(words_of_a_vanished_peer_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
