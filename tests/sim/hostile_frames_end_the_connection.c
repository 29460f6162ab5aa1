/* A peer that breaks a rule of docs/protocol.md ends its connection with -FERRY_EPROTO
 * and a text that names the rule; its streams fail, and nothing else happens. One case
 * per rule, for a connection of either side. */
#include "sim/raw.h"

#include "base/auto.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static const uint8_t zeroes[FERRY_FRAME_MAX];

#define CODE ((uint32_t)-FERRY_ECANCELED)

/* ---- what a client may not do --------------------------------------------------- */

static FERRY_CO void unknown_type(raw *r)
{
    raw_put(r, 77, 0, 1, NULL, 0);
}

static FERRY_CO void reply_from_client(raw *r)
{
    raw_put32(r, FERRY_REPLY, 1, 0);
}

static FERRY_CO void log_from_client(raw *r)
{
    raw_put(r, FERRY_LOG, 0, 0, "x", 1);
}

static FERRY_CO void progress_from_client(raw *r)
{
    raw_put(r, FERRY_PROGRESS, 0, 1, zeroes, 16);
}

static FERRY_CO void hello_again(raw *r)
{
    raw_put(r, FERRY_HELLO, 0, 0, zeroes, 20);
}

static FERRY_CO void data_without_call(raw *r)
{
    raw_put(r, FERRY_DATA, 0, 2, "x", 1);
}

static FERRY_CO void id_again(raw *r)
{
    raw_put32(r, FERRY_CALL, 1, 0);
}

static FERRY_CO void id_before(raw *r)
{
    raw_put32(r, FERRY_CALL, UINT32_MAX, 0); /* 1 is newer than that */
}

static FERRY_CO void too_many_calls(raw *r)
{
    for (uint32_t id = 2; id <= FERRY_CONN_STREAMS + 1; id++)
        raw_put32(r, FERRY_CALL, id, 0);
}

static FERRY_CO void data_after_end(raw *r)
{
    raw_put(r, FERRY_END, 0, 1, NULL, 0);
    raw_put(r, FERRY_DATA, 0, 1, "x", 1);
}

static FERRY_CO void end_after_end(raw *r)
{
    raw_put(r, FERRY_END, 0, 1, NULL, 0);
    raw_put(r, FERRY_END, 0, 1, NULL, 0);
}

static FERRY_CO void data_after_reset(raw *r)
{
    raw_put32(r, FERRY_RESET, 1, CODE);
    raw_put(r, FERRY_DATA, 0, 1, "x", 1);
}

static FERRY_CO void reset_after_reset(raw *r)
{
    raw_put32(r, FERRY_RESET, 1, CODE);
    raw_put32(r, FERRY_RESET, 1, CODE);
}

static FERRY_CO void reset_with_success(raw *r)
{
    raw_put32(r, FERRY_RESET, 1, 0);
}

static FERRY_CO void data_over_window(raw *r)
{
    for (uint32_t sent = 0; sent < FERRY_WINDOW; sent += FERRY_FRAME_MAX)
        raw_put(r, FERRY_DATA, 0, 1, zeroes, FERRY_FRAME_MAX);
    raw_put(r, FERRY_DATA, 0, 1, zeroes, 1);
}

static FERRY_CO void holes_over_window(raw *r)
{
    uint8_t one[8] = {[7] = 1};
    for (uint32_t sent = 0; sent <= FERRY_WINDOW; sent += FERRY_COST_MIN)
        raw_put(r, FERRY_DATA, FERRY_FRAME_HOLE, 1, one, 8);
}

static FERRY_CO void hole_of_nothing(raw *r)
{
    raw_put(r, FERRY_DATA, FERRY_FRAME_HOLE, 1, zeroes, 8);
}

static FERRY_CO void credit_for_nothing(raw *r)
{
    raw_put32(r, FERRY_CREDIT, 1, 1);
}

static FERRY_CO void credit_of_nothing(raw *r)
{
    raw_put32(r, FERRY_CREDIT, 1, 0);
}

/* ---- what neither may do with the lane ------------------------------------------- */

static FERRY_CO void slot_without_lane(raw *r)
{
    raw_put_slot(r, 1, 0, 100);
}

static FERRY_CO void free_without_lane(raw *r)
{
    raw_put_free(r, 1);
}

