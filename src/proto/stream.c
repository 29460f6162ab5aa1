/* What a task asks of a stream: call, write, read, reset, reply, close (conn.h). Owns
 * the stream's queues on the tasks' side; the writer empties the one, receive.c fills
 * the other. Must not know frames' layout or the link. */
#include "async/scope.h"
#include "base/auto.h"
#include "base/trace.h"
#include "proto/internal.h"

#include <assert.h>
#include <stdlib.h>

static bool is_client(const ferry_stream *st)
{
    return st->conn && !st->conn->opts.server;
}

static ferry_slice whole(ferry_buf *b)
{
    return b ? (ferry_slice){.buf = b, .data = b->data, .len = b->len}
             : (ferry_slice){0};
}

/* ---- client: call and reply ----------------------------------------------------- */

/* Waits until fewer than FERRY_CONN_STREAMS are open. */
static FERRY_CO int get_place(ferry_conn *c)
{
    if (c->error)
        return c->error;
    int r = ferry_sem_get(&c->places);
    if (r < 0)
        return r;
    if (c->error)
        ferry_sem_put(&c->places); /* the next one who waits is told, too */
    return c->error;
}

static uint32_t next_id(ferry_conn *c)
{
    do
        c->last_id++;
    while (c->last_id == 0 || ferry_conn_find(c, c->last_id));
    return c->last_id;
}

FERRY_CO int ferry_stream_call(ferry_conn *c, uint32_t proc, ferry_buf *body,
                               ferry_stream **ret)
{
    FERRY_AUTO(buf) ferry_buf *mine = body;
    assert(!c->opts.server && "only the client calls");
    assert((!body || body->len <= FERRY_FRAME_MAX - 4) && "a CALL longer than a frame");

    int r = get_place(c);
    if (r < 0)
        return r;
    ferry_stream *st = NULL;
    r = ferry_conn_attach(c, next_id(c), &st);
    if (r < 0) {
        ferry_sem_put(&c->places);
        return r;
    }
    FERRY_TRACE(proto, "stream %u: call procedure %u", st->id, proc);
    st->proc = proc;
    st->body = whole(ferry_take(&mine));
    ferry_writer_control(st, FERRY_SEND_CALL);
    *ret = st;
    return 0;
}

void ferry_stream_set_rank(ferry_stream *st, ferry_rank rank)
{
    assert(!st->conn || (st->control & FERRY_SEND_CALL && "the CALL has gone"));
    st->rank = rank;
}

FERRY_CO int ferry_stream_wait_reply(ferry_stream *st, ferry_slice *ret)
{
    while (!st->replied) {
        if (st->lost)
            return st->lost;
        int r = ferry_cond_wait(&st->readable);
        if (r < 0 && !st->replied)
            return r;
    }
    *ret = st->body;
    if (ret->buf)
        ferry_buf_ref(ret->buf);
    return 0;
}

bool ferry_stream_replied(const ferry_stream *st)
{
    return st->replied;
}

int ferry_stream_lost(const ferry_stream *st)
{
    return st->lost;
}

void ferry_stream_reset(ferry_stream *st, int code)
{
    assert(code < 0 && "a reset's code is an error");
    if (!is_client(st) || st->reset_sent)
        return;
    FERRY_TRACE(proto, "stream %u: reset: %s", st->id, ferry_strerror(code));
    st->reset_sent = true;
    st->reset_code = code;
    if (!st->error)
        st->error = code;
    st->discarding = true;
    ferry_stream_drop_out(st);
    ferry_stream_drop_in(st);
    ferry_writer_control(st, FERRY_SEND_RESET);
    ferry_stream_wake(st);
}

uint64_t ferry_stream_acked(const ferry_stream *st)
{
    return st->send.acked + st->slots_acked;
}

void ferry_stream_progress(const ferry_stream *st, uint64_t *ret_done,
                           uint64_t *ret_total)
{
    *ret_done = st->done;
    *ret_total = st->total;
}

/* ---- server --------------------------------------------------------------------- */

