/* The writer task: what streams have to say, to bytes on the link.
 *
 *      lane, control bits --(first, all)----+        (REPLY among them)
 *      log lines    ------------------------+--> gather: one writev --> link
 *      ready streams --(one frame a turn)---+           higher ranks first
 *
 * Owns struct ferry_outbox. Headers and small payloads are copied side by side into the
 * gather's scratch, so that many small frames are one iovec; large payloads go out from
 * where they are, and are held until the write is over. The only task that writes. */
#include "base/auto.h"
#include "base/bytes.h"
#include "base/trace.h"
#include "proto/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* ---- the gather ----------------------------------------------------------------- */

/* The most that one turn puts in: a stream's whole control set (CALL, CREDIT, PROGRESS,
 * RESET: four headers, 28 bytes), with a body that is copied, or else lies in an iovec
 * of its own between two of scratch. */
#define TURN_SCRATCH (4 * FERRY_FRAME_HEADER + 28 + FERRY_GATHER_COPY)
#define TURN_IOV 3

static bool full(const struct ferry_gather *g)
{
    return g->bytes >= FERRY_GATHER_BYTES || g->niov + TURN_IOV > FERRY_GATHER_IOV ||
           g->used + TURN_SCRATCH > FERRY_GATHER_SCRATCH;
}

/* The next n bytes of scratch, which continue the last iovec if that ends there. */
static uint8_t *reserve(struct ferry_gather *g, size_t n)
{
    uint8_t *at = g->scratch + g->used;
    assert(g->used + n <= FERRY_GATHER_SCRATCH);
    struct iovec *last = g->niov ? &g->iov[g->niov - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == at)
        last->iov_len += n;
    else
        g->iov[g->niov++] = (struct iovec){at, n};
    g->used += n;
    g->bytes += n;
    return at;
}

/* Takes over the slice. */
static void put_payload(struct ferry_gather *g, ferry_slice s)
{
    if (s.len <= FERRY_GATHER_COPY) {
        if (s.len > 0)
            memcpy(reserve(g, s.len), s.data, s.len);
        ferry_slice_done(&s);
        return;
    }
    g->iov[g->niov++] = (struct iovec){(void *)s.data, s.len};
    g->held[g->nheld++] = s;
    g->bytes += s.len;
}

/* A header with `extra` bytes of payload right behind it, which the caller sets. */
static uint8_t *put_header(struct ferry_gather *g, uint8_t type, uint8_t flags,
                           uint32_t stream, uint32_t length, size_t extra)
{
    ferry_frame f = {length, stream, type, flags};
    uint8_t *at = reserve(g, FERRY_FRAME_HEADER + extra);
    ferry_frame_encode(&f, at);
    return at + FERRY_FRAME_HEADER;
}

static void release(struct ferry_gather *g)
{
    for (int i = 0; i < g->nheld; i++)
        ferry_slice_done(&g->held[i]);
    g->nheld = 0;
    g->niov = 0;
    g->used = 0;
    g->bytes = 0;
}

/* ---- control -------------------------------------------------------------------- */

static void put_call(struct ferry_gather *g, ferry_stream *st)
{
    static const uint8_t flags[FERRY_RANKS] =
        {[FERRY_RANK_LOW] = FERRY_FRAME_LOW, [FERRY_RANK_HIGH] = FERRY_FRAME_HIGH};
    uint32_t length = (uint32_t)st->body.len + 4;
    ferry_put32(put_header(g, FERRY_CALL, flags[st->rank], st->id, length, 4), st->proc);
    put_payload(g, st->body);
    st->body = (ferry_slice){0};
}

/* The last frame of a stream. It may be gone after this. */
static void put_reply(struct ferry_gather *g, ferry_stream *st)
{
    put_header(g, FERRY_REPLY, 0, st->id, (uint32_t)st->body.len, 0);
    put_payload(g, st->body);
    st->body = (ferry_slice){0};
    ferry_conn_detach(st);
}

static void put_control(struct ferry_gather *g, ferry_stream *st)
{
    if (st->control & FERRY_SEND_CALL)
        put_call(g, st);
    if (st->control & FERRY_SEND_CREDIT) {
        ferry_put32(put_header(g, FERRY_CREDIT, 0, st->id, 4, 4), st->credit);
        st->credit = 0;
    }
    if (st->control & FERRY_SEND_PROGRESS) {
        uint8_t *at = put_header(g, FERRY_PROGRESS, 0, st->id, 16, 16);
        ferry_put64(at, st->done);
        ferry_put64(at + 8, st->total);
    }
    if (st->control & FERRY_SEND_RESET) {
        uint8_t *at = put_header(g, FERRY_RESET, 0, st->id, 4, 4);
        ferry_put32(at, (uint32_t)st->reset_code);
        st->ended = true;
    }
    bool reply = st->control & FERRY_SEND_REPLY;
    st->control = 0;
    if (reply)
        put_reply(g, st);
}

