/* A stream that finds no slot of the lane free waits for as long as others' slots come back; when
 * their readers have stalled, or it has not enough to fill one, it sends inline at once; and a
 * cancel ends the wait.
 *
 * Once it always sent inline. With 16 transfers in flight half of them did, and the RESET of a
 * cancelled one was 16 ms on its way through what they had in the guest's port. Then those sent inline that
 * came together, before the first of them had had the time to give a slot back: 12 of 16 downloads. */
#include "sim/raw.h"

#include "base/auto.h"
#include "proto/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SLOT (RAW_LANE.slot)
#define HOLDERS 2 /* RAW_LANE.down: a server's */

/* Fills a slot and sends it: it is the peer's now. */
static FERRY_CO void send_slot(ferry_stream *st)
{
    ferry_buf *b = NULL;
    if (!fake_equal(ferry_stream_slot(st, SLOT, &b), 1))
        return;
    b->len = SLOT;
    fake_equal(ferry_stream_write(st, (ferry_slice){b, b->data, SLOT}), 0);
}

/* A server whose slots are all sent, by streams[0] and [1]; streams[2] has none. */
static FERRY_CO void open_full(raw *r)
{
    raw_open(r, true, NULL);
    raw_open_lane(r);
    for (uint32_t id = 1; id <= HOLDERS + 1; id++)
        raw_put32(r, FERRY_CALL, id, 0);
    ferry_sleep(1);
    for (uint32_t i = 0; i < HOLDERS; i++) {
        send_slot(r->streams[i]);
        raw_expect(r, FERRY_DATA, i + 1, NULL);
        raw_put_free(r, 1u << i); /* its reader keeps pace */
        ferry_sleep(1);
        send_slot(r->streams[i]);
        raw_expect(r, FERRY_DATA, i + 1, NULL);
    }
}

struct asking {
    ferry_stream *st;
    uint64_t want;
    int result;  /* of ferry_stream_slot; 2: not back yet */
    uint64_t at; /* ms: when it was */
};

static FERRY_CO int asks(void *arg)
{
    struct asking *a = arg;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    a->result = 2;
    a->result = ferry_stream_slot(a->st, a->want, &b);
    a->at = ferry_loop_now(ferry_self_loop());
    return 0;
}

/* One slot has come back, and has been sent again; the next is waited for, in s. */
static FERRY_CO void ask_in_vain(raw *r, ferry_scope *s, struct asking *a)
{
    raw_put_free(r, 1);
    ferry_sleep(1);
    send_slot(r->streams[0]);
    raw_expect(r, FERRY_DATA, 1, NULL);
    ferry_scope_open(s, 0);
    fake_equal(ferry_spawn(s, "asks", asks, a), 0);
    ferry_sleep(20);
    fake_equal(a->result, 2);
}

static FERRY_CO int body(void *arg)
{
    raw r;
    ferry_scope s;
    (void)arg;
    open_full(&r);
    struct asking a = {.st = r.streams[2], .want = 10 * SLOT};

    /* Nothing has come back for long: inline, at once. */
    ferry_sleep(100);
    uint64_t now = ferry_loop_now(ferry_self_loop());
    asks(&a);
    fake_equal(a.result, 0);
    fake_equal(a.at, now);

    /* One has: waited for until the next does. */
    ask_in_vain(&r, &s, &a);
    raw_put_free(&r, 2);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(a.result, 1);

    /* Too little to fill one: not waited for. */
    send_slot(r.streams[1]);
    raw_expect(&r, FERRY_DATA, 2, NULL);
    a.want = SLOT - 1;
    asks(&a);
    fake_equal(a.result, 0);
    a.want = SLOT;

    /* A cancel ends the wait. */
    ask_in_vain(&r, &s, &a);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    ferry_scope_join(&s);
    fake_equal(a.result, -FERRY_ECANCELED);

    /* They have stalled: the wait has an end, and there is none after it. */
    now = ferry_loop_now(ferry_self_loop());
    asks(&a);
    fake_equal(a.result, 0);
    fake_check(a.at > now && a.at < now + 100);
    now = a.at;
    asks(&a);
    fake_equal(a.result, 0);
    fake_equal(a.at, now);
    raw_close(&r);
    return 0;
}

/* Nothing has moved for long, because there was nothing to move. The second may not have a slot before the
 * first has shown that its reader takes what it is sent, or has stalled. */
static FERRY_CO int come_together(void *arg)
{
    raw r;
    ferry_scope s;
    bool stalls = *(bool *)arg;
    raw_open(&r, true, NULL);
    raw_open_lane(&r);
    raw_put32(&r, FERRY_CALL, 1, 0);
    raw_put32(&r, FERRY_CALL, 2, 0);
    ferry_sleep(1000);
    struct asking a = {.st = r.streams[1], .want = 10 * SLOT, .result = 2};
    send_slot(r.streams[0]);
    raw_expect(&r, FERRY_DATA, 1, NULL);
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "asks", asks, &a), 0);
    ferry_sleep(20);
    fake_equal(a.result, 2);
    if (!stalls)
        raw_put_free(&r, 1);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(a.result, stalls ? 0 : 1);
    raw_close(&r);
    return 0;
}

/* Half of the slots are with a reader that has stalled, so the third may have none to begin with; and another
 * moves on and on. It does not wait for the end of that. */
static FERRY_CO int never_its_turn(void *arg)
{
    raw r;
    ferry_scope s;
    (void)arg;
    raw_open(&r, true, NULL);
    raw_open_lane(&r);
    for (uint32_t id = 1; id <= 3; id++)
        raw_put32(&r, FERRY_CALL, id, 0);
    ferry_sleep(1);
    send_slot(r.streams[1]);
    raw_expect(&r, FERRY_DATA, 2, NULL);
    raw_put_free(&r, 1);
    ferry_sleep(1);
    send_slot(r.streams[0]);
    raw_expect(&r, FERRY_DATA, 1, NULL);

    struct asking a = {.st = r.streams[2], .want = 10 * SLOT, .result = 2};
    uint64_t since = ferry_loop_now(ferry_self_loop());
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "asks", asks, &a), 0);
    for (int i = 0; i < 200 && a.result == 2; i++) {
        send_slot(r.streams[1]);
        raw_expect(&r, FERRY_DATA, 2, NULL);
        raw_put_free(&r, 2);
        ferry_sleep(10);
    }
    fake_equal(a.result, 0);
    fake_check(a.at >= since + 1000 && a.at < since + 1100);
    fake_equal(ferry_scope_join(&s), 0);
    raw_close(&r);
    return 0;
}

static void waits(void **state)
{
    (void)state;
    run_in_task(body, NULL);
}

static void waits_with_the_first(void **state)
{
    (void)state;
    run_in_task(come_together, &(bool){false});
    run_in_task(come_together, &(bool){true});
}

static void does_not_wait_for_others_to_end(void **state)
{
    (void)state;
    run_in_task(never_its_turn, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits),
        cmocka_unit_test(waits_with_the_first),
        cmocka_unit_test(does_not_wait_for_others_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
