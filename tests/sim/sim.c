/* Two connections in one process and what tests do with them: see sim.h. */
#include "sim/sim.h"

#include "base/auto.h"
#include "base/bytes.h"

#include "proto/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define REQUEST_SIZE 16
#define ANSWER_SIZE 12

/* ---- bytes ---------------------------------------------------------------------- */

uint8_t sim_byte(uint32_t seed, uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + (offset >> 16) + seed);
}

static void fill(uint8_t *p, size_t n, uint32_t seed, uint64_t offset)
{
    for (size_t i = 0; i < n; i++)
        p[i] = sim_byte(seed, offset + i);
}

static bool matches(const uint8_t *p, size_t n, uint32_t seed, uint64_t offset)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != sim_byte(seed, offset + i))
            return false;
    return true;
}

FERRY_CO int sim_send(ferry_stream *st, sim_request rq)
{
    size_t chunk = rq.chunk ? rq.chunk : FERRY_FRAME_MAX;
    for (uint64_t off = 0; off < rq.bytes;) {
        size_t n = rq.bytes - off < chunk ? (size_t)(rq.bytes - off) : chunk;
        FERRY_AUTO(buf) ferry_buf *b = NULL;
        int r = ferry_stream_slot(st, n, &b);
        if (r == 0)
            r = ferry_buf_new(n, &b);
        if (r < 0)
            return r;
        n = n < b->cap ? n : b->cap;
        fill(b->data, n, rq.seed, off);
        b->len = n;
        ferry_slice s = {b, b->data, n};
        b = NULL;
        r = ferry_stream_write(st, s);
        if (r < 0)
            return r;
        off += n;
    }
    return 0;
}

FERRY_CO int sim_receive(ferry_stream *st, uint32_t seed, uint64_t *ret_count)
{
    uint64_t off = 0;
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_stream_read(st, &p);
        if (r <= 0) {
            *ret_count = off;
            return r;
        }
        bool good = p.hole || matches(p.data.data, p.data.len, seed, off);
        off += p.hole ? p.hole : p.data.len;
        ferry_slice_done(&p.data);
        if (!good)
            return -EBADMSG;
    }
}

/* ---- the server's calls --------------------------------------------------------- */

struct call {
    sim *s;
    ferry_stream *st;
    sim_request rq;
    ferry_scope scope;
    uint64_t count;
};

static FERRY_CO int echo(struct call *call)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_stream_read(call->st, &p);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        call->count += p.hole ? p.hole : p.data.len;
        r = p.hole ? ferry_stream_write_hole(call->st, p.hole)
                   : ferry_stream_write(call->st, p.data);
        if (r < 0)
            return r;
    }
    ferry_stream_finish(call->st);
    return 0;
}

static FERRY_CO int refuse(struct call *call)
{
    while (call->count < call->rq.bytes) {
        ferry_piece p = {0};
        int r = ferry_stream_read(call->st, &p);
        if (r <= 0)
            return r;
        call->count += p.data.len;
        ferry_slice_done(&p.data);
    }
    return -FERRY_ENOSPC;
}

static FERRY_CO int tell_progress(struct call *call)
{
    for (uint64_t i = 1; i <= call->rq.bytes; i++) {
        ferry_stream_send_progress(call->st, i, call->rq.bytes);
        int r = ferry_sleep(1);
        if (r < 0)
            return r;
    }
    return 0;
}

static FERRY_CO int serve(struct call *call)
{
    int r;
    switch (ferry_stream_proc(call->st)) {
    case SIM_NOTHING: return 0;
    case SIM_SOURCE:
        r = sim_send(call->st, call->rq);
        if (r == 0)
            ferry_stream_finish(call->st);
        return r;
    case SIM_NO_END: return sim_send(call->st, call->rq);
    case SIM_SINK: return sim_receive(call->st, call->rq.seed, &call->count);
    case SIM_ECHO: return echo(call);
    case SIM_WAIT: return ferry_sleep(UINT32_MAX);
    case SIM_PAUSE: return ferry_sleep(call->rq.bytes);
    case SIM_PROGRESS: return tell_progress(call);
    case SIM_REFUSE: return refuse(call);
    default: return -FERRY_ENOSYS;
    }
}

