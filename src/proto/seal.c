/* Checksums of streams: see seal.h. */
#include "proto/seal.h"

#include "base/auto.h"
#include "base/bytes.h"

#include <errno.h>
#include <string.h>

#include <xxhash.h>

int ferry_seal_init(ferry_seal *s)
{
    *s = (ferry_seal){.state = XXH64_createState()};
    if (!s->state)
        return -ENOMEM;
    XXH64_reset(s->state, 0);
    return 0;
}

void ferry_seal_done(ferry_seal *s)
{
    ferry_slice_done(&s->held.data);
    XXH64_freeState(s->state);
    *s = (ferry_seal){0};
}

/* ---- computing -------------------------------------------------------------------------- */

/* Holes that meet are one, however they were cut on their way. */
static void add_hole(ferry_seal *s)
{
    uint8_t length[8];
    if (s->hole == 0)
        return;
    ferry_put64(length, s->hole);
    XXH64_update(s->state, length, sizeof length);
    s->hole = 0;
}

static void add_data(ferry_seal *s, const ferry_slice *data)
{
    if (data->len == 0)
        return;
    add_hole(s);
    XXH64_update(s->state, data->data, data->len);
}

static void digest(ferry_seal *s, uint8_t ret[FERRY_SEAL_SIZE])
{
    add_hole(s);
    XXH64_hash_t h = XXH64_digest(s->state);
    ferry_put64(ret, h);
}

/* ---- writing ---------------------------------------------------------------------------- */

int ferry_seal_write(ferry_seal *s, ferry_stream *st, ferry_slice data)
{
    if (s->state)
        add_data(s, &data);
    return ferry_stream_write(st, data);
}

int ferry_seal_write_hole(ferry_seal *s, ferry_stream *st, uint64_t len)
{
    if (s->state)
        s->hole += len;
    return ferry_stream_write_hole(st, len);
}

/* In a frame of its own, which a reader has in one piece: it is small, so it is in no slot of the
 * lane. */
int ferry_seal_finish(ferry_seal *s, ferry_stream *st)
{
    if (s->state) {
        uint8_t d[FERRY_SEAL_SIZE];
        ferry_buf *b = NULL;
        digest(s, d);
        int r = ferry_buf_copy(d, sizeof d, &b);
        if (r == 0)
            r = ferry_stream_write(st, (ferry_slice){b, b->data, b->len});
        if (r < 0)
            return r;
    }
    ferry_stream_finish(st);
    return 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Hands on the piece that was held. */
static int release(ferry_seal *s, ferry_piece *ret)
{
    *ret = s->held;
    s->held = (ferry_piece){0};
    s->holds = false;
    add_data(s, &ret->data);
    s->hole += ret->hole;
    return 1;
}

/* What is held ends in the digest. Is it ours? */
static bool digest_is_right(ferry_seal *s)
{
    uint8_t ours[FERRY_SEAL_SIZE];
    ferry_slice *d = &s->held.data;
    if (!s->holds || s->held.hole || d->len < FERRY_SEAL_SIZE)
        return false;
    d->len -= FERRY_SEAL_SIZE;
    add_data(s, d);
    digest(s, ours);
    return memcmp(ours, d->data + d->len, FERRY_SEAL_SIZE) == 0;
}

/* After END. */
static int finish(ferry_seal *s, ferry_piece *ret)
{
    ferry_slice *d = &s->held.data;
    if (!digest_is_right(s)) {
        s->broken = true;
        return -EBADMSG;
    }
    s->ended = true;
    s->holds = false;
    if (d->len == 0) {
        ferry_slice_done(d);
        return 0;
    }
    *ret = (ferry_piece){.data = *d};
    *d = (ferry_slice){0};
    return 1;
}

/* A slot of the lane cannot hold the digest, and must not be kept: its writer may wait for it before it sends
 * more. */
static bool may_be_kept(const ferry_piece *p)
{
    return !p->data.buf || !ferry_buf_is_lent(p->data.buf);
}

int ferry_seal_read(ferry_seal *s, ferry_stream *st, ferry_piece *ret)
{
    if (!s->state)
        return ferry_stream_read(st, ret);
    if (s->ended)
        return 0;
    if (s->holds && !may_be_kept(&s->held))
        return release(s, ret);
    for (;;) {
        ferry_piece next = {0};
        int r = ferry_stream_read(st, &next);
        if (r == 0)
            return finish(s, ret);
        if (r < 0)
            return r;
        if (s->holds)
            r = release(s, ret);
        else
            r = 0;
        s->held = next;
        s->holds = true;
        if (r == 0 && !may_be_kept(&next))
            r = release(s, ret);
        if (r > 0)
            return r;
    }
}
