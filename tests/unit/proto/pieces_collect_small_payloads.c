/* Small payloads arrive as few large pieces, in order and intact, in memory near their
 * size; large ones keep the buffer they came in; neighbouring holes are one. */
#include "proto/pieces.h"
#include "proto/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void neighbours_become_one_piece(void **state)
{
    (void)state;
    ferry_pieces q;
    ferry_pieces_init(&q);
    assert_int_equal(ferry_pieces_copy(&q, (const uint8_t *)"abc", 3, 64), 0);
    assert_int_equal(ferry_pieces_copy(&q, (const uint8_t *)"de", 2, 64), 0);
    assert_int_equal(ferry_pieces_hole(&q, 10, 64), 0);
    assert_int_equal(ferry_pieces_hole(&q, 20, 64), 0);
    assert_int_equal(ferry_pieces_copy(&q, (const uint8_t *)"f", 1, 64), 0);
    assert_int_equal(q.count, 3);

    ferry_piece p;
    uint32_t cost;
    assert_true(ferry_pieces_pop(&q, &p, &cost));
    assert_int_equal(p.data.len, 5);
    assert_memory_equal(p.data.data, "abcde", 5);
    assert_int_equal(p.hole, 0);
    assert_int_equal(cost, 128);
    ferry_slice_done(&p.data);

    assert_true(ferry_pieces_pop(&q, &p, &cost));
    assert_int_equal(p.hole, 30);
    assert_null(p.data.buf);
    assert_int_equal(cost, 128);

    assert_true(ferry_pieces_pop(&q, &p, &cost));
    assert_int_equal(p.data.len, 1);
    ferry_slice_done(&p.data);
    assert_false(ferry_pieces_pop(&q, &p, &cost));
    ferry_pieces_done(&q);
}

/* What was handed out is not touched by what is appended, or begun anew, after it. */
static void a_piece_handed_out_stays_as_it_is(void **state)
{
    (void)state;
    ferry_pieces q;
    ferry_pieces_init(&q);
    ferry_piece first, second;
    uint32_t cost;
    assert_int_equal(ferry_pieces_copy(&q, (const uint8_t *)"one", 3, 64), 0);
    assert_true(ferry_pieces_pop(&q, &first, &cost));
    assert_int_equal(ferry_pieces_copy(&q, (const uint8_t *)"two", 3, 64), 0);
    assert_true(ferry_pieces_pop(&q, &second, &cost));
    assert_int_equal(first.data.len, 3);
    assert_memory_equal(first.data.data, "one", 3);
    assert_memory_equal(second.data.data, "two", 3);

    ferry_slice_done(&first.data);
    uint8_t page[FERRY_PIECE_OWN - 1];
    memset(page, 'x', sizeof page);
    assert_int_equal(ferry_pieces_copy(&q, page, sizeof page, 64), 0);
    assert_memory_equal(second.data.data, "two", 3);
    ferry_slice_done(&second.data);
    ferry_pieces_done(&q);
}

static void a_large_payload_keeps_its_buffer(void **state)
{
    (void)state;
    ferry_pieces q;
    ferry_pieces_init(&q);
    ferry_buf *b = NULL;
    assert_int_equal(ferry_buf_new(8192, &b), 0);
    b->len = 8192;
    assert_int_equal(ferry_pieces_take(&q, b, 8192), 0);

    ferry_piece p;
    uint32_t cost;
    assert_true(ferry_pieces_pop(&q, &p, &cost));
    assert_ptr_equal(p.data.data, b->data);
    assert_int_equal((uintptr_t)p.data.data % FERRY_BUF_ALIGN, 0);
    assert_int_equal(cost, 8192);
    ferry_slice_done(&p.data);
    ferry_pieces_done(&q);
}

/* A window's worth of the most wasteful frames a peer may send: its cost is their
 * bound. */
static void single_bytes_between_holes_stay_small(void **state)
{
    (void)state;
    ferry_pieces q;
    ferry_pieces_init(&q);
    uint32_t cost = 0, pairs = 0;
    for (; cost + 2 * FERRY_COST_MIN <= FERRY_WINDOW; cost += 2 * FERRY_COST_MIN) {
        uint8_t byte = (uint8_t)pairs++;
        assert_int_equal(ferry_pieces_copy(&q, &byte, 1, FERRY_COST_MIN), 0);
        assert_int_equal(ferry_pieces_hole(&q, 1, FERRY_COST_MIN), 0);
    }
    assert_int_equal(q.count, 2 * pairs);
    assert_true(q.cap * (sizeof(ferry_piece) + 8) <= FERRY_WINDOW);
    assert_true(q.tail->cap <= FERRY_PIECE_TAIL);

    ferry_piece p;
    uint32_t c, sum = 0;
    for (uint32_t i = 0; ferry_pieces_pop(&q, &p, &c); i++, sum += c) {
        if (i % 2 == 0)
            assert_int_equal(*p.data.data, (uint8_t)(i / 2));
        else
            assert_int_equal(p.hole, 1);
        ferry_slice_done(&p.data);
    }
    assert_int_equal(sum, cost);
    ferry_pieces_done(&q);
}

/* Buffers grow with what there is, so that a stream with little to say holds little, but
 * only so far: one that is being read slowly is freed piece by piece. */
static void buffers_grow_to_a_bound(void **state)
{
    (void)state;
    ferry_pieces q;
    ferry_pieces_init(&q);
    uint8_t some[500] = {0};
    assert_int_equal(ferry_pieces_copy(&q, some, sizeof some, 500), 0);
    assert_true(q.tail->cap <= FERRY_PIECE_OWN);
    for (int i = 0; i < 4000; i++)
        assert_int_equal(ferry_pieces_copy(&q, some, sizeof some, 500), 0);
    assert_int_equal(q.tail->cap, FERRY_PIECE_TAIL);
    assert_true(q.count < 50);
    assert_int_equal(ferry_pieces_clear(&q), 4001 * 500);
    ferry_pieces_done(&q);
}

static void huge_holes_do_not_overflow(void **state)
{
    (void)state;
    ferry_pieces q;
    ferry_pieces_init(&q);
    assert_int_equal(ferry_pieces_hole(&q, UINT64_MAX, 64), 0);
    assert_int_equal(ferry_pieces_hole(&q, 1, 64), 0);
    assert_int_equal(q.count, 2);
    assert_int_equal(ferry_pieces_clear(&q), 128);
    ferry_pieces_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_become_one_piece),
        cmocka_unit_test(a_piece_handed_out_stays_as_it_is),
        cmocka_unit_test(a_large_payload_keeps_its_buffer),
        cmocka_unit_test(single_bytes_between_holes_stay_small),
        cmocka_unit_test(buffers_grow_to_a_bound),
        cmocka_unit_test(huge_holes_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