static void on_reset(void *arg, int code)
{
    struct call *call = arg;
    call->s->resets++;
    ferry_scope_cancel(&call->scope, code);
}

static void reply(struct call *call, int status)
{
    ferry_buf *b = NULL;
    if (ferry_buf_new(ANSWER_SIZE, &b) == 0) {
        ferry_put32(b->data, (uint32_t)status);
        ferry_put64(b->data + 4, call->count);
        b->len = ANSWER_SIZE;
    }
    ferry_stream_reply(call->st, b);
}

static FERRY_CO int call_task(void *arg)
{
    struct call *call = arg;
    ferry_scope_open(&call->scope, FERRY_SCOPE_SUPERVISE);
    ferry_stream_on_reset(call->st, on_reset, call);
    int status = serve(call);
    reply(call, status);
    ferry_scope_join(&call->scope);
    ferry_stream_close(call->st);
    call->s->ended++;
    free(call);
    return 0;
}

static void on_call(void *arg, ferry_stream *st, ferry_slice body)
{
    sim *s = arg;
    s->started++;
    struct call *call = calloc(1, sizeof *call);
    if (!call || !fake_equal(body.len, REQUEST_SIZE))
        goto fail;
    call->s = s;
    call->st = st;
    call->rq.bytes = ferry_get64(body.data);
    call->rq.chunk = ferry_get32(body.data + 8);
    call->rq.seed = ferry_get32(body.data + 12);
    if (ferry_spawn(&s->calls, "call", call_task, call) < 0)
        goto fail;
    ferry_slice_done(&body);
    return;

fail:
    s->ended++;
    ferry_slice_done(&body);
    ferry_stream_close(st);
    free(call);
}

/* ---- the lane ------------------------------------------------------------------- */

static ferry_lane_map *map_lane(int fd)
{
    ferry_lane_map *m = NULL;
    size_t len = (size_t)ferry_lane_bytes(&SIM_LANE);
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fake_check(at != MAP_FAILED))
        fake_equal(ferry_lane_map_new(at, len, &m), 0);
    return m;
}

/* The server takes its time, as a guest does. */
static FERRY_CO int answer_lane(void *arg)
{
    sim *s = arg;
    ferry_sleep(1);
    ferry_conn_answer_lane(s->server, s->server_map);
    ferry_lane_map_unref(s->server_map);
    return 0;
}

static void on_lane(void *arg, const ferry_lane_shape *shape)
{
    sim *s = arg;
    fake_equal(shape->slot, SIM_LANE.slot);
    s->server_map = map_lane(s->lane_fd);
    fake_equal(ferry_spawn(&s->calls, "lane", answer_lane, s), 0);
}

static void offer_lane(sim *s)
{
    s->lane_fd = memfd_create("sim", MFD_CLOEXEC);
    fake_equal(ftruncate(s->lane_fd, (off_t)ferry_lane_bytes(&SIM_LANE)), 0);
    ferry_lane_map *m = map_lane(s->lane_fd);
    ferry_conn_offer_lane(s->client, m, &SIM_LANE);
    ferry_lane_map_unref(m);
}

static bool at_rest(const struct ferry_lane_port *p)
{
    return !p->out.ours && !p->out.theirs && !p->in.held && !p->in.done;
}

FERRY_CO bool sim_lane_rests(sim *s)
{
    for (int ms = 0; ms < 10000; ms++) {
        if (at_rest(&s->client->lane) && at_rest(&s->server->lane))
            return true;
        ferry_sleep(1);
    }
    return false;
}

/* ---- the client ----------------------------------------------------------------- */

FERRY_CO int sim_call(sim *s, enum sim_proc proc, sim_request rq, ferry_stream **ret)
{
    ferry_buf *b = NULL;
    int r = ferry_buf_new(REQUEST_SIZE, &b);
    if (r < 0)
        return r;
    ferry_put64(b->data, rq.bytes);
    ferry_put32(b->data + 8, rq.chunk);
    ferry_put32(b->data + 12, rq.seed);
    b->len = REQUEST_SIZE;
    return ferry_stream_call(s->client, proc, b, ret);
}

