/* Credit as arithmetic. One window per stream and direction; pure.
 *
 *   sender                                   receiver
 *   may send while sent < limit              granted: the sender's limit, as told
 *   sent  += cost                            received += cost (never past granted)
 *   limit += CREDIT                          consumed += when the reader is done
 *                                            tells CREDIT when half is consumed
 *
 *   0          consumed        received             granted = limit
 *   |--- done ----|--- held here --|--- may yet come ---|
 *                 |<----------- at most size ---------->|
 *
 * A frame is sent whole or not at all: a sender waits for room for all of it. That
 * never hangs, because a receiver that has consumed everything has told all but half a
 * window, and half a window holds any frame. */
#ifndef FERRY_PROTO_WINDOW_H
#define FERRY_PROTO_WINDOW_H

#include <stdint.h>

/* Bytes in flight per stream and direction without being asked: with 100 us to the
 * daemon and 300 MB/s, 30 KiB would fill the wire; the rest is for the disk behind
 * it. */
#define FERRY_WINDOW (2 * 1024 * 1024)

/* The least a DATA frame costs, also a hole of any length: no frame is free, because
 * what a receiver keeps to remember it (40 bytes, pieces.h) is not. */
#define FERRY_COST_MIN 64

/* What a DATA frame of this payload takes from the window. */
static inline uint32_t ferry_window_cost(uint32_t payload)
{
    return payload < FERRY_COST_MIN ? FERRY_COST_MIN : payload;
}

/* A credit is a cost, progress is bytes (a hole's are many), so the sender notes now
 * and then how many bytes it had sent at what cost. Notes are at least
 * 1/FERRY_WINDOW_MARKS of the window apart: one more than that are ever in flight. */
#define FERRY_WINDOW_MARKS 8

struct ferry_window_mark {
    uint64_t sent, bytes;
};

typedef struct ferry_send_window {
    uint64_t sent, limit;
    uint32_t size;         /* the most that limit may ever be ahead of sent */
    uint64_t bytes, acked; /* bytes sent, and of these surely consumed; holes count */
    struct ferry_window_mark marks[FERRY_WINDOW_MARKS + 1]; /* oldest first */
    unsigned nmarks;
    uint64_t marked; /* `sent` at the newest, in flight or not */
} ferry_send_window;

typedef struct ferry_recv_window {
    uint64_t received, granted, consumed;
    uint32_t size;
} ferry_recv_window;

void ferry_send_window_init(ferry_send_window *w, uint32_t size);
uint32_t ferry_send_window_room(const ferry_send_window *w);
/* A frame of this cost (at most the room) that stands for so many bytes. */
void ferry_send_window_sent(ferry_send_window *w, uint32_t cost, uint64_t bytes);
/* What was sent and not yet given back. */
uint32_t ferry_send_window_in_flight(const ferry_send_window *w);
/* -FERRY_EPROTO for what no receiver can mean: nothing, or more than is in flight. */
int ferry_send_window_credit(ferry_send_window *w, uint32_t n);

void ferry_recv_window_init(ferry_recv_window *w, uint32_t size);
int ferry_recv_window_received(ferry_recv_window *w,
                               uint32_t n); /* -FERRY_EPROTO: over */
/* Returns the CREDIT to send now, or 0. */
uint32_t ferry_recv_window_consumed(ferry_recv_window *w, uint32_t n);
/* All that is consumed and not told: for a receiver that has nothing left to read, whose
 * sender wants to know how far things are. */
uint32_t ferry_recv_window_idle(ferry_recv_window *w);

#endif
