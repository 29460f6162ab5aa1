/* A hole of any length is one small frame, arrives as a hole between the data it was
 * written between, counts in what is acknowledged, and is bounded by credit like
 * everything else. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/internal.h"

#include <string.h>

#define GIB (1ull << 30)

static FERRY_CO int write_text(ferry_stream *st, const char *text, size_t len)
{
    ferry_buf *b = NULL;
    int r = ferry_buf_copy(text, len, &b);
    return r < 0 ? r : ferry_stream_write(st, (ferry_slice){b, b->data, len});
}

static FERRY_CO void expect_text(ferry_stream *st, const char *text, size_t len)
{
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(st, &p), 1);
    fake_equal(p.hole, 0);
    fake_equal(p.data.len, len);
    fake_check(p.data.len == len && memcmp(p.data.data, text, len) == 0);
    ferry_slice_done(&p.data);
}

static FERRY_CO void expect_hole(ferry_stream *st, uint64_t len)
{
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(st, &p), 1);
    fake_equal(p.hole, len);
    fake_equal(p.data.len, 0);
    ferry_slice_done(&p.data);
}

static FERRY_CO int islands(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_ECHO, (sim_request){0}, &st);
    if (r < 0)
        return r;
    fake_equal(ferry_stream_write_hole(st, 8 * GIB), 0);
    fake_equal(write_text(st, "island", 6), 0);
    fake_equal(ferry_stream_write_hole(st, 1), 0);
    fake_equal(ferry_stream_write_hole(st, 0), 0); /* is nothing */
    fake_equal(write_text(st, "", 0), 0);          /* is nothing */
    fake_equal(write_text(st, "coast", 5), 0);
    fake_equal(ferry_stream_write_hole(st, UINT64_MAX), 0);
    ferry_stream_finish(st);

    expect_hole(st, 8 * GIB);
    expect_text(st, "island", 6);
    expect_hole(st, 1);
    expect_text(st, "coast", 5);
    expect_hole(st, UINT64_MAX);
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(st, &p), 0);
    fake_check(wire_written(s->client_end) < 1000);
    return 0;
}

static void between_islands(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, islands);
    s.to_client.max_read = s.to_server.max_read = 5;
    assert_int_equal(sim_run(&s), 0);
}

/* 100,000 holes with a byte between each: more than a window of them. */
static FERRY_CO int many(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    const uint64_t n = 100 * 1000;
    int r = sim_call(s, SIM_SINK, (sim_request){.seed = 0}, &st);
    if (r < 0)
        return r;
    uint64_t offset = 0;
    for (uint64_t i = 0; i < n && r == 0; i++) {
        char byte = (char)sim_byte(0, offset);
        r = write_text(st, &byte, 1);
        if (r == 0)
            r = ferry_stream_write_hole(st, 4095);
        offset += 4096;
    }
    fake_equal(r, 0);
    ferry_stream_finish(st);
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(a.status, 0);
    fake_equal(a.count, n * 4096);

    /* A byte and a hole cost the same: 2048 bytes a frame. Not acknowledged are, at
     * most, half a window of frames that were not told and an eighth between two marks.
     * */
    uint64_t untold = FERRY_WINDOW / FERRY_COST_MIN * 2048;
    fake_check(ferry_stream_acked(st) <= n * 4096);
    fake_check(ferry_stream_acked(st) >= n * 4096 - untold * 5 / 8 - untold);
    return 0;
}

static void many_small_ones(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, many);
    assert_int_equal(sim_run(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_islands),
        cmocka_unit_test(many_small_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
