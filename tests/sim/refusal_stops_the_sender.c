/* A call that fails in the middle of an upload says why: the writer is woken with
 * EPIPE, the REPLY has the reason, what was still on its way is ignored, and the
 * connection goes on. Beside it: progress and log lines reach the client while calls
 * run. */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <guestferry/error.h>

#include <stdio.h>
#include <string.h>

static FERRY_CO int disk_full(sim *s)
{
    for (unsigned i = 1; i < 12; i++) {
        FERRY_AUTO(stream) ferry_stream *st = NULL;
        sim_request rq = {.bytes = i * 100000, .seed = i};
        int r = sim_call(s, SIM_REFUSE, rq, &st);
        if (r < 0)
            return r;
        rq.bytes = 1ull << 40;
        rq.chunk = i % 2 ? 5000 : 0;
        fake_equal(sim_send(st, rq), -FERRY_EPIPE);
        sim_answer a = {0};
        fake_equal(sim_wait(st, &a), 0);
        fake_equal(a.status, -FERRY_ENOSPC);
        fake_equal(sim_ask(s, SIM_NOTHING, (sim_request){0}), 0);
    }
    return 0;
}

static void writer_is_told(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 4; seed++) {
        sim s;
        sim_init(&s, disk_full);
        s.to_server.seed = s.to_client.seed = seed;
        s.to_server.max_delay = seed;
        s.to_client.max_delay = 2 * seed;
        assert_int_equal(sim_run(&s), 0);
        assert_int_equal(s.resets, 0);
    }
}

static FERRY_CO int watch_progress(sim *s)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, SIM_PROGRESS, (sim_request){.bytes = 50}, &st);
    if (r < 0)
        return r;
    uint64_t done = 7, total = 7, last = 0;
    unsigned steps = 0;
    ferry_stream_progress(st, &done, &total);
    fake_check(done == 0 && total == 0);
    while (!ferry_stream_replied(st)) {
        ferry_stream_progress(st, &done, &total);
        fake_check(done >= last && (total == 50 || done == 0));
        steps += done > last;
        last = done;
        ferry_sleep(1);
    }
    fake_equal(last, 50);
    fake_check(steps > 25);
    return 0;
}

static void progress_is_seen(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, watch_progress);
    assert_int_equal(sim_run(&s), 0);
}

/* Lines that find no room while the host does not read are dropped, and it is told. */
static FERRY_CO int log_much(sim *s)
{
    char text[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "line %d of a daemon that talks a lot", i);
        ferry_conn_log(s->server, text);
    }
    fake_equal(sim_ask(s, SIM_NOTHING, (sim_request){0}), 0);
    unsigned came = s->logs;
    fake_check(came > 100 && came < 5000);

    ferry_conn_log(s->server, "");
    while (s->logs < came + 2)
        ferry_sleep(1);
    ferry_conn_log(s->server, "the last");
    while (s->logs < came + 3)
        ferry_sleep(1);
    fake_check(strcmp(s->last_log, "the last") == 0);
    return 0;
}

static void log_lines_arrive(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, log_much);
    assert_int_equal(sim_run(&s), 0);
    assert_int_equal(s.logs > 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_is_told),
        cmocka_unit_test(progress_is_seen),
        cmocka_unit_test(log_lines_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
