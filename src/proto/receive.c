/* What a frame means: called by the reader with each header and then with each whole
 * frame. Every rule about who may send what when is here; breaking one ends the
 * connection.
 *
 *      from the client:   CALL  DATA*  END?  RESET?      with CREDIT* in between
 *      from the server:         DATA*  END?  REPLY       with CREDIT* and PROGRESS*
 *
 * The client never hears of a stream after its REPLY. The server may: what the client
 * sent before it saw the REPLY is still on its way, and is ignored.
 *
 * Runs in the reader task and never suspends. */
#include "base/auto.h"
#include "base/bytes.h"
#include "base/trace.h"
#include "proto/internal.h"

/* ---- may it be sent? ------------------------------------------------------------ */

static bool may_send(const ferry_conn *c, uint8_t type)
{
    switch (type) {
    case FERRY_DATA:
    case FERRY_END:
    case FERRY_LANE:
    case FERRY_FREE:
    case FERRY_CREDIT: return true;
    case FERRY_CALL:
    case FERRY_RESET: return c->opts.server;
    case FERRY_REPLY:
    case FERRY_PROGRESS:
    case FERRY_LOG: return !c->opts.server;
    default: return false; /* HELLO: only once */
    }
}

static int wrong(ferry_conn *c, const ferry_frame *f, const char *why)
{
    return ferry_conn_violation(c, "%s on stream %u: %s", ferry_frame_name(f->type),
                                f->stream, why);
}

/* Ids grow; the comparison is of serial numbers, so that they may wrap. */
static bool is_newer(const ferry_conn *c, uint32_t id)
{
    return (int32_t)(id - c->last_id) > 0;
}

static int call_header(ferry_conn *c, const ferry_frame *f)
{
    if (!is_newer(c, f->stream) || ferry_conn_find(c, f->stream))
        return wrong(c, f, "the id was used before");
    if (c->nstreams >= FERRY_CONN_STREAMS)
        return wrong(c, f, "too many streams are open");
    return 1;
}

/* DATA and END from a side that said it would send no more. */
static bool is_late(const ferry_stream *st, const ferry_frame *f)
{
    if (f->type == FERRY_DATA || f->type == FERRY_END)
        return st->in_ended || st->was_reset;
    return f->type == FERRY_RESET && st->was_reset;
}

/* A flag says where the bytes are, if any: not here. */
static uint32_t cost_of(const ferry_frame *f)
{
    return ferry_window_cost(f->flags ? 0 : f->length);
}

/* A slot is to be given back whoever it was for, so its frame is always wanted. */
static bool names_slot(const ferry_frame *f)
{
    return f->type == FERRY_DATA && f->flags == FERRY_FRAME_SLOT;
}

static int data_header(ferry_conn *c, ferry_stream *st, const ferry_frame *f)
{
    if (ferry_recv_window_received(&st->recv, cost_of(f)) < 0)
        return wrong(c, f, "more than the window");
    if (!st->discarding || names_slot(f))
        return 1;
    ferry_stream_consumed(st, cost_of(f));
    return 0;
}

static int lane_header(ferry_conn *c, const ferry_frame *f)
{
    ferry_conn_lane state = c->lane.state;
    bool good = f->type != FERRY_LANE ? state == FERRY_CONN_LANE_OPEN
                : c->opts.server      ? state == FERRY_CONN_LANE_NONE
                                      : state == FERRY_CONN_LANE_OFFERED;
    if (good)
        return 1;
    return wrong(c, f,
                 f->type != FERRY_LANE ? "there is no lane"
                 : c->opts.server      ? "a second offer"
                                       : "nothing was offered");
}

int ferry_receive_header(ferry_conn *c, const ferry_frame *f)
{
    if (!may_send(c, f->type))
        return wrong(c, f,
                     c->opts.server ? "not for a client to send"
                                    : "not for a server to send");
    if (f->type == FERRY_LOG)
        return 1;
    if (f->type == FERRY_CALL)
        return call_header(c, f);
    if (f->type == FERRY_LANE || f->type == FERRY_FREE)
        return lane_header(c, f);
    if (names_slot(f) && c->lane.state != FERRY_CONN_LANE_OPEN)
        return lane_header(c, f);

    ferry_stream *st = ferry_conn_find(c, f->stream);
    if (!st) {
        if (!c->opts.server || is_newer(c, f->stream))
            return wrong(c, f, "no such stream");
        return names_slot(f); /* sent before our REPLY was seen */
    }
    if (st->control & FERRY_SEND_CALL)
        return wrong(c, f, "the stream is not open yet");
    if (is_late(st, f))
        return wrong(c, f, "after the END or RESET of its side");
    if (f->type == FERRY_DATA)
        return data_header(c, st, f);
    return 1;
}