uint32_t ferry_stream_proc(const ferry_stream *st)
{
    return st->proc;
}

void ferry_stream_reply(ferry_stream *st, ferry_buf *body)
{
    assert(!st->replied && "one REPLY per stream");
    assert((!body || body->len <= FERRY_FRAME_MAX) && "a REPLY longer than a frame");
    st->replied = true;
    st->on_reset = NULL;
    st->body = whole(body);
    if (!st->conn)
        return;
    st->discarding = true;
    ferry_stream_drop_in(st);
    ferry_writer_ready(st);
}

void ferry_stream_on_reset(ferry_stream *st, void (*on_reset)(void *arg, int code),
                           void *arg)
{
    st->on_reset = on_reset;
    st->on_reset_arg = arg;
    if (st->was_reset)
        ferry_stream_fire_reset(st, st->reset_code);
    else if (st->lost)
        ferry_stream_fire_reset(st, st->lost);
}

void ferry_stream_fire_reset(ferry_stream *st, int code)
{
    void (*fire)(void *arg, int code) = st->on_reset;
    st->on_reset = NULL;
    if (fire)
        fire(st->on_reset_arg, code);
}

void ferry_stream_send_progress(ferry_stream *st, uint64_t done, uint64_t total)
{
    if (!st->conn || st->replied)
        return;
    st->done = done;
    st->total = total;
    ferry_writer_control(st, FERRY_SEND_PROGRESS);
}

/* ---- write ---------------------------------------------------------------------- */

/* Why nothing can be written now, or 0. */
static int unwritable(const ferry_stream *st)
{
    if (st->error)
        return st->error;
    if (st->lost)
        return st->lost;
    if (st->was_reset)
        return st->reset_code;
    return st->replied ? -FERRY_EPIPE : 0;
}

static bool queue_has_room(const ferry_stream *st, size_t len)
{
    return st->queue_count < FERRY_STREAM_QUEUE &&
           st->queue_bytes + len <= FERRY_STREAM_QUEUE_BYTES;
}

static bool is_slot(const ferry_stream *st, const ferry_slice *s)
{
    return st->conn && ferry_lane_port_slot(&st->conn->lane, s) >= 0;
}

/* Takes over a slice of at most one frame, or a slot, also on failure. */
static FERRY_CO int enqueue(ferry_stream *st, ferry_slice s, uint64_t hole)
{
    FERRY_AUTO(slice) ferry_slice mine = s;
    uint32_t wire = is_slot(st, &s) ? 0 : (uint32_t)s.len;
    assert(!st->finishing && "a write after _finish");
    for (;;) {
        int r = unwritable(st);
        if (r < 0)
            return r;
        if (queue_has_room(st, wire))
            break;
        r = ferry_cond_wait(&st->writable);
        if (r < 0 && !queue_has_room(st, wire))
            return r;
    }

    unsigned tail = (st->queue_head + st->queue_count) % FERRY_STREAM_QUEUE;
    st->queue[tail] = (struct ferry_outgoing){mine, hole, wire};
    mine = (ferry_slice){0};
    st->queue_count++;
    st->queue_bytes += wire;
    ferry_writer_ready(st);
    return 0;
}

FERRY_CO int ferry_stream_write(ferry_stream *st, ferry_slice s)
{
    FERRY_AUTO(slice) ferry_slice rest = s;
    while (rest.len > FERRY_FRAME_MAX && !is_slot(st, &rest)) {
        ferry_slice part = {ferry_buf_ref(rest.buf), rest.data, FERRY_FRAME_MAX};
        rest.data += FERRY_FRAME_MAX;
        rest.len -= FERRY_FRAME_MAX;
        int r = enqueue(st, part, 0);
        if (r < 0)
            return r;
    }
    if (rest.len == 0)
        return unwritable(st);

    ferry_slice last = rest;
    rest = (ferry_slice){0};
    return enqueue(st, last, 0);
}

FERRY_CO int ferry_stream_write_hole(ferry_stream *st, uint64_t len)
{
    if (len == 0)
        return unwritable(st);
    return enqueue(st, (ferry_slice){0}, len);
}

