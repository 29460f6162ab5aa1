/* Sender and receiver of one direction, driven by a seeded dice: whatever is sent,
 * consumed and told in whatever order, the receiver never holds more than the window,
 * nothing is ever granted twice, and a sender of whole frames never waits for ever. */
#include "proto/frame.h"
#include "proto/window.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE FERRY_WINDOW

static void starts_open_and_closes_exactly(void **state)
{
    (void)state;
    ferry_send_window s;
    ferry_send_window_init(&s, SIZE);
    assert_int_equal(ferry_send_window_room(&s), SIZE);
    assert_int_equal(ferry_send_window_in_flight(&s), 0);
    ferry_send_window_sent(&s, SIZE, SIZE);
    assert_int_equal(ferry_send_window_room(&s), 0);
    assert_int_equal(ferry_send_window_in_flight(&s), SIZE);
}

static void absurd_credit_is_refused(void **state)
{
    (void)state;
    ferry_send_window s;
    ferry_send_window_init(&s, SIZE);
    assert_int_equal(ferry_send_window_credit(&s, 1), -FERRY_EPROTO);
    ferry_send_window_sent(&s, 100, 100);
    assert_int_equal(ferry_send_window_credit(&s, 0), -FERRY_EPROTO);
    assert_int_equal(ferry_send_window_credit(&s, 101), -FERRY_EPROTO);
    assert_int_equal(ferry_send_window_credit(&s, UINT32_MAX), -FERRY_EPROTO);
    assert_int_equal(ferry_send_window_room(&s), SIZE - 100);
    assert_int_equal(ferry_send_window_credit(&s, 100), 0);
    assert_int_equal(ferry_send_window_room(&s), SIZE);
}

static void one_byte_too_many_is_refused(void **state)
{
    (void)state;
    ferry_recv_window r;
    ferry_recv_window_init(&r, SIZE);
    assert_int_equal(ferry_recv_window_received(&r, SIZE), 0);
    assert_int_equal(ferry_recv_window_received(&r, 1), -FERRY_EPROTO);
    assert_int_equal(ferry_recv_window_consumed(&r, SIZE / 2 - 1), 0);
    assert_int_equal(ferry_recv_window_received(&r, 1), -FERRY_EPROTO);
    assert_int_equal(ferry_recv_window_consumed(&r, 1), SIZE / 2);
    assert_int_equal(ferry_recv_window_received(&r, SIZE / 2 + 1), -FERRY_EPROTO);
    assert_int_equal(ferry_recv_window_received(&r, SIZE / 2), 0);
}

static void no_frame_is_free(void **state)
{
    (void)state;
    assert_int_equal(ferry_window_cost(0), FERRY_COST_MIN);
    assert_int_equal(ferry_window_cost(1), FERRY_COST_MIN);
    assert_int_equal(ferry_window_cost(FERRY_COST_MIN + 1), FERRY_COST_MIN + 1);
    assert_int_equal(ferry_window_cost(FERRY_FRAME_MAX), FERRY_FRAME_MAX);
}

/* Progress is in bytes of the frames whose cost came back, never of others. */
static void acknowledged_bytes_were_consumed(void **state)
{
    (void)state;
    ferry_send_window s;
    ferry_send_window_init(&s, SIZE);
    for (int i = 0; i < 8; i++)
        ferry_send_window_sent(&s, SIZE / 8, i < 4 ? SIZE / 8 : 1 << 30);
    assert_int_equal(s.acked, 0);
    assert_int_equal(ferry_send_window_credit(&s, SIZE / 8 - 1), 0);
    assert_int_equal(s.acked, 0);
    assert_int_equal(ferry_send_window_credit(&s, SIZE / 8), 0);
    assert_int_equal(s.acked, SIZE / 8);
    assert_int_equal(ferry_send_window_credit(&s, SIZE / 2), 0);
    assert_int_equal(s.acked, SIZE / 2 + (1 << 30));
    assert_int_equal(ferry_send_window_credit(&s, SIZE / 4 + 1), 0);
    assert_int_equal(s.acked, SIZE / 2 + 4ull * (1 << 30));
    assert_int_equal(s.acked, s.bytes);
}

/* However the frames fall, what is acknowledged lags behind what is credited by less
 * than two marks, and never runs ahead. Here a byte costs what it is. */
