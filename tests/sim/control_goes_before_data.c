/* A CALL, a RESET, a CREDIT or a REPLY never waits behind DATA that is only queued: at most
 * behind the one write that is under way. Said twice before it is sent, it is sent
 * once. */
#include "sim/raw.h"

#include "base/auto.h"
#include "base/bytes.h"
#include "proto/internal.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static FERRY_CO void queue_data(ferry_stream *st, size_t len)
{
    ferry_buf *b = NULL;
    if (!fake_equal(ferry_buf_new(len, &b), 0))
        return;
    memset(b->data, 7, len);
    b->len = len;
    fake_equal(ferry_stream_write(st, (ferry_slice){b, b->data, len}), 0);
}

/* With room for less than a frame. */
static FERRY_CO void open_narrow(raw *r, bool is_server)
{
    wire_faults narrow = WIRE_GOOD;
    narrow.capacity = 1000;
    raw_open(r, is_server, &narrow);
}

static FERRY_CO int before_what_is_queued(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    FERRY_AUTO(stream) ferry_stream *a = NULL;
    FERRY_AUTO(stream) ferry_stream *b = NULL;
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &a), 0);
    queue_data(a, 1000);
    queue_data(a, 1000);
    ferry_stream_finish(a);
    fake_equal(ferry_stream_call(r.conn, 2, NULL, &b), 0);
    ferry_stream_reset(b, -FERRY_ETIMEDOUT);

    const uint8_t *payload = NULL;
    raw_expect(&r, FERRY_CALL, 1, NULL);
    raw_expect(&r, FERRY_CALL, 2, NULL);
    raw_expect(&r, FERRY_RESET, 2, &payload);
    fake_equal((int32_t)ferry_get32(payload), -FERRY_ETIMEDOUT);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_expect(&r, FERRY_END, 1, NULL);
    raw_close(&r);
    return 0;
}

/* The wire is full and the queue behind it, too; then a RESET and a CALL. */
static FERRY_CO int behind_one_write(void *arg)
{
    (void)arg;
    raw r;
    open_narrow(&r, false);
    FERRY_AUTO(stream) ferry_stream *bulk = NULL;
    FERRY_AUTO(stream) ferry_stream *other = NULL;
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &bulk), 0);
    fake_equal(ferry_stream_call(r.conn, 2, NULL, &other), 0);
    ferry_sleep(1);
    queue_data(bulk, FERRY_STREAM_QUEUE_BYTES);
    ferry_sleep(1);
    fake_check(bulk->queue_count > 0);
    ferry_stream_reset(other, -FERRY_ECANCELED);

    raw_expect(&r, FERRY_CALL, 1, NULL);
    raw_expect(&r, FERRY_CALL, 2, NULL);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_expect(&r, FERRY_RESET, 2, NULL);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_close(&r);
    return 0;
}

/* The other way round: a REPLY passes what other streams have queued, but nothing of its own. Once
 * it had its turn among them, and the answer to a cancel was behind a frame of each of 15. */
static FERRY_CO int reply_passes_others(void *arg)
{
    (void)arg;
    raw r;
    open_narrow(&r, true);
    for (uint32_t id = 1; id <= 3; id++)
        raw_put32(&r, FERRY_CALL, id, 0);
    ferry_sleep(1);
    queue_data(r.streams[0], FERRY_FRAME_MAX); /* is being written */
    ferry_sleep(1);
    queue_data(r.streams[0], FERRY_FRAME_MAX);
    queue_data(r.streams[1], 100);
    ferry_stream_reply(r.streams[1], NULL);
    ferry_stream_reply(r.streams[2], NULL);

    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_expect(&r, FERRY_REPLY, 3, NULL);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_expect(&r, FERRY_DATA, 2, NULL);
    raw_expect(&r, FERRY_REPLY, 2, NULL);
    raw_close(&r);
    return 0;
}

/* What a reset stream had queued is never sent. */
static FERRY_CO int reset_drops_the_queue(void *arg)
{
    (void)arg;
    raw r;
    open_narrow(&r, false);
    FERRY_AUTO(stream) ferry_stream *bulk = NULL;
    FERRY_AUTO(stream) ferry_stream *next = NULL;
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &bulk), 0);
    queue_data(bulk, FERRY_STREAM_QUEUE_BYTES);
    ferry_stream_finish(bulk);
    ferry_sleep(1);
    ferry_stream_reset(bulk, -FERRY_ECANCELED);
    fake_equal(ferry_stream_call(r.conn, 2, NULL, &next), 0);

    raw_expect(&r, FERRY_CALL, 1, NULL);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    raw_expect(&r, FERRY_RESET, 1, NULL);
    raw_expect(&r, FERRY_CALL, 2, NULL);
    raw_put32(&r, FERRY_REPLY, 1, 0);
    raw_put32(&r, FERRY_REPLY, 2, 0);
    ferry_slice body = {0};
    fake_equal(ferry_stream_wait_reply(next, &body), 0);
    ferry_slice_done(&body);
    fake_check(ferry_stream_replied(bulk));
    raw_close(&r);
    return 0;
}

/* Credit of pieces read while the wire is full comes as one frame; so does progress. */
static FERRY_CO int said_once(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    raw_put32(&r, FERRY_CALL, 1, 0);
    uint8_t page[FERRY_PIECE_OWN] = {0};
    for (int i = 0; i < FERRY_WINDOW / FERRY_PIECE_OWN; i++)
        raw_put(&r, FERRY_DATA, 0, 1, page, sizeof page);
    ferry_sleep(1);

    ferry_stream *st = r.streams[0];
    ferry_piece p = {0};
    for (int i = 0; i < FERRY_WINDOW / FERRY_PIECE_OWN; i++) {
        fake_equal(ferry_stream_read(st, &p), 1);
        fake_equal((uintptr_t)p.data.data % FERRY_BUF_ALIGN, 0);
        ferry_slice_done(&p.data);
        ferry_stream_send_progress(st, (uint64_t)i, 512);
    }
    raw_put(&r, FERRY_END, 0, 1, NULL, 0);
    fake_equal(ferry_stream_read(st, &p), 0);

    const uint8_t *payload = NULL;
    raw_expect(&r, FERRY_CREDIT, 1, &payload);
    fake_equal(ferry_get32(payload), FERRY_WINDOW);
    raw_expect(&r, FERRY_PROGRESS, 1, &payload);
    fake_equal(ferry_get64(payload), 511);
    ferry_stream_reply(st, NULL);
    raw_expect(&r, FERRY_REPLY, 1, NULL);
    raw_close(&r);
    return 0;
}

static void queued_data(void **state)
{
    (void)state;
    run_in_task(before_what_is_queued, NULL);
}

static void full_wire(void **state)
{
    (void)state;
    run_in_task(behind_one_write, NULL);
}

static void replies(void **state)
{
    (void)state;
    run_in_task(reply_passes_others, NULL);
}

static void dropped_queue(void **state)
{
    (void)state;
    run_in_task(reset_drops_the_queue, NULL);
}

static void coalesced(void **state)
{
    (void)state;
    run_in_task(said_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queued_data), cmocka_unit_test(full_wire),
        cmocka_unit_test(replies),     cmocka_unit_test(dropped_queue),
        cmocka_unit_test(coalesced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