/* With a reader that keeps pace, a slot comes back sooner. */
#define SLOT_PATIENCE_MS 50

/* A reader that has taken nothing for so long does not keep pace. */
#define PACE_MS 1000

static bool keeps_pace(const ferry_stream *st)
{
    return st->acked && ferry_loop_now(st->conn->loop) - st->acked_at < PACE_MS;
}

/* Slots that are with streams whose readers do not keep pace, or that are no more. */
static unsigned count_stalled(const ferry_conn *c)
{
    const struct ferry_lane_port *p = &c->lane;
    unsigned n = 0;
    for (unsigned i = 0; i < p->out.n; i++) {
        if (!((p->out.ours | p->out.theirs) >> i & 1))
            continue;
        const ferry_stream *st = ferry_conn_find(c, p->use[i].stream);
        n += !st || !keeps_pace(st);
    }
    return n;
}

/* Whoever has not shown yet that its reader takes what it is sent has one slot to show it with, and all
 * such have half of them: the others are for those that move. What is sent inline shows it, too. */
static bool may_have_slot(const ferry_stream *st)
{
    const struct ferry_lane_port *p = &st->conn->lane;
    return keeps_pace(st) || (ferry_lane_port_held(p, st->id) == 0 &&
                              count_stalled(st->conn) < (p->out.n + 1) / 2);
}

/* No slot is free. A stream that has one waits for that. One that has none, and would fill it, waits
 * for as long as others give theirs back: inline, each of many transfers would have some 100 KiB in
 * the guest's port at any time, to be copied by its CPU, and a RESET behind them all. One that has not begun
 * and may not have any (stalled readers have half of them) waits since `since`, for so long as a reader
 * has to show that it keeps pace. 1: look again; 0: there is nobody to wait for. */
static FERRY_CO int wait_for_slot(ferry_stream *st, uint64_t want, uint64_t since)
{
    struct ferry_lane_port *p = &st->conn->lane;
    uint64_t now = ferry_loop_now(st->conn->loop), until = p->moved + SLOT_PATIENCE_MS;
    bool own = ferry_lane_port_held(p, st->id) > 0;
    bool patient = !st->acked && now < since + PACE_MS;
    if (!own &&
        (want < p->shape.slot || now >= until || (!patient && !may_have_slot(st))))
        return 0;

    ferry_scope patience;
    ferry_scope_open(&patience, 0);
    if (!own)
        ferry_scope_deadline(&patience, until - now);
    p->waiting[st->rank]++;
    int r = ferry_cond_wait(&p->freed);
    p->waiting[st->rank]--;
    ferry_scope_join(&patience);
    if (r < 0)
        r = ferry_cancelled();
    return r < 0 ? r : 1;
}

/* A higher one whose slots do not come back (its reader has stalled) leaves what is free to others. */
static bool gives_way(const ferry_stream *st)
{
    const struct ferry_lane_port *p = &st->conn->lane;
    return ferry_loop_now(st->conn->loop) < p->moved + SLOT_PATIENCE_MS &&
           ferry_lane_port_outranked(p, st->rank);
}

FERRY_CO int ferry_stream_slot(ferry_stream *st, uint64_t want, ferry_buf **ret)
{
    uint64_t since = st->conn ? ferry_loop_now(st->conn->loop) : 0;
    for (;;) {
        int r = unwritable(st);
        if (r < 0)
            return r;
        struct ferry_lane_port *p = &st->conn->lane;
        if (p->state != FERRY_CONN_LANE_OPEN || want < FERRY_SLOT_WORTH)
            return 0;
        bool may = may_have_slot(st) && !gives_way(st),
             first = (p->out.ours | p->out.theirs) == 0;
        r = may ? ferry_lane_port_take(p, st->id, st->rank, ret) : 0;
        if (r > 0 && first) /* nobody has had the time to give one back */
            p->moved = ferry_loop_now(st->conn->loop);
        if (r != 0)
            return r;
        r = wait_for_slot(st, want, since);
        if (r <= 0)
            return r;
    }
}

