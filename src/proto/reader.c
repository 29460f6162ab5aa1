/* The reader task: bytes from the link to whole frames.
 *
 *      link --> stage (16 KiB) --> header --+-- small payload: handled where it lies
 *                                           '-- large: a buffer of exactly its length;
 *                                               what the stage has is copied, the rest
 *                                               is read straight into it
 *
 * Owns struct ferry_inbox. What is held beyond the streams' windows is one stage and
 * one frame. Every header is judged (receive.c) before memory is found for its
 * payload. */
#include "base/auto.h"
#include "base/trace.h"
#include "proto/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Payloads of CALL, REPLY and LOG up to this are handled in the stage: with room for a
 * part of the frame before, one always fits. */
#define IN_STAGE (FERRY_STAGE / 2)

_Static_assert(FERRY_LOG_MAX <= IN_STAGE && FERRY_HELLO_MAX <= IN_STAGE,
               "a frame without a buffer of its own must fit in the stage");

static size_t staged(const struct ferry_inbox *in)
{
    return in->stage->len - in->pos;
}

static const uint8_t *staged_at(const struct ferry_inbox *in)
{
    return in->stage->data + in->pos;
}

/* ---- from the link -------------------------------------------------------------- */

/* Room in the stage for the rest of whatever is incomplete in it. Slices of REPLY and
 * CALL bodies may still point into it: it is gone on with behind them, and theirs when too little is left. */
static int make_room(struct ferry_inbox *in)
{
    ferry_buf *old = in->stage;
    size_t rest = staged(in);
    bool lent = old->refs > 1;
    if ((rest > 0 || lent) && ferry_buf_room(old) >= IN_STAGE)
        return 0;

    if (lent) {
        ferry_buf *fresh = NULL;
        int r = ferry_buf_new(FERRY_STAGE, &fresh);
        if (r < 0)
            return r;
        memcpy(fresh->data, staged_at(in), rest);
        ferry_buf_unref(old);
        in->stage = fresh;
    } else {
        memmove(old->data, staged_at(in), rest);
    }
    in->stage->len = rest;
    in->pos = 0;
    return 0;
}

/* At least one byte more. */
static FERRY_CO int refill(ferry_conn *c)
{
    struct ferry_inbox *in = &c->in;
    if (!in->payload) {
        int r = make_room(in);
        if (r < 0)
            return r;
    }

    ssize_t n = ferry_link_read(c->link, in->payload ? in->payload : in->stage);
    if (n < 0)
        return (int)n;
    if (n == 0) {
        bool inside = in->have_header || staged(in) > 0;
        FERRY_TRACE(proto, "the link ended%s", inside ? " inside a frame" : "");
        return -FERRY_EPIPE;
    }
    in->heard++;
    return 0;
}

/* ---- frames --------------------------------------------------------------------- */

static int bad_header(ferry_conn *c, const uint8_t *h)
{
    char hex[2 * FERRY_FRAME_HEADER + 1];
    for (int i = 0; i < FERRY_FRAME_HEADER; i++)
        snprintf(hex + 2 * i, 3, "%02x", h[i]);
    return ferry_conn_violation(c, "bad header %s: %s", hex, ferry_frame_fault(h));
}

static bool wants_buffer(const ferry_frame *f)
{
    if (f->type == FERRY_DATA)
        return f->length >= FERRY_PIECE_OWN;
    return f->length > IN_STAGE;
}

/* Moves what the stage has of a large payload to the buffer it gets. A stream that
 * finds no memory fails alone; a CALL or REPLY without its body is the connection's
 * end. */
static int start_payload(ferry_conn *c)
{
    struct ferry_inbox *in = &c->in;
    int r = ferry_buf_new(in->frame.length, &in->payload);
    if (r < 0) {
        ferry_stream *st = ferry_conn_find(c, in->frame.stream);
        if (in->frame.type != FERRY_DATA || !st)
            return r;
        ferry_stream_consumed(st, ferry_window_cost(in->frame.length));
        ferry_stream_fail(st, r);
        in->skip = in->frame.length;
        return 0;
    }

    size_t n = staged(in) < in->frame.length ? staged(in) : in->frame.length;
    memcpy(in->payload->data, staged_at(in), n);
    in->payload->len = n;
    in->pos += n;
    return 0;
}

/* 1: a header was taken off the stage; 0: there is none yet. */
static int take_header(ferry_conn *c)
{
    struct ferry_inbox *in = &c->in;
    if (staged(in) < FERRY_FRAME_HEADER)
        return 0;
    if (ferry_frame_decode(staged_at(in), &in->frame) < 0)
        return bad_header(c, staged_at(in));

    int wanted = ferry_receive_header(c, &in->frame);
    if (wanted < 0)
        return wanted;
    in->pos += FERRY_FRAME_HEADER;
    in->have_header = true;
    if (!wanted)
        in->skip = in->frame.length;
    else if (wants_buffer(&in->frame)) {
        int r = start_payload(c);
        if (r < 0)
            return r;
    }
    return 1;
}

/* 1: the frame whose header we have is through; 0: some of it is still to come. */
static int take_payload(ferry_conn *c)
{
    struct ferry_inbox *in = &c->in;
    if (in->skip > 0) {
        size_t n = staged(in) < in->skip ? staged(in) : in->skip;
        in->pos += n;
        in->skip -= (uint32_t)n;
        if (in->skip > 0)
            return 0;
        in->have_header = false;
        return 1;
    }

    int r;
    if (in->payload) {
        if (in->payload->len < in->frame.length)
            return 0;
        in->have_header = false;
        ferry_buf *own = ferry_take(&in->payload);
        r = ferry_receive_frame(c, &in->frame, own->data, own);
    } else {
        if (staged(in) < in->frame.length)
            return 0;
        const uint8_t *at = staged_at(in);
        in->pos += in->frame.length;
        in->have_header = false;
        r = ferry_receive_frame(c, &in->frame, at, NULL);
    }
    return r < 0 ? r : 1;
}

/* Handles every frame that is complete. */
static int parse(ferry_conn *c)
{
    for (;;) {
        int r = c->in.have_header ? 1 : take_header(c);
        if (r == 1)
            r = take_payload(c);
        if (r != 1)
            return r;
    }
}

FERRY_CO int ferry_conn_reader(void *arg)
{
    ferry_conn *c = arg;
    for (;;) {
        int r = parse(c);
        if (r < 0)
            return r;
        r = refill(c);
        if (r < 0)
            return r;
    }
}

FERRY_CO int ferry_reader_first(ferry_conn *c, ferry_frame *ret,
                                const uint8_t **ret_payload)
{
    struct ferry_inbox *in = &c->in;
    while (staged(in) < FERRY_FRAME_HEADER) {
        int r = refill(c);
        if (r < 0)
            return r;
    }

    ferry_frame f;
    if (ferry_frame_decode(staged_at(in), &f) < 0)
        return bad_header(c, staged_at(in));
    if (f.length > IN_STAGE)
        return ferry_conn_violation(c, "%s before HELLO", ferry_frame_name(f.type));
    while (staged(in) < FERRY_FRAME_HEADER + f.length) {
        int r = refill(c);
        if (r < 0)
            return r;
    }

    *ret = f;
    *ret_payload = staged_at(in) + FERRY_FRAME_HEADER;
    in->pos += FERRY_FRAME_HEADER + f.length;
    return 0;
}
