/* A reader that does not read, or a server that does not take what it is sent, stops
 * its peer: what has crossed the wire is never more than one window, and when it wakes
 * up everything is there. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LOTS (24ull * 1024 * 1024)

/* Headers, a CREDIT or two, the REPLY. */
#define OVERHEAD 4096

static FERRY_CO int slow_download(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = LOTS, .seed = 5};
    int r = sim_call(s, SIM_SOURCE, rq, &st);
    if (r < 0)
        return r;
    ferry_sleep(60 * 1000);
    fake_check(wire_read(s->client_end) <= FERRY_WINDOW + OVERHEAD);
    fake_check(wire_read(s->client_end) >= FERRY_WINDOW - FERRY_FRAME_MAX);

    /* One piece read is not credit for the next: half a window is told at once. */
    ferry_piece p = {0};
    fake_equal(ferry_stream_read(st, &p), 1);
    fake_check(p.data.len > 0 && p.data.data[0] == sim_byte(rq.seed, 0));
    uint64_t first = p.data.len;
    ferry_slice_done(&p.data);
    ferry_sleep(1000);
    fake_check(wire_read(s->client_end) <= FERRY_WINDOW + OVERHEAD);

    uint64_t rest = 0;
    for (;;) {
        r = ferry_stream_read(st, &p);
        if (r <= 0)
            break;
        rest += p.data.len;
        fake_check(wire_read(s->client_end) <= first + rest + FERRY_WINDOW + OVERHEAD);
        ferry_slice_done(&p.data);
    }
    fake_equal(r, 0);
    fake_equal(first + rest, LOTS);
    sim_answer a = {0};
    return sim_wait(st, &a);
}

static void download(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, slow_download);
    assert_int_equal(sim_run(&s), 0);
}

/* Tiny frames cost more than they carry, so fewer of them cross. */
static FERRY_CO int slow_download_of_bytes(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = 200 * 1000, .chunk = 1, .seed = 5};
    int r = sim_call(s, SIM_SOURCE, rq, &st);
    if (r < 0)
        return r;
    ferry_sleep(60 * 1000);
    uint64_t most = FERRY_WINDOW / FERRY_COST_MIN * (FERRY_FRAME_HEADER + 1);
    fake_check(wire_read(s->client_end) <= most + OVERHEAD);
    fake_check(wire_read(s->client_end) >= most);
    uint64_t count = 0;
    fake_equal(sim_receive(st, rq.seed, &count), 0);
    fake_equal(count, rq.bytes);
    return 0;
}

static void download_of_single_bytes(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, slow_download_of_bytes);
    assert_int_equal(sim_run(&s), 0);
}

struct sending {
    ferry_stream *st;
    uint64_t accepted;
    int result;
};

static FERRY_CO int send_until_stopped(void *arg)
{
    struct sending *sd = arg;
    for (;;) {
        ferry_buf *b = NULL;
        if (ferry_buf_new(100 * 1000, &b) < 0)
            return -FERRY_ENOMEM;
        b->len = 100 * 1000;
        for (size_t i = 0; i < b->len; i++)
            b->data[i] = 0;
        sd->result = ferry_stream_write(sd->st, (ferry_slice){b, b->data, b->len});
        if (sd->result < 0)
            return 0;
        sd->accepted += 100 * 1000;
    }
}

/* SIM_PAUSE never reads: the writer is stopped by credit, then by its own queue, and
 * the REPLY wakes it. */
static FERRY_CO int upload_to_nobody(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_PAUSE, (sim_request){.bytes = 5000}, &st);
    if (r < 0)
        return r;
    struct sending sd = {.st = st};
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    ferry_spawn(&scope, "sending", send_until_stopped, &sd);
    ferry_sleep(4000);
    fake_check(wire_read(s->server_end) <= FERRY_WINDOW + OVERHEAD);
    fake_check(sd.accepted <= FERRY_WINDOW + FERRY_STREAM_QUEUE_BYTES);
    fake_check(sd.accepted >= FERRY_WINDOW);
    fake_equal(sd.result, 0);
    fake_equal(ferry_stream_acked(st), 0);
    ferry_scope_join(&scope);
    fake_equal(sd.result, -FERRY_EPIPE);
    sim_answer a = {.status = -1};
    fake_equal(sim_wait(st, &a), 0);
    return a.status;
}

static void upload(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, upload_to_nobody);
    assert_int_equal(sim_run(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(download),
        cmocka_unit_test(download_of_single_bytes),
        cmocka_unit_test(upload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
