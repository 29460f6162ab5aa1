/* A peer made by hand: one connection of ours, and at the other end of the wire the
 * test itself, which writes whatever frames it likes and reads what comes. */
#ifndef FERRY_TESTS_RAW_H
#define FERRY_TESTS_RAW_H

#include "harness/fake.h"
#include "proto/conn.h"
#include "proto/window.h"
#include "sim/wire.h"

typedef struct raw {
    ferry_conn *conn;
    ferry_link *end;      /* the hand-made peer's; NULL: hung up */
    ferry_link *conn_end; /* for wire_read() and the like */
    ferry_scope scope;
    int result; /* of ferry_conn_run */
    ferry_buf *in;
    size_t pos;
    unsigned lanes; /* answers to, or offers of, a lane that conn was told of */

    bool is_server; /* conn is; then: */
    unsigned calls, resets;
    int reset_code;
    ferry_stream *streams[FERRY_CONN_STREAMS]; /* by arrival, open; raw_close closes */
} raw;

/* Connection, wire (which may be NULL: a good one) and HELLO both ways; then it runs.
 * */
FERRY_CO void raw_open(raw *r, bool conn_is_server, const wire_faults *to_peer);
/* Ends what still runs and frees everything. */
FERRY_CO void raw_close(raw *r);
/* The peer goes away, without a word. */
void raw_hang_up(raw *r);
/* Waits until the connection has ended; its result. */
FERRY_CO int raw_wait_end(raw *r);

FERRY_CO int raw_put(raw *r, uint8_t type, uint8_t flags, uint32_t stream,
                     const void *payload, uint32_t len);
FERRY_CO int raw_put32(raw *r, uint8_t type, uint32_t stream, uint32_t value);
/* LANE of this shape; 0s: refused. */
FERRY_CO int raw_put_lane(raw *r, ferry_lane_shape shape);
/* The lane of conn is open: RAW_LANE was offered and accepted, whoever conn is. */
FERRY_CO void raw_open_lane(raw *r);
#define RAW_LANE ((ferry_lane_shape){.slot = 64 * 1024, .up = 3, .down = 2})
FERRY_CO int raw_put_slot(raw *r, uint32_t stream, uint32_t slot, uint32_t len);
FERRY_CO int raw_put_free(raw *r, uint64_t set);
FERRY_CO int raw_bytes(raw *r, const void *bytes, size_t len);
/* The next frame from the connection: 1, 0 at the end. Its payload is valid until the
 * next. */
FERRY_CO int raw_get(raw *r, ferry_frame *ret, const uint8_t **ret_payload);
/* The same, and it must be of this type and stream. */
FERRY_CO bool raw_expect(raw *r, uint8_t type, uint32_t stream,
                         const uint8_t **ret_payload);

#endif
