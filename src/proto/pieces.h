/* What has arrived on a stream and was not read yet: a queue of pieces.
 *
 *      ring   | 200 KiB | hole | 3 KiB | 256 KiB |
 *                 |                |        '--> a buffer of its own, taken over
 *                 |                '--> tail: small frames, copied one behind the other
 *                 '--> ...
 *
 * Memory stays near what the window allows: a large payload has exactly its own buffer,
 * and small ones are copied, so that no piece ever keeps a receive buffer of other
 * streams' bytes alive. Neighbouring small payloads, and neighbouring holes, become one
 * piece.
 *
 * Used by receive.c and stream.c; knows neither frames nor windows (a cost is a number
 * that comes back with its piece). */
#ifndef FERRY_PROTO_PIECES_H
#define FERRY_PROTO_PIECES_H

#include "proto/conn.h"

/* Payloads below this are copied together; from here on they have a buffer of their
 * own. One page: less could not be used with O_DIRECT anyway. */
#define FERRY_PIECE_OWN 4096

/* Largest buffer that small payloads are collected in. */
#define FERRY_PIECE_TAIL (64 * 1024)

typedef struct ferry_pieces {
    struct ferry_piece_entry *ring;
    size_t cap, head, count; /* cap is a power of two, or 0 before the first */
    ferry_buf *tail;         /* where the next small payload goes; may be NULL */
} ferry_pieces;

void ferry_pieces_init(ferry_pieces *q);
void ferry_pieces_done(ferry_pieces *q);

/* Appends a piece. All return 0 or -ENOMEM, and then the queue is as it was. */
int ferry_pieces_copy(ferry_pieces *q, const uint8_t *data, size_t len, uint32_t cost);
int ferry_pieces_take(ferry_pieces *q, ferry_buf *b, uint32_t cost); /* owns b always */
int ferry_pieces_hole(ferry_pieces *q, uint64_t len, uint32_t cost);

/* False when empty. *ret_cost: the sum over the frames that became this piece. */
bool ferry_pieces_pop(ferry_pieces *q, ferry_piece *ret, uint32_t *ret_cost);

/* Drops everything; the sum of its costs. */
uint32_t ferry_pieces_clear(ferry_pieces *q);

#endif