static void acknowledgement_keeps_up(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        unsigned dice = seed;
        ferry_send_window s;
        ferry_send_window_init(&s, SIZE);
        for (int i = 0; i < 20000; i++) {
            uint32_t n = 64 + (uint32_t)rand_r(&dice) % 60000;
            if (n <= ferry_send_window_room(&s))
                ferry_send_window_sent(&s, n, n);
            uint32_t back = (uint32_t)rand_r(&dice) % 60000 + 1;
            if (back <= ferry_send_window_in_flight(&s))
                assert_int_equal(ferry_send_window_credit(&s, back), 0);
            uint64_t credited = s.limit - SIZE;
            assert_true(s.acked <= credited);
            assert_true(s.acked + SIZE / 4 + 60064 > credited);
        }
        assert_true(s.acked > 100ull * SIZE);
    }
}

struct pair {
    ferry_send_window s;
    ferry_recv_window r;
    uint64_t told; /* CREDIT that is on its way */
    uint64_t wire; /* sent and not yet received */
};

static uint32_t random_cost(unsigned *seed)
{
    uint32_t n = (uint32_t)rand_r(seed);
    return ferry_window_cost(n % 4 ? n % 5000 : n % (FERRY_FRAME_MAX + 1));
}

static void turn(struct pair *p, unsigned *seed)
{
    uint32_t n = random_cost(seed), held;
    switch (rand_r(seed) % 4) {
    case 0:
        if (n > ferry_send_window_room(&p->s))
            return;
        ferry_send_window_sent(&p->s, n, n);
        p->wire += n;
        return;
    case 1:
        n = n < p->wire ? n : (uint32_t)p->wire;
        assert_int_equal(ferry_recv_window_received(&p->r, n), 0);
        p->wire -= n;
        return;
    case 2:
        held = (uint32_t)(p->r.received - p->r.consumed);
        p->told += ferry_recv_window_consumed(&p->r, n < held ? n : held);
        return;
    default:
        if (p->told)
            assert_int_equal(ferry_send_window_credit(&p->s, (uint32_t)p->told), 0);
        p->told = 0;
    }
}

static void any_order_keeps_the_bound(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 50; seed++) {
        unsigned dice = seed;
        struct pair p = {0};
        ferry_send_window_init(&p.s, SIZE);
        ferry_recv_window_init(&p.r, SIZE);
        for (int i = 0; i < 20000; i++) {
            turn(&p, &dice);
            assert_true(p.r.received - p.r.consumed + p.wire <= SIZE);
            assert_true(p.s.limit + p.told == p.r.granted);
        }

        /* Everything through and told: the largest frame may go. */
        assert_int_equal(ferry_recv_window_received(&p.r, (uint32_t)p.wire), 0);
        uint32_t held = (uint32_t)(p.r.received - p.r.consumed);
        p.told += ferry_recv_window_consumed(&p.r, held);
        if (p.told)
            assert_int_equal(ferry_send_window_credit(&p.s, (uint32_t)p.told), 0);
        assert_true(ferry_send_window_room(&p.s) >= FERRY_FRAME_MAX);
        assert_true(p.s.sent > 10 * (uint64_t)SIZE);
    }
}

/* A slow source: few bytes, then silence. "0 bytes" for minutes would be no progress. */
static void an_idle_receiver_tells_all(void **state)
{
    (void)state;
    ferry_send_window s;
    ferry_recv_window r;
    ferry_send_window_init(&s, SIZE);
    ferry_recv_window_init(&r, SIZE);
    assert_int_equal(ferry_recv_window_idle(&r), 0);

    ferry_send_window_sent(&s, 5000, 5000);
    assert_int_equal(ferry_recv_window_received(&r, 5000), 0);
    assert_int_equal(ferry_recv_window_consumed(&r, 5000), 0);
    assert_int_equal(s.acked, 0);
    uint32_t credit = ferry_recv_window_idle(&r);
    assert_int_equal(credit, 5000);
    assert_int_equal(ferry_send_window_credit(&s, credit), 0);
    assert_int_equal(s.acked, 5000);
    assert_int_equal(ferry_recv_window_idle(&r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_open_and_closes_exactly),
        cmocka_unit_test(absurd_credit_is_refused),
        cmocka_unit_test(one_byte_too_many_is_refused),
        cmocka_unit_test(no_frame_is_free),
        cmocka_unit_test(acknowledged_bytes_were_consumed),
        cmocka_unit_test(acknowledgement_keeps_up),
        cmocka_unit_test(any_order_keeps_the_bound),
        cmocka_unit_test(an_idle_receiver_tells_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
