/* A connection's end of the lane: which slots are whose, and slots as buffers, so that
 * whoever fills, queues, reads or frees one need not know what it is.
 *
 *      take -> buffer -> ferry_stream_write -> DATA{slot} -> buffer -> last unref -> FREE{slot}
 *              |--------------- one side --------------|    |--------- the other ---------|
 *
 * A slot goes back when its last buffer goes, so also after a RESET, a REPLY or a cancel: a
 * read or write that the pool is still doing holds the buffer, and thereby the slot. The
 * memory stays mapped as long as any buffer of it lives, also without the connection.
 *
 * Owned by the connection (internal.h); used by the files of src/proto only. */
#ifndef FERRY_PROTO_LANE_PORT_H
#define FERRY_PROTO_LANE_PORT_H

#include "async/sync.h"
#include "base/buf.h"
#include "proto/conn.h"
#include "proto/lane.h"

struct ferry_lane_port {
    ferry_conn_lane state;
    bool tell; /* a LANE frame is to be sent: the offer or the answer */
    ferry_lane_shape shape;
    ferry_lane_map *map; /* NULL: none, or not accepted */
    bool server;
    ferry_lane_out out;
    ferry_lane_in in;
    struct ferry_lane_use {
        uint32_t stream,
            len; /* of `out`: which stream has it, and what was sent in it */
        ferry_rank rank;
    } use[FERRY_LANE_SLOTS_MAX];
    unsigned waiting[FERRY_RANKS]; /* streams that would have one */
    ferry_list bufs;               /* alive */
    ferry_cond freed;              /* of `out`: there may be one for you */
    uint64_t moved;   /* ms: the peer gave one back, or had none and gets one */
    ferry_cond *work; /* the writer's: there is something to tell */
};

void ferry_lane_port_init(struct ferry_lane_port *p, bool server, ferry_cond *work);
void ferry_lane_port_done(struct ferry_lane_port *p);

/* How many slots of ours a stream has, wherever they are now. */
unsigned ferry_lane_port_held(const struct ferry_lane_port *p, uint32_t stream);
/* Streams of higher ranks are moving: the peer has slots of theirs, or they wait for some. */
bool ferry_lane_port_outranked(const struct ferry_lane_port *p, ferry_rank rank);
/* A free slot as an empty buffer: 1, 0 not now, -ENOMEM. */
int ferry_lane_port_take(struct ferry_lane_port *p, uint32_t stream, ferry_rank rank,
                         ferry_buf **ret);
/* The number of a slot of ours that this slice is all of, or -1: anything else. */
int ferry_lane_port_slot(const struct ferry_lane_port *p, const ferry_slice *s);
/* The peer has said that there are `len` bytes in a slot of its. -FERRY_EPROTO, -ENOMEM (it
 * will be told that we are done with it). */
int ferry_lane_port_arrived(struct ferry_lane_port *p, uint32_t slot, uint32_t len,
                            ferry_buf **ret);

#endif
