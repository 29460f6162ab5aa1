/* A library and a daemon of different builds never talk: both sides say which two met.
 * And what is no HELLO of ours at all is a broken protocol, not a crash. */
#include "proto/frame.h"
#include "sim/raw.h"
#include "sim/sim.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static FERRY_CO int never(sim *s)
{
    (void)s;
    fake_check(!"the body ran after a failed HELLO");
    return 0;
}

static void other_hash(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, never);
    s.server_hash = "fedcba9876543210";
    assert_int_equal(sim_run(&s), -FERRY_EMISMATCH);
    assert_int_equal(s.server_result, -FERRY_EMISMATCH);
    assert_int_equal(s.client_error.code, -FERRY_EMISMATCH);
    assert_non_null(strstr(s.client_error.msg, "daemon is build server build 2"));
    assert_non_null(strstr(s.client_error.msg, "library is build client build 1"));
}

static FERRY_CO int succeeds(sim *s)
{
    return sim_ask(s, SIM_NOTHING, (sim_request){0});
}

static void same_hash(void **state)
{
    (void)state;
    sim s;
    sim_init(&s, succeeds);
    s.to_server.max_read = s.to_client.max_read = 1;
    assert_int_equal(sim_run(&s), 0);
}

struct greeting {
    const char *name;
    uint8_t bytes[64];
    size_t len;
    int code;
    const char *text;
};

#define HEADER(len, type) 0, 0, 0, len, 0, 0, 0, 0, type, 0, 0, 0

static const struct greeting greetings[] = {
    {"a shell", "/ # no such command\n", 20, -FERRY_EPROTO, "bad header"},
    {"another magic",
     {HEADER(8, FERRY_HELLO), 'G', 'f', 'R', 'z', 0, 1, 0, 0},
     20,
     -FERRY_EPROTO,
     "not one of ours"},
    {"hash longer than the frame",
     {HEADER(8, FERRY_HELLO), 'G', 'f', 'R', 'y', 0, 2, 9, 0},
     20,
     -FERRY_EPROTO,
     "not one of ours"},
    {"build longer than the frame",
     {HEADER(8, FERRY_HELLO), 'G', 'f', 'R', 'y', 0, 2, 0, 1},
     20,
     -FERRY_EPROTO,
     "not one of ours"},
    {"bytes left over",
     {HEADER(9, FERRY_HELLO), 'G', 'f', 'R', 'y', 0, 2, 0, 0, 0},
     21,
     -FERRY_EPROTO,
     "not one of ours"},
    {"LOG first", {HEADER(1, FERRY_LOG), 'x'}, 13, -FERRY_EPROTO, "LOG before HELLO"},
    {"a huge frame first",
     {0, 3, 0, 0, 0, 0, 0, 1, FERRY_DATA, 0, 0, 0},
     12,
     -FERRY_EPROTO,
     "DATA before HELLO"},
    {"nothing", {0}, 0, -FERRY_EPIPE, "closed"},
    {"half a header", {0, 0, 0}, 3, -FERRY_EPIPE, "closed"},
    {"half a HELLO", {HEADER(8, FERRY_HELLO), 'G', 'f'}, 14, -FERRY_EPIPE, "closed"},
    {"another version",
     {HEADER(11, FERRY_HELLO), 'G', 'f', 'R', 'y', 0, 3, 2, 'a', 'b', 1, 'x'},
     23,
     -FERRY_EMISMATCH,
     "the daemon is build x (API ab), this library is build ours (API ab)"},
    {"escape codes in its name",
     {HEADER(12, FERRY_HELLO), 'G', 'f', 'R', 'y', 0, 2, 1, 'z', 3, 27, '[', '2'},
     24,
     -FERRY_EMISMATCH,
     "the daemon is build ?[2 (API z)"},
    {"the host's flag",
     {0, 0, 0,   8,   0,   0,   0, 0, FERRY_HELLO, FERRY_FRAME_AGAIN,
      0, 0, 'G', 'f', 'R', 'y', 0, 2, 0,           0},
     20,
     -FERRY_EPROTO,
     "asks for another HELLO"},
};

static FERRY_CO int greet(void *arg)
{
    const struct greeting *g = arg;
    wire_faults good = WIRE_GOOD;
    ferry_link *ends[2];
    wire_new(&good, &good, ends);
    ferry_conn_opts o = {0};
    ferry_conn *c = NULL;
    fake_equal(ferry_conn_new(ferry_self_loop(), ends[0], &o, &c), 0);
    struct iovec iov = {(void *)g->bytes, g->len};
    fake_equal(ferry_link_write(ends[1], &iov, 1), 0);
    wire_end_of_writing(ends[1]);

    ferry_error e = {0};
    fake_equal(ferry_conn_hello(c, "ab", "ours", &e), g->code);
    fake_equal(e.code, g->code);
    if (!fake_check(strstr(e.msg, g->text)))
        fprintf(stderr, "%s: \"%s\" does not say \"%s\"\n", g->name, e.msg, g->text);
    fake_equal(ferry_conn_error(c), g->code);
    ferry_conn_free(c);
    ferry_link_close(ends[1]);
    return 0;
}

static void strange_greetings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof greetings / sizeof *greetings; i++)
        assert_int_equal(run_in_task(greet, (void *)&greetings[i]), 0);
}

static FERRY_CO int say_hello(void *arg)
{
    ferry_error e = {0};
    return ferry_conn_hello(arg, "ab", "daemon", &e);
}

static ferry_conn *new_conn(ferry_link *link, bool server, bool again)
{
    ferry_conn_opts o = {.server = server, .again = again};
    ferry_conn *c = NULL;
    fake_equal(ferry_conn_new(ferry_self_loop(), link, &o, &c), 0);
    return c;
}

/* A template's daemon has greeted whoever made it; the host that goes on from there has heard
 * nothing, and asks. */
static FERRY_CO int greet_again(void *arg)
{
    (void)arg;
    wire_faults good = WIRE_GOOD;
    ferry_link *ends[2];
    wire_new(&good, &good, ends);
    ferry_conn *daemon = new_conn(ends[0], true, false);
    ferry_scope s;
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "daemon", say_hello, daemon), 0);

    FERRY_AUTO(buf) ferry_buf *first = NULL;
    fake_equal(ferry_buf_new(256, &first), 0);
    fake_check(ferry_link_read(ends[1], first) > FERRY_FRAME_HEADER);

    ferry_error e = {0};
    ferry_conn *host = new_conn(ends[1], false, true);
    fake_equal(ferry_conn_hello(host, "ab", "host", &e), 0);
    fake_equal(ferry_scope_join(&s), 0);
    ferry_conn_free(host);
    ferry_conn_free(daemon);
    return 0;
}

static void is_said_again_when_asked(void **state)
{
    (void)state;
    assert_int_equal(run_in_task(greet_again, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_hash),
        cmocka_unit_test(same_hash),
        cmocka_unit_test(strange_greetings),
        cmocka_unit_test(is_said_again_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
