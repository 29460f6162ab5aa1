/* A peer made by hand: see raw.h. Its HELLO is spelled out in bytes, so that the format
 * can not change unnoticed. */
#include "sim/raw.h"

#include "base/auto.h"
#include "base/bytes.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

static const uint8_t hello[] = {
    0,   0,   0,   11,  0,   0, 0, 0, 1, 0, 0, 0, /* length 11, stream 0, HELLO */
    'G', 'f', 'R', 'y', 0,   2,                   /* magic, version */
    2,   'a', 'b', 1,   'x',                      /* hash "ab", build "x" */
};

static void on_reset(void *arg, int code)
{
    raw *r = arg;
    r->resets++;
    r->reset_code = code;
}

static void on_call(void *arg, ferry_stream *st, ferry_slice body)
{
    raw *r = arg;
    ferry_slice_done(&body);
    if (!fake_check(r->calls < FERRY_CONN_STREAMS)) {
        ferry_stream_close(st);
        return;
    }
    r->streams[r->calls++] = st;
    ferry_stream_on_reset(st, on_reset, r);
}

static ferry_lane_map *new_map(void)
{
    ferry_lane_map *m = NULL;
    size_t len = (size_t)ferry_lane_bytes(&RAW_LANE);
    void *at =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fake_check(at != MAP_FAILED))
        fake_equal(ferry_lane_map_new(at, len, &m), 0);
    return m;
}

static void on_lane(void *arg, const ferry_lane_shape *shape)
{
    raw *r = arg;
    (void)shape;
    r->lanes++;
    if (!r->is_server)
        return;
    ferry_lane_map *m = new_map();
    ferry_conn_answer_lane(r->conn, m);
    ferry_lane_map_unref(m);
}

static FERRY_CO int run(void *arg)
{
    raw *r = arg;
    r->result = ferry_conn_hello(r->conn, "ab", "ours", NULL);
    if (fake_equal(r->result, 0))
        r->result = ferry_conn_run(r->conn);
    return 0;
}

FERRY_CO void raw_open(raw *r, bool conn_is_server, const wire_faults *to_peer)
{
    *r = (raw){0};
    wire_faults good = WIRE_GOOD;
    ferry_link *ends[2];
    wire_new(to_peer ? to_peer : &good, &good, ends);
    r->conn_end = ends[0];
    r->end = ends[1];
    r->is_server = conn_is_server;
    ferry_conn_opts o = {.server = conn_is_server,
                         .on_call = on_call,
                         .on_lane = on_lane,
                         .arg = r};
    fake_equal(ferry_conn_new(ferry_self_loop(), ends[0], &o, &r->conn), 0);
    fake_equal(ferry_buf_new(2 * FERRY_FRAME_MAX, &r->in), 0);
    ferry_scope_open(&r->scope, FERRY_SCOPE_SUPERVISE);
    fake_equal(ferry_spawn(&r->scope, "raw conn", run, r), 0);
    fake_equal(raw_bytes(r, hello, sizeof hello), 0);
    raw_expect(r, FERRY_HELLO, 0, NULL);
}

void raw_hang_up(raw *r)
{
    ferry_link_close(ferry_take(&r->end));
}

FERRY_CO int raw_wait_end(raw *r)
{
    while (!ferry_conn_error(r->conn))
        if (ferry_sleep(1) < 0)
            break;
    return ferry_conn_error(r->conn);
}

FERRY_CO void raw_close(raw *r)
{
    ferry_scope_cancel(&r->scope, -FERRY_ECANCELED);
    ferry_scope_join(&r->scope);
    for (unsigned i = 0; i < r->calls; i++)
        ferry_stream_close(r->streams[i]);
    ferry_conn_free(r->conn);
    raw_hang_up(r);
    ferry_buf_unref(r->in);
}

/* ---- frames --------------------------------------------------------------------- */

FERRY_CO int raw_bytes(raw *r, const void *bytes, size_t len)
{
    struct iovec iov = {(void *)bytes, len};
    return ferry_link_write(r->end, &iov, 1);
}

FERRY_CO int raw_put(raw *r, uint8_t type, uint8_t flags, uint32_t stream,
                     const void *payload, uint32_t len)
{
    ferry_frame f = {len, stream, type, flags};
    uint8_t header[FERRY_FRAME_HEADER];
    ferry_frame_encode(&f, header);
    struct iovec iov[2] = {{header, sizeof header}, {(void *)payload, len}};
    return ferry_link_write(r->end, iov, 2);
}

FERRY_CO int raw_put32(raw *r, uint8_t type, uint32_t stream, uint32_t value)
{
    uint8_t payload[4];
    ferry_put32(payload, value);
    return raw_put(r, type, 0, stream, payload, sizeof payload);
}

FERRY_CO int raw_put_lane(raw *r, ferry_lane_shape shape)
{
    uint8_t payload[FERRY_LANE_PAYLOAD];
    ferry_put32(payload, shape.slot);
    ferry_put32(payload + 4, shape.up);
    ferry_put32(payload + 8, shape.down);
    return raw_put(r, FERRY_LANE, 0, 0, payload, sizeof payload);
}

FERRY_CO int raw_put_slot(raw *r, uint32_t stream, uint32_t slot, uint32_t len)
{
    uint8_t payload[8];
    ferry_put32(payload, slot);
    ferry_put32(payload + 4, len);
    return raw_put(r, FERRY_DATA, FERRY_FRAME_SLOT, stream, payload, sizeof payload);
}

FERRY_CO int raw_put_free(raw *r, uint64_t set)
{
    uint8_t payload[8];
    ferry_put64(payload, set);
    return raw_put(r, FERRY_FREE, 0, 0, payload, sizeof payload);
}

FERRY_CO void raw_open_lane(raw *r)
{
    if (!r->is_server) {
        ferry_lane_map *m = new_map();
        ferry_conn_offer_lane(r->conn, m, &RAW_LANE);
        ferry_lane_map_unref(m);
        raw_expect(r, FERRY_LANE, 0, NULL);
    }
    raw_put_lane(r, RAW_LANE);
    if (r->is_server)
        raw_expect(r, FERRY_LANE, 0, NULL);
    while (r->lanes == 0 && !ferry_conn_error(r->conn))
        ferry_yield();
}

static FERRY_CO int need(raw *r, size_t n)
{
    while (r->in->len - r->pos < n) {
        memmove(r->in->data, r->in->data + r->pos, r->in->len - r->pos);
        r->in->len -= r->pos;
        r->pos = 0;
        ssize_t got = ferry_link_read(r->end, r->in);
        if (got <= 0)
            return (int)got;
    }
    return 1;
}

FERRY_CO int raw_get(raw *r, ferry_frame *ret, const uint8_t **ret_payload)
{
    int n = need(r, FERRY_FRAME_HEADER);
    if (n <= 0)
        return n;
    n = ferry_frame_decode(r->in->data + r->pos, ret);
    if (!fake_equal(n, 0))
        return n;
    n = need(r, FERRY_FRAME_HEADER + ret->length);
    if (n <= 0)
        return n;
    *ret_payload = r->in->data + r->pos + FERRY_FRAME_HEADER;
    r->pos += FERRY_FRAME_HEADER + ret->length;
    return 1;
}

FERRY_CO bool raw_expect(raw *r, uint8_t type, uint32_t stream,
                         const uint8_t **ret_payload)
{
    ferry_frame f = {0};
    const uint8_t *payload = NULL;
    if (!fake_equal(raw_get(r, &f, &payload), 1))
        return false;
    if (ret_payload)
        *ret_payload = payload;
    return fake_equal(f.type, type) && fake_equal(f.stream, stream);
}
