/* A byte that changes on the wire, anywhere in sealed data and in either direction, is noticed: the end of the
 * data is not reached. Unchanged, it is, however the pieces were cut, with holes and without. */
#include "proto/seal.h"
#include "sim/sim.h"

#include "async/scope.h"
#include "base/auto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct traffic {
    const size_t *writes; /* lengths; 0: a hole of 5000 */
    size_t n;
    uint64_t begin, end; /* where the data is on the wire to the server */
    uint64_t got;
    int result; /* of reading it back */
};

static FERRY_CO int send_sealed(sim *s, struct traffic *t, ferry_stream *st)
{
    ferry_seal seal;
    int r = ferry_seal_init(&seal);
    for (size_t i = 0; r == 0 && i < t->n; i++) {
        ferry_buf *b = NULL;
        if (t->writes[i] == 0) {
            r = ferry_seal_write_hole(&seal, st, 5000);
            continue;
        }
        r = ferry_buf_new(t->writes[i], &b);
        if (r < 0)
            break;
        b->len = t->writes[i];
        memset(b->data, (int)i, b->len);
        r = ferry_seal_write(&seal, st, (ferry_slice){b, b->data, b->len});
    }
    if (r == 0)
        r = ferry_seal_finish(&seal, st);
    if (r == 0)
        r = ferry_conn_flush(s->client);
    ferry_seal_done(&seal);
    return r;
}

static FERRY_CO int read_sealed(struct traffic *t, ferry_stream *st)
{
    ferry_seal seal;
    int r = ferry_seal_init(&seal);
    if (r == 0)
        r = 1;
    while (r > 0) {
        ferry_piece p = {0};
        r = ferry_seal_read(&seal, st, &p);
        t->got += r > 0 ? p.data.len + p.hole : 0;
        ferry_slice_done(&p.data);
    }
    ferry_seal_done(&seal);
    return r;
}

/* There and back: the server sends what it gets. A length that became longer leaves the other side waiting. */
static FERRY_CO int there_and_back(sim *s)
{
    struct traffic *t = s->user;
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_scope patience;
    ferry_scope_open(&patience, 0);
    ferry_scope_deadline(&patience, 10000);
    int r = sim_call(s, SIM_ECHO, (sim_request){0}, &st);
    if (r == 0)
        r = ferry_conn_flush(s->client);
    t->begin = wire_written(s->client_end);
    if (r == 0)
        r = send_sealed(s, t, st);
    t->end = wire_written(s->client_end);
    t->got = 0;
    t->result = r == 0 ? read_sealed(t, st) : r;
    ferry_scope_join(&patience);
    return 0;
}

static void run(struct traffic *t, uint64_t to_server, uint64_t to_client, uint8_t by)
{
    sim s;
    sim_init(&s, there_and_back);
    s.user = t;
    s.to_server.corrupt_at = to_server;
    s.to_client.corrupt_at = to_client;
    s.to_server.corrupt_by = s.to_client.corrupt_by = by;
    (void)sim_run(&s);
}

static const size_t plain[] = {1, 20, 300};
static const size_t holes[] = {10, 0, 0, 7, 0};
static const size_t large[] = {5000, 100, 262144, 70000, 0, 4096};

static void whole_data_is_whole(void **state)
{
    (void)state;
    struct traffic all[] = {{plain, 3}, {holes, 5}, {large, 6}, {NULL, 0}};
    const uint64_t bytes[] = {321, 15017, 346340, 0};
    for (size_t i = 0; i < 4; i++) {
        run(&all[i], WIRE_NEVER, WIRE_NEVER, 0);
        assert_int_equal(all[i].result, 0);
        assert_int_equal(all[i].got, bytes[i]);
    }
}

/* Most flips hit data, and are the seal's to find; the others hit a frame's header, which the connection does
 * not survive. */
static void flip_everywhere(struct traffic *t)
{
    unsigned found = 0;
    run(t, WIRE_NEVER, WIRE_NEVER, 0);
    for (uint64_t at = t->begin; at < t->end; at++) {
        struct traffic flipped = {t->writes, t->n};
        run(&flipped, at, WIRE_NEVER, (uint8_t)(1 << at % 8));
        assert_true(flipped.result < 0);
        found += flipped.result == -EBADMSG;
    }
    assert_true(found >= FERRY_SEAL_SIZE);
}

static void flipped_data(void **state)
{
    (void)state;
    struct traffic t = {plain, 3};
    flip_everywhere(&t);
}

static void flipped_holes(void **state)
{
    (void)state;
    struct traffic t = {holes, 5};
    flip_everywhere(&t);
}

/* In the second half of what comes back there is nothing but data. */
static void flipped_on_the_way_back(void **state)
{
    (void)state;
    for (uint64_t at = 100000; at < 300000; at += 1777) {
        struct traffic t = {large, 6};
        run(&t, WIRE_NEVER, at, 0x10);
        assert_int_equal(t.result, -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_data_is_whole),
        cmocka_unit_test(flipped_data),
        cmocka_unit_test(flipped_holes),
        cmocka_unit_test(flipped_on_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