void ferry_stream_finish(ferry_stream *st)
{
    st->finishing = true;
    if (st->conn)
        ferry_writer_ready(st);
}

/* ---- read ----------------------------------------------------------------------- */

void ferry_stream_consumed(ferry_stream *st, uint32_t cost)
{
    if (!st->conn || cost == 0)
        return;
    uint32_t credit = ferry_recv_window_consumed(&st->recv, cost);
    if (credit == 0 || st->in_ended)
        return;
    st->credit += credit;
    ferry_writer_control(st, FERRY_SEND_CREDIT);
}

/* The daemon has read all that came, and waits: the host's progress is to say so. A host
 * that waits says nothing: nobody counts what it has consumed. */
static void tell_idle(ferry_stream *st)
{
    if (!st->conn || !st->conn->opts.server)
        return;
    uint32_t credit = ferry_recv_window_idle(&st->recv);
    if (credit == 0)
        return;
    st->credit += credit;
    ferry_writer_control(st, FERRY_SEND_CREDIT);
}

static void return_credit(ferry_stream *st)
{
    uint32_t cost = st->unreturned;
    st->unreturned = 0;
    ferry_stream_consumed(st, cost);
}

FERRY_CO int ferry_stream_read(ferry_stream *st, ferry_piece *ret)
{
    return_credit(st);
    for (;;) {
        if (ferry_pieces_pop(&st->in, ret, &st->unreturned))
            return 1;
        if (st->error)
            return st->error;
        if (st->was_reset)
            return st->reset_code;
        if (st->in_ended || st->replied)
            return 0;
        if (st->lost)
            return st->lost;

        tell_idle(st);
        int r = ferry_cond_wait(&st->readable);
        if (r < 0 && st->in.count == 0 && !st->in_ended && !st->replied)
            return r;
    }
}

/* ---- the end -------------------------------------------------------------------- */

void ferry_stream_drop_out(ferry_stream *st)
{
    while (st->queue_count > 0) {
        ferry_slice_done(&st->queue[st->queue_head].data);
        st->queue_head = (st->queue_head + 1) % FERRY_STREAM_QUEUE;
        st->queue_count--;
    }
    st->queue_bytes = 0;
}

void ferry_stream_drop_in(ferry_stream *st)
{
    uint32_t cost = ferry_pieces_clear(&st->in) + st->unreturned;
    st->unreturned = 0;
    ferry_stream_consumed(st, cost);
}

void ferry_stream_fail(ferry_stream *st, int code)
{
    FERRY_TRACE(proto, "stream %u: %s", st->id, ferry_strerror(code));
    st->error = code;
    if (is_client(st))
        ferry_stream_reset(st, code);
    st->discarding = true;
    ferry_stream_drop_in(st);
    ferry_stream_wake(st);
}

void ferry_stream_wake(ferry_stream *st)
{
    ferry_cond_wake(&st->readable);
    ferry_cond_wake(&st->writable);
    if (st->conn)
        ferry_cond_wake(&st->conn->lane.freed);
}

void ferry_stream_destroy(ferry_stream *st)
{
    ferry_stream_drop_out(st);
    ferry_pieces_done(&st->in);
    ferry_slice_done(&st->body);
    free(st);
}

/* Never sent: the daemon need not hear of it. */
static bool is_unsent(const ferry_stream *st)
{
    return st->control & FERRY_SEND_CALL;
}

void ferry_stream_close(ferry_stream *st)
{
    if (!st)
        return;
    st->on_reset = NULL;
    if (is_client(st) && !is_unsent(st))
        ferry_stream_reset(st, -FERRY_ECANCELED);
    else if (st->conn && st->conn->opts.server && !st->replied)
        ferry_stream_reply(st, NULL);

    st->closed = true;
    if (!st->conn)
        ferry_stream_destroy(st);
    else if (is_unsent(st))
        ferry_conn_detach(st);
}