FERRY_CO int sim_wait(ferry_stream *st, sim_answer *ret)
{
    FERRY_AUTO(slice) ferry_slice body = {0};
    int r = ferry_stream_wait_reply(st, &body);
    if (r < 0)
        return r;
    if (body.len == 0)
        return -FERRY_ENOMEM; /* the server's */
    if (body.len != ANSWER_SIZE)
        return -EBADMSG;
    ret->status = (int32_t)ferry_get32(body.data);
    ret->count = ferry_get64(body.data + 4);
    return 0;
}

FERRY_CO int sim_ask(sim *s, enum sim_proc proc, sim_request rq)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    int r = sim_call(s, proc, rq, &st);
    if (r < 0)
        return r;
    sim_answer answer = {0};
    r = sim_wait(st, &answer);
    return r < 0 ? r : answer.status;
}

static void on_log(void *arg, const char *text, size_t len)
{
    sim *s = arg;
    s->logs++;
    snprintf(s->last_log, sizeof s->last_log, "%.*s", (int)len, text);
}

/* ---- the whole ------------------------------------------------------------------ */

static FERRY_CO int server_task(void *arg)
{
    sim *s = arg;
    s->server_result =
        ferry_conn_hello(s->server, s->server_hash, "server build 2", NULL);
    if (s->server_result == 0)
        s->server_result = ferry_conn_run(s->server);
    wire_cut(s->server_end); /* as a daemon that ends would */
    return 0;
}

static FERRY_CO int client_task(void *arg)
{
    sim *s = arg;
    s->client_result = ferry_conn_run(s->client);
    return 0;
}

/* Like the API: says hello, then runs the connection beside whoever uses it. */
static FERRY_CO int client_side(sim *s)
{
    s->client_result =
        ferry_conn_hello(s->client, s->client_hash, "client build 1", &s->client_error);
    if (s->client_result < 0)
        return s->client_result;

    ferry_scope scope;
    ferry_scope_open(&scope, FERRY_SCOPE_SUPERVISE);
    int r = ferry_spawn(&scope, "client", client_task, s);
    if (s->lane)
        offer_lane(s);
    if (r == 0)
        r = s->body(s);
    ferry_scope_cancel(&scope, -FERRY_ECANCELED);
    ferry_scope_join(&scope);
    return r;
}

static FERRY_CO int both_sides(void *arg)
{
    sim *s = arg;
    s->loop = ferry_self_loop();

    ferry_link *ends[2];
    wire_new(&s->to_server, &s->to_client, ends);
    s->client_end = ends[0];
    s->server_end = ends[1];
    if (s->fail_at)
        *s->fail_at = s->fail_after;
    ferry_conn_opts for_client = {.on_log = on_log, .arg = s};
    ferry_conn_opts for_server = {.server = true,
                                  .on_call = on_call,
                                  .on_lane = on_lane,
                                  .arg = s};
    int r = ferry_conn_new(s->loop, ends[0], &for_client, &s->client);
    if (r < 0) {
        ferry_link_close(ends[1]);
        return r;
    }
    r = ferry_conn_new(s->loop, ends[1], &for_server, &s->server);
    if (r < 0) {
        ferry_conn_free(s->client);
        return r;
    }

    ferry_scope_open_root(&s->calls, s->loop, NULL, FERRY_SCOPE_SUPERVISE);
    ferry_scope scope;
    ferry_scope_open(&scope, FERRY_SCOPE_SUPERVISE);
    r = ferry_spawn(&scope, "server", server_task, s);
    if (r == 0)
        r = client_side(s);
    ferry_conn_free(s->client); /* its link's end is what the server hears */
    ferry_scope_join(&scope);
    ferry_scope_join(&s->calls);
    fake_equal(s->server->nstreams, 0);
    ferry_conn_free(s->server);
    if (s->lane_fd >= 0)
        close(s->lane_fd);
    return r;
}

void sim_init(sim *s, FERRY_CO int (*body)(sim *s))
{
    *s = (sim){
        .to_server = WIRE_GOOD,
        .to_client = WIRE_GOOD,
        .body = body,
        .client_hash = "0123456789abcdef",
        .server_hash = "0123456789abcdef",
        .lane_fd = -1,
        .lane = getenv("FERRY_SIM_LANE"),
    };
}

int sim_run(sim *s)
{
    int r = run_in_task(both_sides, s);
    assert_int_equal(s->started, s->ended);
    assert_int_equal(wire_open_ends(), 0);
    return r;
}
