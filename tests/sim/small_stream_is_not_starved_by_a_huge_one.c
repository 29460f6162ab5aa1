/* Streams with data take turns, a frame each: beside a download that fills the wire,
 * small round trips go on, each waiting for no more than what was being written when it
 * came, and two downloads advance together. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HUGE_BYTES (64ull * 1024 * 1024)
#define ROUNDS 20

struct huge {
    ferry_stream *st;
    uint64_t count;
    bool stop; /* when ROUNDS are through */
};

static FERRY_CO int read_huge(void *arg)
{
    struct huge *h = arg;
    while (!h->stop) {
        ferry_piece p = {0};
        int r = ferry_stream_read(h->st, &p);
        if (r <= 0)
            return r;
        h->count += p.data.len;
        ferry_slice_done(&p.data);
    }
    return 0;
}

/* One small message there and back, with more to come in both directions. */
static FERRY_CO int ping(ferry_stream *st, uint8_t byte)
{
    ferry_buf *b = NULL;
    int r = ferry_buf_copy(&byte, 1, &b);
    if (r < 0)
        return r;
    r = ferry_stream_write(st, (ferry_slice){b, b->data, 1});
    if (r < 0)
        return r;
    ferry_piece p = {0};
    r = ferry_stream_read(st, &p);
    if (r < 0)
        return r;
    fake_equal(r, 1);
    fake_equal(p.data.len, 1);
    fake_check(p.data.data[0] == byte);
    ferry_slice_done(&p.data);
    return 0;
}

static FERRY_CO int pings_beside_a_huge_one(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *huge = NULL;
    FERRY_AUTO(stream) ferry_stream *small = NULL;
    int r = sim_call(s, SIM_SOURCE, (sim_request){.bytes = HUGE_BYTES}, &huge);
    if (r == 0)
        r = sim_call(s, SIM_ECHO, (sim_request){0}, &small);
    if (r < 0)
        return r;

    struct huge h = {.st = huge};
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    ferry_spawn(&scope, "huge", read_huge, &h);
    uint64_t worst = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t before = h.count;
        fake_equal(ping(small, (uint8_t)i), 0);
        if (h.count - before > worst)
            worst = h.count - before;
    }
    h.stop = true;
    ferry_scope_join(&scope);

    /* The gather being written, one more frame of the huge stream before ours, and what
     * the wire and the receiver's queue held. */
    fake_check(worst <= 4 * FERRY_FRAME_MAX);
    fake_check(h.count > 0 && h.count < HUGE_BYTES);
    return 0;
}

static void small_beside_huge(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, pings_beside_a_huge_one);
    assert_int_equal(sim_run(&s), 0);
    assert_int_equal(s.ended, 2);
}

static FERRY_CO int two_huge(sim *s)
{
    struct huge h[2] = {{0}, {0}};
    ferry_scope scope;
    for (int i = 0; i < 2; i++) {
        int r = sim_call(s, SIM_SOURCE, (sim_request){.bytes = HUGE_BYTES}, &h[i].st);
        if (r < 0)
            return r;
    }
    ferry_scope_open(&scope, 0);
    ferry_spawn(&scope, "first", read_huge, &h[0]);
    ferry_spawn(&scope, "second", read_huge, &h[1]);
    while (h[0].count < HUGE_BYTES / 2) {
        ferry_yield();
        int64_t lead = (int64_t)(h[0].count - h[1].count);
        if (!fake_check(lead < FERRY_WINDOW && lead > -FERRY_WINDOW))
            break;
    }
    h[0].stop = h[1].stop = true;
    ferry_scope_join(&scope);
    ferry_stream_close(h[0].st);
    ferry_stream_close(h[1].st);
    return 0;
}

static void two_huge_ones_advance_together(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, two_huge);
    assert_int_equal(sim_run(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_beside_huge),
        cmocka_unit_test(two_huge_ones_advance_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