/* ---- what it does --------------------------------------------------------------- */

/* The payload as a slice that lives by itself. */
static ferry_slice keep(ferry_conn *c, const ferry_frame *f, const uint8_t *payload,
                        ferry_buf *own)
{
    ferry_buf *holder = own ? own : ferry_buf_ref(c->in.stage);
    return (ferry_slice){.buf = holder, .data = payload, .len = f->length};
}

static int on_call(ferry_conn *c, const ferry_frame *f, const uint8_t *payload,
                   ferry_buf *own)
{
    FERRY_AUTO(slice) ferry_slice body = keep(c, f, payload, own);
    ferry_stream *st = NULL;
    int r = ferry_conn_attach(c, f->stream, &st);
    if (r < 0)
        return r;
    c->last_id = f->stream;
    st->proc = ferry_get32(payload);
    st->rank = f->flags == FERRY_FRAME_LOW    ? FERRY_RANK_LOW
               : f->flags == FERRY_FRAME_HIGH ? FERRY_RANK_HIGH
                                              : FERRY_RANK_NORMAL;
    body.data += 4;
    body.len -= 4;

    FERRY_TRACE(proto, "stream %u: call of procedure %u, %zu bytes", st->id, st->proc,
                body.len);
    ferry_slice given = body;
    body = (ferry_slice){0};
    c->opts.on_call(c->opts.arg, st, given);
    return 0;
}

static int on_reply(ferry_conn *c, ferry_stream *st, const ferry_frame *f,
                    const uint8_t *payload, ferry_buf *own)
{
    FERRY_TRACE(proto, "stream %u: reply, %u bytes", st->id, f->length);
    st->body = keep(c, f, payload, own);
    st->replied = true;
    ferry_conn_detach(st); /* a tombstone is gone after this */
    return 0;
}

/* Large payloads come in a buffer of their own; while it was filled, the stream may
 * have been reset or replied to. */
static int on_data(ferry_conn *c, ferry_stream *st, const ferry_frame *f,
                   const uint8_t *payload, ferry_buf *own)
{
    bool hole = f->flags == FERRY_FRAME_HOLE;
    uint32_t cost = cost_of(f);
    if (hole && ferry_get64(payload) == 0)
        return wrong(c, f, "a hole without length");
    if (st->discarding) {
        ferry_buf_unref(own);
        ferry_stream_consumed(st, cost);
        return 0;
    }

    int r;
    if (own)
        r = ferry_pieces_take(&st->in, own, cost);
    else if (hole)
        r = ferry_pieces_hole(&st->in, ferry_get64(payload), cost);
    else
        r = ferry_pieces_copy(&st->in, payload, f->length, cost);
    if (r < 0) {
        ferry_stream_consumed(st, cost);
        ferry_stream_fail(st, r);
        return 0;
    }
    ferry_cond_wake(&st->readable);
    return 0;
}

/* The buffer that stands for the slot takes the place of one that came over the link. */
static int on_slot(ferry_conn *c, const ferry_frame *f, const uint8_t *payload)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    ferry_stream *st = ferry_conn_find(c, f->stream);
    uint32_t slot = ferry_get32(payload), len = ferry_get32(payload + 4);
    int r = ferry_lane_port_arrived(&c->lane, slot, len, &b);
    if (r == -FERRY_EPROTO)
        return ferry_conn_violation(
            c,
            "DATA on stream %u: slot %u with %u bytes: it is not "
            "there to be sent, or not so large",
            f->stream, slot, len);
    if (!st)
        return 0;
    if (r < 0) {
        ferry_stream_consumed(st, cost_of(f));
        ferry_stream_fail(st, r);
        return 0;
    }
    const uint8_t *at = b->data;
    return on_data(c, st, f, at, ferry_take(&b));
}

