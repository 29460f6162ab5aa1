/* What a call on the server hears of its end: a RESET, or the connection's, whichever
 * comes first, once, whenever it asks to be told; and nothing after its REPLY. */
#include "sim/raw.h"

#include "base/auto.h"
#include "base/bytes.h"

#include <guestferry/error.h>

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CODE ((uint32_t)-FERRY_ETIMEDOUT)

static FERRY_CO ferry_stream *open_call(raw *r, uint32_t id)
{
    unsigned before = r->calls;
    raw_put32(r, FERRY_CALL, id, 0);
    while (r->calls == before)
        ferry_yield();
    return r->streams[before];
}

static FERRY_CO int write_zeroes(ferry_stream *st, size_t len)
{
    ferry_buf *b = NULL;
    int r = ferry_buf_new(len, &b);
    if (r < 0)
        return r;
    memset(b->data, 0, len);
    b->len = len;
    return ferry_stream_write(st, (ferry_slice){b, b->data, len});
}

static FERRY_CO int by_reset(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    ferry_stream *st = open_call(&r, 1);
    raw_put32(&r, FERRY_RESET, 1, CODE);
    while (r.resets == 0)
        ferry_yield();
    fake_equal(r.reset_code, -FERRY_ETIMEDOUT);

    ferry_piece p = {0};
    fake_equal(ferry_stream_read(st, &p), r.reset_code);
    fake_equal(write_zeroes(st, 100), r.reset_code);
    fake_equal(ferry_stream_write_hole(st, 100), r.reset_code);
    raw_hang_up(&r); /* no second one */
    fake_equal(raw_wait_end(&r), -FERRY_EPIPE);
    fake_equal(r.resets, 1);
    raw_close(&r);
    return 0;
}

static FERRY_CO int by_the_end(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    ferry_stream *st = open_call(&r, 1);
    raw_hang_up(&r);
    fake_equal(raw_wait_end(&r), -FERRY_EPIPE);
    fake_equal(r.resets, 1);
    fake_equal(r.reset_code, -FERRY_EPIPE);
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(st, &p), -FERRY_EPIPE);
    fake_equal(write_zeroes(st, 100), -FERRY_EPIPE);
    ferry_stream_reply(st, NULL); /* to nobody */
    raw_close(&r);
    return 0;
}

static void note(void *arg, int code)
{
    *(int *)arg = code;
}

static FERRY_CO int told_late(void *arg)
{
    (void)arg;
    int code = 0;
    raw r;
    raw_open(&r, true, NULL);
    ferry_stream *reset = open_call(&r, 1);
    ferry_stream *lost = open_call(&r, 2);
    ferry_stream_on_reset(lost, NULL, NULL);
    ferry_stream_on_reset(reset, NULL, NULL);
    raw_put32(&r, FERRY_RESET, 1, CODE);
    ferry_sleep(1);
    ferry_stream_on_reset(reset, note, &code);
    fake_equal(code, -FERRY_ETIMEDOUT);
    raw_hang_up(&r);
    raw_wait_end(&r);
    ferry_stream_on_reset(lost, note, &code);
    fake_equal(code, -FERRY_EPIPE);
    fake_equal(r.resets, 0);
    raw_close(&r);
    return 0;
}

static FERRY_CO int not_after_reply(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    ferry_stream *st = open_call(&r, 1);
    wire_hold(r.end, true);
    ferry_stream_reply(st, NULL);
    raw_put32(&r, FERRY_RESET, 1, CODE);
    ferry_sleep(1);
    raw_hang_up(&r);
    raw_wait_end(&r);
    fake_equal(r.resets, 0);
    raw_close(&r);
    return 0;
}

/* The REPLY stands behind DATA that has no credit. A RESET throws the DATA away, and so
 * needs no credit to bring the REPLY. */
static FERRY_CO int frees_the_reply(void *arg)
{
    (void)arg;
    raw r;
    raw_open(&r, true, NULL);
    ferry_stream *st = open_call(&r, 1);
    for (uint32_t sent = 0; sent < FERRY_WINDOW; sent += FERRY_FRAME_MAX) {
        fake_equal(write_zeroes(st, FERRY_FRAME_MAX), 0);
        raw_expect(&r, FERRY_DATA, 1, NULL);
    }
    fake_equal(write_zeroes(st, 1), 0);
    ferry_stream_reply(st, NULL);
    raw_put32(&r, FERRY_RESET, 1, CODE);
    raw_expect(&r, FERRY_REPLY, 1, NULL);
    fake_equal(r.resets, 0);
    raw_close(&r);
    return 0;
}

static void reset_tells(void **state)
{
    (void)state;
    run_in_task(by_reset, NULL);
}

static void the_end_tells(void **state)
{
    (void)state;
    run_in_task(by_the_end, NULL);
}

static void who_asks_late_is_told(void **state)
{
    (void)state;
    run_in_task(told_late, NULL);
}

static void who_has_replied_is_not(void **state)
{
    (void)state;
    run_in_task(not_after_reply, NULL);
}

static void reply_need_not_wait_for_credit(void **state)
{
    (void)state;
    run_in_task(frees_the_reply, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_tells),
        cmocka_unit_test(the_end_tells),
        cmocka_unit_test(who_asks_late_is_told),
        cmocka_unit_test(who_has_replied_is_not),
        cmocka_unit_test(reply_need_not_wait_for_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