static FERRY_CO void second_offer(raw *r)
{
    raw_open_lane(r);
    raw_put_lane(r, RAW_LANE);
}

static FERRY_CO void impossible_shape(raw *r)
{
    ferry_lane_shape shape = RAW_LANE;
    shape.up = FERRY_LANE_SLOTS_MAX + 1;
    raw_put_lane(r, shape);
}

static FERRY_CO void slot_beyond(raw *r)
{
    raw_open_lane(r);
    raw_put_slot(r, 1, r->is_server ? RAW_LANE.up : RAW_LANE.down, 100);
}

static FERRY_CO void slot_far_beyond(raw *r)
{
    raw_open_lane(r);
    raw_put_slot(r, 1, UINT32_MAX, 100);
}

static FERRY_CO void slot_of_nothing(raw *r)
{
    raw_open_lane(r);
    raw_put_slot(r, 1, 0, 0);
}

static FERRY_CO void slot_overfull(raw *r)
{
    raw_open_lane(r);
    raw_put_slot(r, 1, 0, RAW_LANE.slot + 1);
}

static FERRY_CO void slot_twice(raw *r)
{
    raw_open_lane(r);
    raw_put_slot(r, 1, 1, 100);
    raw_put_slot(r, 1, 1, 100);
}

static FERRY_CO void free_what_was_not_sent(raw *r)
{
    raw_open_lane(r);
    raw_put_free(r, 1);
}

static FERRY_CO void free_nothing(raw *r)
{
    raw_open_lane(r);
    raw_put_free(r, 0);
}

static FERRY_CO void slot_for_a_future_stream(raw *r)
{
    raw_open_lane(r);
    raw_put_slot(r, 77, 0, 100);
}

static FERRY_CO void answer_unasked(raw *r)
{
    raw_put_lane(r, RAW_LANE);
}

static FERRY_CO void answer_of_another_shape(raw *r)
{
    ferry_lane_map *m = NULL;
    void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fake_equal(ferry_lane_map_new(at, 4096, &m), 0);
    ferry_conn_offer_lane(r->conn, m, &RAW_LANE);
    ferry_lane_map_unref(m);
    ferry_lane_shape shape = RAW_LANE;
    shape.slot *= 2;
    raw_put_lane(r, shape);
}

/* ---- what a server may not do --------------------------------------------------- */

static FERRY_CO void call_from_server(raw *r)
{
    raw_put32(r, FERRY_CALL, 9, 0);
}

static FERRY_CO void reset_from_server(raw *r)
{
    raw_put32(r, FERRY_RESET, 1, CODE);
}

static FERRY_CO void reply_twice(raw *r)
{
    raw_put32(r, FERRY_REPLY, 1, 0);
    raw_put32(r, FERRY_REPLY, 1, 0);
}

static FERRY_CO void data_after_reply(raw *r)
{
    raw_put32(r, FERRY_REPLY, 1, 0);
    raw_put(r, FERRY_DATA, 0, 1, "x", 1);
}

static FERRY_CO void frame_for_a_future_stream(raw *r)
{
    raw_put32(r, FERRY_REPLY, 2, 0);
}

static FERRY_CO void payload_beyond_frame_max(raw *r)
{
    uint8_t header[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, FERRY_DATA, 0, 0, 0};
    raw_bytes(r, header, sizeof header);
}

struct rule {
    const char *name;
    bool conn_is_server;
    FERRY_CO void (*breach)(raw *r);
    const char *text;
};