static int on_lane(ferry_conn *c, const ferry_frame *f, const uint8_t *payload)
{
    struct ferry_lane_port *p = &c->lane;
    ferry_lane_shape shape = {ferry_get32(payload), ferry_get32(payload + 4),
                              ferry_get32(payload + 8)};
    FERRY_TRACE(proto, "lane: peer says %u + %u slots of %u bytes", shape.up,
                shape.down, shape.slot);
    if (c->opts.server) {
        if (ferry_lane_check(&shape) < 0)
            return wrong(c, f, "an impossible shape");
        p->state = FERRY_CONN_LANE_OFFERED;
        p->shape = shape;
        if (c->opts.on_lane)
            c->opts.on_lane(c->opts.arg, &shape);
        else
            ferry_conn_answer_lane(c, NULL);
        return 0;
    }
    bool refused = shape.slot == 0 && shape.up == 0 && shape.down == 0;
    if (!refused && (shape.slot != p->shape.slot || shape.up != p->shape.up ||
                     shape.down != p->shape.down))
        return wrong(c, f, "not what was offered");
    p->state = refused ? FERRY_CONN_LANE_REFUSED : FERRY_CONN_LANE_OPEN;
    if (c->opts.on_lane)
        c->opts.on_lane(c->opts.arg, refused ? NULL : &p->shape);
    return 0;
}

static void note_reader(ferry_stream *st)
{
    st->acked = true;
    st->acked_at = ferry_loop_now(st->conn->loop);
}

static int on_free(ferry_conn *c, const ferry_frame *f, const uint8_t *payload)
{
    struct ferry_lane_port *p = &c->lane;
    uint64_t set = ferry_get64(payload);
    if (ferry_lane_out_returned(&p->out, set) < 0)
        return wrong(c, f, "a slot that it did not have");
    for (; set; set &= set - 1) {
        const struct ferry_lane_use *use = &p->use[__builtin_ctzll(set)];
        ferry_stream *st = ferry_conn_find(c, use->stream);
        if (!st)
            continue;
        st->slots_acked += use->len;
        note_reader(st);
    }
    p->moved = ferry_loop_now(c->loop);
    ferry_cond_wake(&p->freed);
    return 0;
}

static void on_end(ferry_stream *st)
{
    st->in_ended = true;
    ferry_cond_wake(&st->readable);
}

/* The host wants this to stop. What is queued for it would be thrown away there. */
static int on_reset(ferry_conn *c, ferry_stream *st, const ferry_frame *f,
                    const uint8_t *payload)
{
    int code = (int32_t)ferry_get32(payload);
    if (code >= 0)
        return wrong(c, f, "its code is not an error");
    FERRY_TRACE(proto, "stream %u: host resets: %s", st->id, ferry_strerror(code));

    st->was_reset = true;
    st->reset_code = code;
    st->discarding = true;
    ferry_stream_drop_in(st);
    ferry_stream_drop_out(st);
    ferry_stream_wake(st);
    ferry_writer_ready(st); /* a REPLY that waited behind DATA need not any more */
    ferry_stream_fire_reset(st, code);
    return 0;
}

static int on_credit(ferry_conn *c, ferry_stream *st, const ferry_frame *f,
                     const uint8_t *payload)
{
    if (ferry_send_window_credit(&st->send, ferry_get32(payload)) < 0)
        return wrong(c, f, "more than is in flight");
    note_reader(st);
    ferry_writer_ready(st);
    return 0;
}

static int on_progress(ferry_stream *st, const uint8_t *payload)
{
    st->done = ferry_get64(payload);
    st->total = ferry_get64(payload + 8);
    return 0;
}

static int on_log(ferry_conn *c, const ferry_frame *f, const uint8_t *payload)
{
    if (c->opts.on_log)
        c->opts.on_log(c->opts.arg, (const char *)payload, f->length);
    return 0;
}

int ferry_receive_frame(ferry_conn *c, const ferry_frame *f, const uint8_t *payload,
                        ferry_buf *own)
{
    if (f->type == FERRY_CALL)
        return on_call(c, f, payload, own);
    switch (f->type) {
    case FERRY_LOG: return on_log(c, f, payload);
    case FERRY_LANE: return on_lane(c, f, payload);
    case FERRY_FREE: return on_free(c, f, payload);
    default: break;
    }
    if (names_slot(f))
        return on_slot(c, f, payload);

    ferry_stream *st = ferry_conn_find(c, f->stream);
    if (!st) { /* replied to while the payload came */
        ferry_buf_unref(own);
        return 0;
    }
    switch (f->type) {
    case FERRY_REPLY: return on_reply(c, st, f, payload, own);
    case FERRY_DATA: return on_data(c, st, f, payload, own);
    case FERRY_END: on_end(st); return 0;
    case FERRY_RESET: return on_reset(c, st, f, payload);
    case FERRY_CREDIT: return on_credit(c, st, f, payload);
    default: return on_progress(st, payload);
    }
}
