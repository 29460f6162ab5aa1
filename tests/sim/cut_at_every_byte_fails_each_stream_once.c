/* The wire ends, or is reset, at every byte of a short conversation in either
 * direction: every task that waits comes back, each stream has an answer or an error
 * and never wrong bytes, every call on the server ends after at most one on_reset, and
 * nothing is left (sim_run and the leak checker look). */
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

enum { UPLOAD, DOWNLOAD, WAITING, CALLS };

struct talk {
    sim *s;
    int result[CALLS];
    unsigned returned[CALLS];
    bool all_good; /* without a cut, all are */
};

struct part {
    struct talk *talk;
    int which;
};

static FERRY_CO int converse(sim *s, int which)
{
    static const enum sim_proc procs[CALLS] = {SIM_SINK, SIM_SOURCE, SIM_PAUSE};
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    sim_request rq = {.bytes = which == WAITING ? 50 : 900, .chunk = 300, .seed = 3};
    uint64_t count = 0;
    sim_answer a = {0};

    int r = sim_call(s, procs[which], rq, &st);
    if (r == 0 && which == UPLOAD) {
        r = sim_send(st, rq);
        ferry_stream_finish(st);
    }
    if (r == 0 && which == DOWNLOAD)
        r = sim_receive(st, rq.seed, &count);
    if (r == 0)
        r = sim_wait(st, &a);
    fake_check(r < 0 || which != DOWNLOAD || count == rq.bytes);
    fake_check(r < 0 || which != UPLOAD || a.count == rq.bytes);
    return r < 0 ? r : a.status;
}

static FERRY_CO int part_task(void *arg)
{
    struct part *p = arg;
    p->talk->result[p->which] = converse(p->talk->s, p->which);
    p->talk->returned[p->which]++;
    return 0;
}

static FERRY_CO int talk(sim *s)
{
    struct talk *t = s->user;
    struct part parts[CALLS];
    t->s = s;
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    for (int i = 0; i < CALLS; i++) {
        parts[i] = (struct part){t, i};
        ferry_spawn(&scope, "part", part_task, &parts[i]);
    }
    ferry_scope_join(&scope);
    t->all_good = true;
    for (int i = 0; i < CALLS; i++) {
        fake_equal(t->returned[i], 1);
        fake_check(t->result[i] == 0 || t->result[i] == -EPIPE ||
                   t->result[i] == -ECONNRESET);
        t->all_good = t->all_good && t->result[i] == 0;
    }
    return 0;
}

/* Was there a byte at this position to cut at? */
static bool cut_at(uint64_t at, bool to_server, bool reset, size_t max_read)
{
    struct talk t = {0};
    sim s;
    sim_init(&s, talk);
    s.user = &t;
    s.to_server.max_read = s.to_client.max_read = max_read;
    wire_faults *way = to_server ? &s.to_server : &s.to_client;
    if (reset)
        way->reset_at = at;
    else
        way->cut_at = at;
    int r = sim_run(&s);
    assert_true(r == 0 || r == -EPIPE || r == -ECONNRESET);
    assert_true(s.resets <= s.started);
    return r != 0 || !t.all_good;
}

static void every_byte(bool to_server, bool reset)
{
    /* The last that is cut comes after the last REPLY: the wire is quiet then. */
    uint64_t at = 0;
    while (cut_at(at, to_server, reset, at % 3 ? 0 : 40))
        at++;
    assert_true(at > 900);
    assert_false(cut_at(at + 1, to_server, reset, 0));
}

static void cut_to_server(void **state)
{
    (void)state;
    every_byte(true, false);
}

static void cut_to_client(void **state)
{
    (void)state;
    every_byte(false, false);
}

static void reset_to_server(void **state)
{
    (void)state;
    every_byte(true, true);
}

static void reset_to_client(void **state)
{
    (void)state;
    every_byte(false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_to_server),
        cmocka_unit_test(cut_to_client),
        cmocka_unit_test(reset_to_server),
        cmocka_unit_test(reset_to_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