/* All of it, before anything else: so a stream's DATA never goes before its CALL. */
static void gather_control(struct ferry_outbox *out)
{
    while (!full(&out->gather)) {
        ferry_list *l = ferry_list_pop(&out->control);
        if (!l)
            return;
        put_control(&out->gather, ferry_container(l, ferry_stream, control_link));
    }
}

/* ---- the lane ------------------------------------------------------------------- */

static bool lane_has_words(const struct ferry_lane_port *p)
{
    return p->tell || p->in.done;
}

static void gather_lane(struct ferry_lane_port *p, struct ferry_gather *g)
{
    if (full(g) || !lane_has_words(p))
        return;
    if (p->tell) { /* a refusal is an offer of nothing */
        bool yes = p->state != FERRY_CONN_LANE_REFUSED;
        uint8_t *at =
            put_header(g, FERRY_LANE, 0, 0, FERRY_LANE_PAYLOAD, FERRY_LANE_PAYLOAD);
        ferry_put32(at, yes ? p->shape.slot : 0);
        ferry_put32(at + 4, yes ? p->shape.up : 0);
        ferry_put32(at + 8, yes ? p->shape.down : 0);
        p->tell = false;
    }
    uint64_t done = ferry_lane_in_tell(&p->in);
    if (done)
        ferry_put64(put_header(g, FERRY_FREE, 0, 0, 8, 8), done);
}

/* ---- log ------------------------------------------------------------------------ */

static void append_log(ferry_buf *log, const char *text, size_t len)
{
    ferry_frame f = {.length = (uint32_t)len, .type = FERRY_LOG};
    ferry_frame_encode(&f, log->data + log->len);
    memcpy(log->data + log->len + FERRY_FRAME_HEADER, text, len);
    log->len += FERRY_FRAME_HEADER + len;
}

static bool log_has_room(struct ferry_outbox *out, size_t len)
{
    if (!out->log && ferry_buf_new(FERRY_LOG_BUFFER, &out->log) < 0)
        return false;
    return ferry_buf_room(out->log) >= len;
}

void ferry_conn_log(ferry_conn *c, const char *text)
{
    struct ferry_outbox *out = &c->out;
    char lost[64] = "";
    if (out->log_dropped)
        snprintf(lost, sizeof lost, "(%u lines of log dropped)", out->log_dropped);
    size_t len = strnlen(text, FERRY_LOG_MAX), lost_len = strlen(lost);

    if (c->error || !log_has_room(out, 2 * FERRY_FRAME_HEADER + lost_len + len)) {
        out->log_dropped++;
        return;
    }
    if (lost_len > 0)
        append_log(out->log, lost, lost_len);
    out->log_dropped = 0;
    append_log(out->log, text, len);
    ferry_cond_wake(&out->work);
}

static void gather_log(struct ferry_outbox *out)
{
    if (!out->log || full(&out->gather))
        return;
    ferry_buf *log = ferry_take(&out->log);
    put_payload(&out->gather, (ferry_slice){log, log->data, log->len});
}

void ferry_writer_control(ferry_stream *st, unsigned control)
{
    struct ferry_outbox *out = &st->conn->out;
    if (!st->control)
        ferry_list_append(&out->control, &st->control_link);
    st->control |= control;
    ferry_cond_wake(&out->work);
}

/* ---- data ----------------------------------------------------------------------- */

static uint32_t front_cost(const ferry_stream *st)
{
    return ferry_window_cost(st->queue[st->queue_head].wire);
}

static bool sendable(const ferry_stream *st)
{
    if (st->queue_count > 0)
        return front_cost(st) <= ferry_send_window_room(&st->send);
    return st->finishing && !st->ended;
}

/* Nothing of the stream is left to go before it, and what others have queued need not. */
static bool may_reply(const ferry_stream *st)
{
    return st->replied && st->conn->opts.server && st->queue_count == 0 &&
           (!st->finishing || st->ended || st->was_reset);
}

void ferry_writer_ready(ferry_stream *st)
{
    struct ferry_outbox *out = &st->conn->out;
    if (may_reply(st))
        ferry_writer_control(st, FERRY_SEND_REPLY);
    if (!ferry_list_empty(&st->ready_link) || !sendable(st))
        return;
    ferry_list_append(&out->ready[st->rank], &st->ready_link);
    ferry_cond_wake(&out->work);
}

