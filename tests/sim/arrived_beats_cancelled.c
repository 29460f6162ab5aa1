/* A task waits; what it waits for arrives, and before it has run it is cancelled: it
 * gets what arrived. No REPLY, no piece and no place in the queue is lost between the
 * two.
 *
 *      waiter        reader task          test
 *      parks
 *                    REPLY, wake
 *                                         cancel
 *      runs: 0
 */
#include "sim/raw.h"

#include "base/auto.h"
#include "base/bytes.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/internal.h"

#include <string.h>

struct waiter {
    ferry_stream *st;
    ferry_piece piece;
    ferry_slice body;
    int result;
};

static FERRY_CO int wait_reply(void *arg)
{
    struct waiter *w = arg;
    w->result = ferry_stream_wait_reply(w->st, &w->body);
    return 0;
}

static FERRY_CO int wait_piece(void *arg)
{
    struct waiter *w = arg;
    w->result = ferry_stream_read(w->st, &w->piece);
    return 0;
}

static FERRY_CO int write_one(ferry_stream *st)
{
    ferry_buf *b = NULL;
    int r = ferry_buf_new(FERRY_FRAME_MAX, &b);
    if (r < 0)
        return r;
    memset(b->data, 0, FERRY_FRAME_MAX);
    b->len = FERRY_FRAME_MAX;
    return ferry_stream_write(st, (ferry_slice){b, b->data, b->len});
}

static FERRY_CO int wait_room(void *arg)
{
    struct waiter *w = arg;
    w->result = write_one(w->st);
    return 0;
}

static bool has_reply(const ferry_stream *st)
{
    return st->replied;
}

static bool has_piece(const ferry_stream *st)
{
    return st->in.count > 0;
}

static bool has_room(const ferry_stream *st)
{
    return st->queue_bytes < FERRY_STREAM_QUEUE_BYTES;
}

/* The waiter is parked; the frame that is to wake it is put on the wire; and as soon as
 * that has arrived, in the same turn, its scope is cancelled. */
static FERRY_CO void race(raw *r, struct waiter *w, FERRY_CO int (*fn)(void *arg),
                          bool (*arrived)(const ferry_stream *st), ferry_frame f,
                          const void *payload)
{
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    w->result = 1234;
    ferry_spawn(&scope, "waiter", fn, w);
    ferry_sleep(1);
    raw_put(r, f.type, 0, f.stream, payload, f.length);
    for (int turn = 0; turn < 100 && !arrived(w->st); turn++)
        ferry_yield();
    fake_check(arrived(w->st));
    fake_equal(w->result, 1234); /* else it was no race */
    ferry_scope_cancel(&scope, -FERRY_ECANCELED);
    ferry_scope_join(&scope);
}

static FERRY_CO int reply(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    struct waiter w = {0};
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &w.st), 0);
    raw_expect(&r, FERRY_CALL, 1, NULL);
    race(&r, &w, wait_reply, has_reply, (ferry_frame){3, 1, FERRY_REPLY, 0}, "yes");
    fake_equal(w.result, 0);
    fake_equal(w.body.len, 3);
    ferry_slice_done(&w.body);
    ferry_stream_close(w.st);
    raw_close(&r);
    return 0;
}

static FERRY_CO int piece(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    struct waiter w = {0};
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &w.st), 0);
    raw_expect(&r, FERRY_CALL, 1, NULL);
    race(&r, &w, wait_piece, has_piece, (ferry_frame){5, 1, FERRY_DATA, 0}, "bytes");
    fake_equal(w.result, 1);
    fake_equal(w.piece.data.len, 5);
    ferry_slice_done(&w.piece.data);
    ferry_stream_close(w.st);
    raw_close(&r);
    return 0;
}

static FERRY_CO int room(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    struct waiter w = {0};
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &w.st), 0);
    raw_expect(&r, FERRY_CALL, 1, NULL);
    for (unsigned i = 0; i < FERRY_WINDOW / FERRY_FRAME_MAX; i++) {
        fake_equal(write_one(w.st), 0);
        raw_expect(&r, FERRY_DATA, 1, NULL);
    }
    for (unsigned i = 0; i < FERRY_STREAM_QUEUE_BYTES / FERRY_FRAME_MAX; i++)
        fake_equal(write_one(w.st), 0);
    fake_equal(w.st->queue_bytes, FERRY_STREAM_QUEUE_BYTES);
    uint8_t credit[4];
    ferry_put32(credit, FERRY_FRAME_MAX);
    race(&r, &w, wait_room, has_room, (ferry_frame){4, 1, FERRY_CREDIT, 0}, credit);
    fake_equal(w.result, 0);
    fake_equal(w.st->queue_bytes, FERRY_STREAM_QUEUE_BYTES);
    ferry_stream_close(w.st);
    raw_close(&r);
    return 0;
}

static void a_reply(void **state)
{
    (void)state;
    run_in_task(reply, NULL);
}

static void a_piece(void **state)
{
    (void)state;
    run_in_task(piece, NULL);
}

static void a_place_in_the_queue(void **state)
{
    (void)state;
    run_in_task(room, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply),
        cmocka_unit_test(a_piece),
        cmocka_unit_test(a_place_in_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
