/* Credit comes back for what was read, for what was thrown away unread, and for the
 * piece in hand when its reader gives up: a peer that goes on sending into a cancelled
 * stream never stalls. After END nobody needs it and none is sent. */
#include "sim/raw.h"

#include "base/auto.h"
#include "base/bytes.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint8_t zeroes[FERRY_FRAME_MAX];

#define FRAMES (FERRY_WINDOW / FERRY_FRAME_MAX)

static FERRY_CO void expect_credit(raw *r, uint32_t amount)
{
    const uint8_t *payload = NULL;
    if (raw_expect(r, FERRY_CREDIT, 1, &payload))
        fake_equal(ferry_get32(payload), amount);
}

static FERRY_CO void read_pieces(ferry_stream *st, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ferry_piece p = {0};
        fake_equal(ferry_stream_read(st, &p), 1);
        fake_equal(p.data.len, FERRY_FRAME_MAX);
        ferry_slice_done(&p.data);
    }
}

static FERRY_CO void send_frames(raw *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        raw_put(r, FERRY_DATA, 0, 1, zeroes, FERRY_FRAME_MAX);
}

/* Half a window has been read when the last piece of it is given up by the reset. */
static FERRY_CO int piece_in_hand(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &st), 0);
    raw_expect(&r, FERRY_CALL, 1, NULL);
    send_frames(&r, FRAMES / 2);
    read_pieces(st, FRAMES / 2);
    ferry_stream_reset(st, -FERRY_ECANCELED);
    expect_credit(&r, FERRY_WINDOW / 2);
    raw_expect(&r, FERRY_RESET, 1, NULL);
    raw_close(&r);
    return 0;
}

/* A daemon that has not seen the RESET yet, or does not care, sends many windows more.
 * */
static FERRY_CO int thrown_away(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, false, NULL);
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    fake_equal(ferry_stream_call(r.conn, 1, NULL, &st), 0);
    raw_expect(&r, FERRY_CALL, 1, NULL);
    send_frames(&r, FRAMES / 2);
    ferry_sleep(1);
    ferry_stream_reset(st, -FERRY_ECANCELED);
    ferry_stream_close(ferry_take(&st)); /* a tombstone does it, too */
    expect_credit(&r, FERRY_WINDOW / 2);
    raw_expect(&r, FERRY_RESET, 1, NULL);
    for (int i = 0; i < 10; i++) {
        send_frames(&r, FRAMES / 2);
        expect_credit(&r, FERRY_WINDOW / 2);
        for (unsigned n = 0; n < FERRY_WINDOW / 2; n += 1024)
            raw_put(&r, FERRY_DATA, 0, 1, zeroes, 1024);
        expect_credit(&r, FERRY_WINDOW / 2);
    }
    raw_put32(&r, FERRY_REPLY, 1, 0);
    ferry_sleep(1);
    fake_equal(ferry_conn_error(r.conn), 0);
    raw_close(&r);
    return 0;
}

static FERRY_CO int not_after_end(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    raw_put32(&r, FERRY_CALL, 1, 0);
    send_frames(&r, FRAMES);
    raw_put(&r, FERRY_END, 0, 1, NULL, 0);
    ferry_sleep(1);
    read_pieces(r.streams[0], FRAMES);
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(r.streams[0], &p), 0);
    ferry_sleep(1);
    ferry_stream_reply(r.streams[0], NULL);
    raw_expect(&r, FERRY_REPLY, 1, NULL);
    raw_close(&r);
    return 0;
}

static void for_the_piece_in_hand(void **state)
{
    (void)state;
    run_in_task(piece_in_hand, NULL);
}

static void for_what_is_thrown_away(void **state)
{
    (void)state;
    run_in_task(thrown_away, NULL);
}

static void not_after_the_end(void **state)
{
    (void)state;
    run_in_task(not_after_end, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_the_piece_in_hand),
        cmocka_unit_test(for_what_is_thrown_away),
        cmocka_unit_test(not_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
