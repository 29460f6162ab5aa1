/* A deadline reaches a task in every place where src/proto can make it wait: for a
 * place in the queue, for a piece, for the REPLY, for the flush. The stream can be used
 * afterwards as if nothing had been: a cancel takes no byte with it. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/internal.h"

enum { SECOND = 1000 };

static FERRY_CO int limited(ferry_scope *scope)
{
    ferry_scope_open(scope, 0);
    ferry_scope_deadline(scope, SECOND);
    return 0;
}

static FERRY_CO int wait_for_piece(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_ECHO, (sim_request){0}, &st);
    if (r < 0)
        return r;
    ferry_scope scope;
    ferry_piece p = {0};
    limited(&scope);
    fake_equal(ferry_stream_read(st, &p), -FERRY_ETIMEDOUT);
    ferry_scope_join(&scope);

    sim_request rq = {.bytes = 100, .seed = 1};
    uint64_t count = 0;
    fake_equal(sim_send(st, rq), 0);
    ferry_stream_finish(st);
    fake_equal(sim_receive(st, 1, &count), 0);
    fake_equal(count, 100);
    return 0;
}

static FERRY_CO int wait_for_reply(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_PAUSE, (sim_request){.bytes = 5 * SECOND}, &st);
    if (r < 0)
        return r;
    ferry_scope scope;
    sim_answer a = {0};
    limited(&scope);
    fake_equal(sim_wait(st, &a), -FERRY_ETIMEDOUT);
    ferry_scope_join(&scope);
    return sim_wait(st, &a);
}

/* What the cancelled write had put into the queue stays there, whole frames of it. */
static FERRY_CO int wait_for_credit(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_PAUSE, (sim_request){.bytes = 5 * SECOND}, &st);
    if (r < 0)
        return r;
    ferry_scope scope;
    limited(&scope);
    sim_request rq = {.bytes = 2 * FERRY_WINDOW};
    fake_equal(sim_send(st, rq), -FERRY_ETIMEDOUT);
    ferry_scope_join(&scope);
    fake_equal(st->queue_bytes, FERRY_STREAM_QUEUE_BYTES);
    fake_equal(st->send.bytes, FERRY_WINDOW);
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(st->queue_count, 0);
    return a.status;
}

static FERRY_CO int wait_for_flush(sim *s)
{
    fake_equal(ferry_conn_flush(s->client), 0);
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_SINK, (sim_request){.seed = 1}, &st);
    if (r < 0)
        return r;
    fake_equal(ferry_conn_flush(s->client), 0); /* the CALL is out */

    wire_hold(s->server_end, true);
    fake_equal(sim_send(st, (sim_request){.bytes = FERRY_FRAME_MAX, .seed = 1}), 0);
    ferry_scope scope;
    limited(&scope);
    fake_equal(ferry_conn_flush(s->client), -FERRY_ETIMEDOUT);
    ferry_scope_join(&scope);

    wire_hold(s->server_end, false);
    ferry_stream_finish(st);
    fake_equal(ferry_conn_flush(s->client), 0);
    fake_check(wire_written(s->client_end) > FERRY_FRAME_MAX);
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(a.count, FERRY_FRAME_MAX);
    return a.status;
}

static void run(FERRY_CO int (*body)(sim *s))
{
    sim s;
    sim_init(&s, body);
    assert_int_equal(sim_run(&s), 0);
}

static void reader(void **state)
{
    (void)state;
    run(wait_for_piece);
}

static void waiter(void **state)
{
    (void)state;
    run(wait_for_reply);
}

static void writer(void **state)
{
    (void)state;
    run(wait_for_credit);
}

static void flusher(void **state)
{
    (void)state;
    run(wait_for_flush);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader),
        cmocka_unit_test(waiter),
        cmocka_unit_test(writer),
        cmocka_unit_test(flusher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
