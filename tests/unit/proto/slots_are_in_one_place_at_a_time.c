/* Writer and reader of one direction of the lane, driven by a seeded dice that also lies: a
 * slot is free, ours, theirs or held, and never two of it (but for a sent slot whose buffer is
 * still here); what a peer says that cannot be is refused and changes nothing. */
#include "proto/lane.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const ferry_lane_shape shape = {.slot = 1 << 20, .up = 8, .down = 5};

static void shapes(void **state)
{
    (void)state;
    static const ferry_lane_shape bad[] = {
        {0, 1, 1},
        {1, 1, 1},
        {4097, 1, 1},
        {4096, 0, 1},
        {4096, 1, 0},
        {4096, FERRY_LANE_SLOTS_MAX + 1, 1},
        {4096, 1, FERRY_LANE_SLOTS_MAX + 1},
        {FERRY_LANE_SLOT_MAX + 4096, 1, 1},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ferry_lane_check(&bad[i]), -FERRY_EPROTO);
    static const ferry_lane_shape most = {FERRY_LANE_SLOT_MAX, FERRY_LANE_SLOTS_MAX,
                                          FERRY_LANE_SLOTS_MAX};
    assert_int_equal(ferry_lane_check(&shape), 0);
    assert_int_equal(ferry_lane_check(&most), 0);
    assert_int_equal(ferry_lane_bytes(&most), 2048ull << 20);
}

/* Every byte belongs to one slot. */
static void places(void **state)
{
    (void)state;
    uint64_t at = 0;
    for (unsigned i = 0; i < shape.up; i++, at += shape.slot)
        assert_int_equal(ferry_lane_up(&shape, i), at);
    for (unsigned i = 0; i < shape.down; i++, at += shape.slot)
        assert_int_equal(ferry_lane_down(&shape, i), at);
    assert_int_equal(ferry_lane_bytes(&shape), at);
}

/* How many a stream gets that takes all it can while others hold some. */
static unsigned greedy(ferry_lane_out *o)
{
    unsigned held = 0;
    while (ferry_lane_out_take(o, held) >= 0)
        held++;
    return held;
}

static void shares(void **state)
{
    (void)state;
    ferry_lane_out o;
    ferry_lane_out_init(&o, 8);
    assert_int_equal(greedy(&o), 4); /* half; then half of what is left */
    assert_int_equal(greedy(&o), 2);
    assert_int_equal(greedy(&o), 1);
    assert_int_equal(greedy(&o), 1);
    assert_int_equal(greedy(&o), 0);

    ferry_lane_out_init(&o, FERRY_LANE_SLOTS_MAX);
    assert_int_equal(greedy(&o), 32);
}

/* Two that take turns get the same. */
static void turns(void **state)
{
    (void)state;
    ferry_lane_out o;
    unsigned held[2] = {0};
    ferry_lane_out_init(&o, 9);
    for (unsigned i = 0; i < 18; i++)
        held[i % 2] += ferry_lane_out_take(&o, held[i % 2]) >= 0;
    assert_int_equal(held[0], 3);
    assert_int_equal(held[1], 3);
}

/* ---- the dice ------------------------------------------------------------------------ */

enum place { FREE, OURS, SENT_OURS, SENT, HELD, DONE };

struct model {
    ferry_lane_out out;
    ferry_lane_in in;
    enum place place[8];
};

static unsigned count(const struct model *m, enum place p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < shape.up; i++)
        n += m->place[i] == p;
    return n;
}

static void take(struct model *m)
{
    unsigned nfree = count(m, FREE);
    int slot = ferry_lane_out_take(&m->out, 0);
    assert_int_equal(slot >= 0, nfree > 0);
    if (slot >= 0) {
        assert_int_equal(m->place[slot], FREE);
        m->place[slot] = OURS;
    }
}

static void tell(struct model *m)
{
    uint64_t set = ferry_lane_in_tell(&m->in);
    uint64_t expected = 0;
    for (unsigned i = 0; i < shape.up; i++)
        if (m->place[i] == DONE)
            expected |= UINT64_C(1) << i;
    assert_int_equal(set, expected);
    if (!set)
        return;
    assert_int_equal(ferry_lane_out_returned(&m->out, set), 0);
    for (unsigned i = 0; i < shape.up; i++)
        if (set >> i & 1)
            m->place[i] = FREE;
}

static void lie(struct model *m, uint32_t slot)
{
    struct model before = *m;
    assert_int_equal(ferry_lane_out_returned(&m->out, 0), -FERRY_EPROTO);
    assert_int_equal(ferry_lane_out_returned(&m->out, UINT64_C(1) << 8), -FERRY_EPROTO);
    assert_int_equal(ferry_lane_in_arrived(&m->in, &shape, shape.up, 1), -FERRY_EPROTO);
    assert_int_equal(ferry_lane_in_arrived(&m->in, &shape, slot, 0), -FERRY_EPROTO);
    assert_int_equal(ferry_lane_in_arrived(&m->in, &shape, slot, shape.slot + 1),
                     -FERRY_EPROTO);
    enum place p = m->place[slot];
    if (p == HELD || p == DONE)
        assert_int_equal(ferry_lane_in_arrived(&m->in, &shape, slot, 1), -FERRY_EPROTO);
    if (p == FREE || p == OURS)
        assert_int_equal(ferry_lane_out_returned(&m->out, UINT64_C(1) << slot),
                         -FERRY_EPROTO);
    assert_memory_equal(&before, m, sizeof before);
}

/* One step with one slot, whatever can happen to it where it is. */
static void step(struct model *m, uint32_t slot, bool again)
{
    switch (m->place[slot]) {
    case FREE: take(m); break;
    case OURS:
        if (again) {
            ferry_lane_out_sent(&m->out, slot);
            m->place[slot] = SENT_OURS;
        } else {
            assert_true(ferry_lane_out_dropped(&m->out, slot));
            m->place[slot] = FREE;
        }
        break;
    case SENT_OURS:
        assert_false(ferry_lane_out_dropped(&m->out, slot));
        m->place[slot] = SENT;
        break;
    case SENT:
        assert_int_equal(ferry_lane_in_arrived(&m->in, &shape, slot, shape.slot), 0);
        m->place[slot] = HELD;
        break;
    case HELD:
        ferry_lane_in_released(&m->in, slot);
        m->place[slot] = DONE;
        break;
    case DONE: tell(m); break;
    }
}

static void dice(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct model m = {0};
        unsigned v = seed;
        ferry_lane_out_init(&m.out, shape.up);
        ferry_lane_in_init(&m.in, shape.up);
        for (int i = 0; i < 5000; i++) {
            v = v * 1664525u + 1013904223u;
            step(&m, v >> 20 & 7, v >> 28 & 1);
            lie(&m, v >> 16 & 7);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes), cmocka_unit_test(places), cmocka_unit_test(shares),
        cmocka_unit_test(turns),  cmocka_unit_test(dice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