static const struct rule rules[] = {
    {"unknown type", true, unknown_type, "unknown frame type"},
    {"REPLY from a client", true, reply_from_client,
     "REPLY on stream 1: not for a client"},
    {"LOG from a client", true, log_from_client, "LOG on stream 0: not for a client"},
    {"PROGRESS from a client", true, progress_from_client, "not for a client"},
    {"HELLO again", true, hello_again, "HELLO on stream 0: not for a client"},
    {"DATA without CALL", true, data_without_call, "DATA on stream 2: no such stream"},
    {"id again", true, id_again, "CALL on stream 1: the id was used before"},
    {"id before", true, id_before, "the id was used before"},
    {"too many calls", true, too_many_calls, "too many streams are open"},
    {"DATA after END", true, data_after_end, "after the END or RESET of its side"},
    {"END after END", true, end_after_end, "after the END or RESET of its side"},
    {"DATA after RESET", true, data_after_reset, "after the END or RESET of its side"},
    {"RESET again", true, reset_after_reset, "after the END or RESET of its side"},
    {"RESET with success", true, reset_with_success, "its code is not an error"},
    {"DATA over window", true, data_over_window,
     "DATA on stream 1: more than the window"},
    {"holes over window", true, holes_over_window, "more than the window"},
    {"hole of nothing", true, hole_of_nothing, "a hole without length"},
    {"credit for nothing", true, credit_for_nothing, "more than is in flight"},
    {"credit of nothing", true, credit_of_nothing, "more than is in flight"},

    {"slot without lane", true, slot_without_lane, "there is no lane"},
    {"FREE without lane", true, free_without_lane, "there is no lane"},
    {"second offer", true, second_offer, "a second offer"},
    {"impossible shape", true, impossible_shape, "an impossible shape"},
    {"slot beyond", true, slot_beyond, "slot 3 with 100 bytes"},
    {"slot far beyond", true, slot_far_beyond, "slot 4294967295 with"},
    {"slot of nothing", true, slot_of_nothing, "slot 0 with 0 bytes"},
    {"slot overfull", true, slot_overfull, "slot 0 with 65537 bytes"},
    {"slot twice", true, slot_twice, "slot 1 with 100 bytes"},
    {"FREE unsent", true, free_what_was_not_sent, "a slot that it did not have"},
    {"FREE nothing", true, free_nothing, "a slot that it did not have"},
    {"slot, future stream", true, slot_for_a_future_stream, "no such stream"},

    {"server: slot without lane", false, slot_without_lane, "there is no lane"},
    {"server: FREE without lane", false, free_without_lane, "there is no lane"},
    {"server: answer unasked", false, answer_unasked, "nothing was offered"},
    {"server: another shape", false, answer_of_another_shape, "not what was offered"},
    {"server: slot beyond", false, slot_beyond, "slot 2 with 100 bytes"},
    {"server: slot far beyond", false, slot_far_beyond, "slot 4294967295 with"},
    {"server: slot of nothing", false, slot_of_nothing, "slot 0 with 0 bytes"},
    {"server: slot overfull", false, slot_overfull, "slot 0 with 65537 bytes"},
    {"server: slot twice", false, slot_twice, "slot 1 with 100 bytes"},
    {"server: FREE unsent", false, free_what_was_not_sent, "a slot that it did not"},
    {"server: slot, future stream", false, slot_for_a_future_stream, "no such stream"},

    {"CALL from a server", false, call_from_server, "not for a server to send"},
    {"RESET from a server", false, reset_from_server, "not for a server to send"},
    {"server: HELLO again", false, hello_again, "HELLO on stream 0: not for a server"},
    {"REPLY twice", false, reply_twice, "REPLY on stream 1: no such stream"},
    {"DATA after REPLY", false, data_after_reply, "DATA on stream 1: no such stream"},
    {"future stream", false, frame_for_a_future_stream, "no such stream"},
    {"beyond FRAME_MAX", false, payload_beyond_frame_max, "payload too long"},
    {"server: DATA over window", false, data_over_window, "more than the window"},
    {"server: DATA after END", false, data_after_end, "after the END"},
    {"server: credit for nothing", false, credit_for_nothing, "more than is in flight"},
};

static FERRY_CO int one_rule(void *arg)
{
    const struct rule *rule = arg;
    raw r;
    raw_open(&r, rule->conn_is_server, NULL);
    ferry_stream *st = NULL;
    if (rule->conn_is_server)
        raw_put32(&r, FERRY_CALL, 1, 0);
    else {
        fake_equal(ferry_stream_call(r.conn, 0, NULL, &st), 0);
        raw_expect(&r, FERRY_CALL, 1, NULL);
    }
    rule->breach(&r);

    fake_equal(raw_wait_end(&r), -FERRY_EPROTO);
    if (!fake_check(strstr(ferry_conn_error_text(r.conn), rule->text)))
        fprintf(stderr, "%s: \"%s\" does not say \"%s\"\n", rule->name,
                ferry_conn_error_text(r.conn), rule->text);
    fake_check(r.resets <= r.calls);

    /* Who comes later is told, too. */
    ferry_stream *late = NULL;
    if (!rule->conn_is_server) {
        fake_equal(ferry_stream_call(r.conn, 0, NULL, &late), -FERRY_EPROTO);
        ferry_slice body = {0};
        int answer = ferry_stream_wait_reply(st, &body);
        fake_check(answer == (ferry_stream_replied(st) ? 0 : -FERRY_EPROTO));
        ferry_slice_done(&body);
    }
    ferry_stream_close(st);
    raw_close(&r);
    return 0;
}

