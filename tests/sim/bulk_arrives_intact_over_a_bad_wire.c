/* Bytes go both ways at once, in writes of any size, over wires that deliver one byte
 * at a time, random pieces, late, or through a tiny buffer: all of them arrive, in
 * order, and the trailing status counts them. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct job {
    sim *s;
    sim_request rq;
    ferry_stream *st; /* echo_send only */
};

static FERRY_CO int upload(void *arg)
{
    struct job *job = arg;
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    if (!fake_equal(sim_call(job->s, SIM_SINK, job->rq, &st), 0))
        return -1;
    fake_equal(sim_send(st, job->rq), 0);
    ferry_stream_finish(st);
    sim_answer a = {0};
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(a.status, 0);
    fake_equal(a.count, job->rq.bytes);
    fake_check(ferry_stream_acked(st) <= job->rq.bytes);
    return 0;
}

static FERRY_CO int download(void *arg)
{
    struct job *job = arg;
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    if (!fake_equal(sim_call(job->s, SIM_SOURCE, job->rq, &st), 0))
        return -1;
    uint64_t count = 0;
    fake_equal(sim_receive(st, job->rq.seed, &count), 0);
    fake_equal(count, job->rq.bytes);
    sim_answer a = {0};
    fake_equal(sim_wait(st, &a), 0);
    fake_equal(a.status, 0);
    return 0;
}

static FERRY_CO int echo_send(void *arg)
{
    struct job *job = arg;
    fake_equal(sim_send(job->st, job->rq), 0);
    ferry_stream_finish(job->st);
    return 0;
}

static FERRY_CO int echo(void *arg)
{
    struct job *job = arg;
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    if (!fake_equal(sim_call(job->s, SIM_ECHO, job->rq, &st), 0))
        return -1;
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    struct job send = {job->s, job->rq, st};
    ferry_spawn(&scope, "echo send", echo_send, &send);
    uint64_t count = 0;
    fake_equal(sim_receive(st, job->rq.seed, &count), 0);
    fake_equal(count, job->rq.bytes);
    ferry_scope_join(&scope);
    return 0;
}

static FERRY_CO int all_at_once(sim *s)
{
    const sim_request *rq = s->user;
    struct job jobs[3] = {{s, *rq, NULL}, {s, *rq, NULL}, {s, *rq, NULL}};
    jobs[1].rq.seed += 11;
    jobs[2].rq.seed += 22;
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    ferry_spawn(&scope, "upload", upload, &jobs[0]);
    ferry_spawn(&scope, "download", download, &jobs[1]);
    ferry_spawn(&scope, "echo", echo, &jobs[2]);
    return ferry_scope_join(&scope);
}

static void ferry_over(wire_faults faults, uint64_t bytes, uint32_t chunk)
{
    sim s;
    sim_init(&s, all_at_once);
    s.to_server = s.to_client = faults;
    s.to_client.seed += 1000;
    sim_request rq = {bytes, chunk, faults.seed};
    s.user = &rq;
    assert_int_equal(sim_run(&s), 0);
    assert_int_equal(s.ended, 3);
    assert_int_equal(s.resets, 0);
}

static void good_wire(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0,
                                     1,
                                     4095,
                                     4096,
                                     4097,
                                     FERRY_FRAME_MAX - 1,
                                     FERRY_FRAME_MAX,
                                     FERRY_FRAME_MAX + 1,
                                     3 * FERRY_WINDOW + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ferry_over((wire_faults)WIRE_GOOD, sizes[i], 0);
}

static void one_byte_at_a_time(void **state)
{
    (void)state;
    wire_faults f = WIRE_GOOD;
    f.seed = 1;
    f.max_read = 1;
    ferry_over(f, 300 * 1000, 0);
    ferry_over(f, 20 * 1000, 7);
}

/* virtio-serial gives a page at a time. */
static void a_page_at_a_time(void **state)
{
    (void)state;
    wire_faults f = WIRE_GOOD;
    f.capacity = 4096;
    ferry_over(f, 3 * FERRY_WINDOW, 0);
}

static void random_pieces_and_delays(void **state)
{
    (void)state;
    static const uint32_t chunks[] = {1,   63,   64,   65,    511,
                                      513, 4095, 4096, 65536, 700000};
    for (unsigned seed = 1; seed <= 40; seed++) {
        wire_faults f = WIRE_GOOD;
        f.seed = seed;
        f.max_read = seed % 2 ? 100 : 50000;
        f.max_delay = seed % 4;
        f.capacity = seed % 3 ? 30000 : 200;
        uint32_t chunk = chunks[seed % 10];
        ferry_over(f, chunk < 512 ? 40000 : 600000, chunk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_wire),
        cmocka_unit_test(one_byte_at_a_time),
        cmocka_unit_test(a_page_at_a_time),
        cmocka_unit_test(random_pieces_and_delays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
