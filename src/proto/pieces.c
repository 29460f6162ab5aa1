/* What has arrived on a stream and was not read yet: see pieces.h for the memory
 * diagram. Owns the ring and the buffers in it. Called by receive.c (in) and stream.c
 * (out); must not know frames, windows or tasks. */
#include "proto/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_RING 8

struct ferry_piece_entry {
    ferry_piece piece;
    uint32_t cost;
};

void ferry_pieces_init(ferry_pieces *q)
{
    *q = (ferry_pieces){0};
}

void ferry_pieces_done(ferry_pieces *q)
{
    ferry_pieces_clear(q);
    free(q->ring);
    q->ring = NULL;
    q->cap = 0;
}

static struct ferry_piece_entry *at(const ferry_pieces *q, size_t i)
{
    return &q->ring[(q->head + i) & (q->cap - 1)];
}

static struct ferry_piece_entry *last(const ferry_pieces *q)
{
    return q->count ? at(q, q->count - 1) : NULL;
}

/* ---- in ------------------------------------------------------------------------- */

static int grow(ferry_pieces *q)
{
    size_t cap = q->cap ? 2 * q->cap : FIRST_RING;
    struct ferry_piece_entry *ring = malloc(cap * sizeof *ring);
    if (!ring)
        return -ENOMEM;

    for (size_t i = 0; i < q->count; i++)
        ring[i] = *at(q, i);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
    return 0;
}

static int append(ferry_pieces *q, ferry_piece piece, uint32_t cost)
{
    if (q->count == q->cap) {
        int r = grow(q);
        if (r < 0)
            return r;
    }
    *at(q, q->count++) = (struct ferry_piece_entry){piece, cost};
    return 0;
}

/* Makes room for `len` bytes in the tail. A stream that has little gets little: the
 * buffer doubles each time one is filled. */
static int prepare_tail(ferry_pieces *q, size_t len)
{
    ferry_buf *old = q->tail;
    if (old && old->refs == 1)
        old->len = 0; /* all of it was read: begin again */
    if (old && ferry_buf_room(old) >= len)
        return 0;

    size_t cap = old ? 2 * old->cap : FERRY_PIECE_OWN;
    if (cap > FERRY_PIECE_TAIL)
        cap = FERRY_PIECE_TAIL;
    if (cap < len)
        cap = len;

    ferry_buf *fresh = NULL;
    int r = ferry_buf_new(cap, &fresh);
    if (r < 0)
        return r;
    ferry_buf_unref(old);
    q->tail = fresh;
    return 0;
}

/* Does this piece end where the tail's next byte goes? */
static bool ends_at_tail(const ferry_pieces *q, const struct ferry_piece_entry *e)
{
    return e && e->piece.data.buf == q->tail &&
           e->piece.data.data + e->piece.data.len == q->tail->data + q->tail->len;
}

int ferry_pieces_copy(ferry_pieces *q, const uint8_t *data, size_t len, uint32_t cost)
{
    int r = prepare_tail(q, len);
    if (r < 0)
        return r;

    uint8_t *to = q->tail->data + q->tail->len;
    struct ferry_piece_entry *e = last(q);
    if (ends_at_tail(q, e)) {
        e->piece.data.len += len;
        e->cost += cost;
    } else {
        ferry_slice s = {.buf = q->tail, .data = to, .len = len};
        r = append(q, (ferry_piece){.data = s}, cost);
        if (r < 0)
            return r;
        ferry_buf_ref(q->tail);
    }
    memcpy(to, data, len);
    q->tail->len += len;
    return 0;
}

int ferry_pieces_take(ferry_pieces *q, ferry_buf *b, uint32_t cost)
{
    ferry_slice s = {.buf = b, .data = b->data, .len = b->len};
    int r = append(q, (ferry_piece){.data = s}, cost);
    if (r < 0)
        ferry_buf_unref(b);
    return r;
}

int ferry_pieces_hole(ferry_pieces *q, uint64_t len, uint32_t cost)
{
    struct ferry_piece_entry *e = last(q);
    if (e && e->piece.hole && e->piece.hole <= UINT64_MAX - len) {
        e->piece.hole += len;
        e->cost += cost;
        return 0;
    }
    return append(q, (ferry_piece){.hole = len}, cost);
}

/* ---- out ------------------------------------------------------------------------ */

bool ferry_pieces_pop(ferry_pieces *q, ferry_piece *ret, uint32_t *ret_cost)
{
    if (q->count == 0)
        return false;

    struct ferry_piece_entry *e = at(q, 0);
    *ret = e->piece;
    *ret_cost = e->cost;
    q->head = (q->head + 1) & (q->cap - 1);
    q->count--;
    return true;
}

uint32_t ferry_pieces_clear(ferry_pieces *q)
{
    ferry_piece piece;
    uint32_t cost, sum = 0;
    while (ferry_pieces_pop(q, &piece, &cost)) {
        ferry_slice_done(&piece.data);
        sum += cost;
    }
    ferry_buf_unref(q->tail);
    q->tail = NULL;
    return sum;
}