static void every_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        assert_int_equal(run_in_task(one_rule, (void *)&rules[i]), 0);
}

/* Ids can be guessed: an answer to a call that is still in our queue is a breach, and does
 * not answer it. */
static FERRY_CO int early_reply(void *arg)
{
    (void)arg;
    wire_faults narrow = WIRE_GOOD;
    narrow.capacity = 100;
    raw r;
    raw_open(&r, false, &narrow);
    ferry_buf *body = NULL;
    fake_equal(ferry_buf_copy(zeroes, 1000, &body), 0);
    FERRY_AUTO(stream) ferry_stream *sent = NULL;
    FERRY_AUTO(stream) ferry_stream *queued = NULL;
    fake_equal(ferry_stream_call(r.conn, 0, body, &sent), 0);
    ferry_sleep(1);
    fake_equal(ferry_buf_copy(zeroes, 1000, &body), 0);
    fake_equal(ferry_stream_call(r.conn, 0, body, &queued), 0);
    raw_put32(&r, FERRY_REPLY, 2, 0);
    fake_equal(raw_wait_end(&r), -FERRY_EPROTO);
    fake_check(strstr(ferry_conn_error_text(r.conn), "not open yet"));
    fake_check(!ferry_stream_replied(queued));
    raw_close(&r);
    return 0;
}

static void reply_before_the_call_is_sent(void **state)
{
    (void)state;
    assert_int_equal(run_in_task(early_reply, NULL), 0);
}

/* Not a breach: what a client sent before it saw the REPLY is ignored. */
static FERRY_CO int late_frames(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    raw_put32(&r, FERRY_CALL, 1, 0);
    while (r.calls == 0)
        ferry_yield();
    ferry_stream_reply(r.streams[0], NULL);
    raw_expect(&r, FERRY_REPLY, 1, NULL);
    raw_put(&r, FERRY_DATA, 0, 1, zeroes, 5);
    raw_put(&r, FERRY_DATA, 0, 1, zeroes, FERRY_FRAME_MAX);
    raw_put(&r, FERRY_END, 0, 1, NULL, 0);
    raw_put32(&r, FERRY_CREDIT, 1, 9);
    raw_put32(&r, FERRY_RESET, 1, CODE);
    raw_put32(&r, FERRY_CALL, 2, 0);
    while (r.calls == 1)
        ferry_yield();
    fake_equal(ferry_conn_error(r.conn), 0);
    fake_equal(r.resets, 0);
    raw_close(&r);
    return 0;
}

static void late_frames_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(run_in_task(late_frames, NULL), 0);
}

/* Not a breach either: ids are compared as serial numbers. */
static FERRY_CO int wrapping_ids(void *arg)
{
    (void)arg;
    static const uint32_t ids[] = {1, 0x70000000, 0xe0000000, UINT32_MAX, 1, 2};
    raw r;
    raw_open(&r, true, NULL);
    for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
        raw_put32(&r, FERRY_CALL, ids[i], 0);
        while (r.calls == i && !ferry_conn_error(r.conn))
            ferry_yield();
        if (!fake_equal(ferry_conn_error(r.conn), 0))
            break;
        ferry_stream_reply(r.streams[i], NULL);
        raw_expect(&r, FERRY_REPLY, ids[i], NULL);
    }
    raw_close(&r);
    return 0;
}

static void ids_may_wrap(void **state)
{
    (void)state;
    assert_int_equal(run_in_task(wrapping_ids, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule),
        cmocka_unit_test(reply_before_the_call_is_sent),
        cmocka_unit_test(late_frames_are_ignored),
        cmocka_unit_test(ids_may_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