/* From now on the slot is the peer's, until it says FREE. */
static void put_slot(struct ferry_gather *g, ferry_stream *st, ferry_slice s)
{
    struct ferry_lane_port *p = &st->conn->lane;
    unsigned slot = (unsigned)ferry_lane_port_slot(p, &s);
    uint8_t *at = put_header(g, FERRY_DATA, FERRY_FRAME_SLOT, st->id, 8, 8);
    ferry_put32(at, slot);
    ferry_put32(at + 4, (uint32_t)s.len);
    p->use[slot].len = (uint32_t)s.len;
    ferry_lane_out_sent(&p->out, slot);
    ferry_slice_done(&s);
}

static void put_data(struct ferry_gather *g, ferry_stream *st)
{
    struct ferry_outgoing next = st->queue[st->queue_head];
    bool slot = next.data.len > 0 && next.wire == 0;
    ferry_send_window_sent(&st->send, front_cost(st),
                           slot        ? 0 /* acknowledged by FREE */
                           : next.hole ? next.hole
                                       : next.data.len);
    st->queue_head = (st->queue_head + 1) % FERRY_STREAM_QUEUE;
    st->queue_count--;
    st->queue_bytes -= next.wire;

    if (next.hole) {
        ferry_put64(put_header(g, FERRY_DATA, FERRY_FRAME_HOLE, st->id, 8, 8),
                    next.hole);
    } else if (slot) {
        put_slot(g, st, next.data);
    } else {
        put_header(g, FERRY_DATA, 0, st->id, (uint32_t)next.data.len, 0);
        put_payload(g, next.data);
    }
    ferry_cond_wake(&st->writable);
}

/* The next of the highest rank. */
static ferry_list *pop_ready(struct ferry_outbox *out)
{
    static const ferry_rank order[] = {FERRY_RANK_HIGH, FERRY_RANK_NORMAL,
                                       FERRY_RANK_LOW};
    ferry_list *l = NULL;
    for (int i = 0; i < FERRY_RANKS && !l; i++)
        l = ferry_list_pop(&out->ready[order[i]]);
    return l;
}

static bool any_ready(const struct ferry_outbox *out)
{
    for (int i = 0; i < FERRY_RANKS; i++)
        if (!ferry_list_empty(&out->ready[i]))
            return true;
    return false;
}

/* One frame of one stream, which then goes to the end of the line. */
static void gather_data(struct ferry_outbox *out)
{
    struct ferry_gather *g = &out->gather;
    while (!full(g)) {
        ferry_list *l = pop_ready(out);
        if (!l)
            return;
        ferry_stream *st = ferry_container(l, ferry_stream, ready_link);
        if (!sendable(st))
            continue; /* reset since it was put here */
        if (st->queue_count > 0) {
            put_data(g, st);
        } else {
            put_header(g, FERRY_END, 0, st->id, 0, 0);
            st->ended = true;
        }
        ferry_writer_ready(st);
    }
}

/* ---- the task ------------------------------------------------------------------- */

static bool busy(const ferry_conn *c)
{
    const struct ferry_outbox *out = &c->out;
    return out->writing || out->log || lane_has_words(&c->lane) ||
           !ferry_list_empty(&out->control) || any_ready(out);
}

static FERRY_CO int write_gathered(ferry_conn *c)
{
    struct ferry_gather *g = &c->out.gather;
    c->out.writing = true;
    int r = ferry_link_write(c->link, g->iov, g->niov);
    c->out.writing = false;
    release(g);
    return r;
}

FERRY_CO int ferry_conn_writer(void *arg)
{
    ferry_conn *c = arg;
    struct ferry_outbox *out = &c->out;
    for (;;) {
        gather_lane(&c->lane, &out->gather);
        gather_log(out); /* what was said before a REPLY */
        gather_control(out);
        gather_data(out);

        int r;
        if (out->gather.niov > 0) {
            r = write_gathered(c);
        } else {
            ferry_cond_wake(&out->idle);
            r = ferry_cond_wait(&out->work);
        }
        if (r == -EPIPE || r == -ECONNRESET) {
            /* What the peer said before it went, a REPLY perhaps, is still to be read;
             * the reader then finds the end. */
            FERRY_TRACE(proto, "cannot write any more: %s", ferry_strerror(r));
            return 0;
        }
        if (r < 0)
            return r;
    }
}

FERRY_CO int ferry_conn_flush(ferry_conn *c)
{
    while (!c->error && busy(c)) {
        int r = ferry_cond_wait(&c->out.idle);
        if (r < 0)
            return r;
    }
    return c->error;
}
