/* A connection's life, its table of streams, and its end. Owns the link and every
 * attached stream. Called by the API and the daemon (conn.h) and by the rest of
 * src/proto; must not know what a frame looks like (reader.c, writer.c) or means
 * (receive.c). */
#include "async/sync.h"
#include "base/alloc.h"
#include "base/trace.h"
#include "proto/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- life ----------------------------------------------------------------------- */

static void init_outbox(struct ferry_outbox *out)
{
    ferry_list_init(&out->control);
    for (int i = 0; i < FERRY_RANKS; i++)
        ferry_list_init(&out->ready[i]);
    ferry_cond_init(&out->work);
    ferry_cond_init(&out->idle);
}

int ferry_conn_new(ferry_loop *loop, ferry_link *link, const ferry_conn_opts *o,
                   ferry_conn **ret)
{
    ferry_conn *c = calloc(1, sizeof *c);
    if (!c)
        goto fail;
    c->loop = loop;
    c->link = link;
    c->opts = *o;
    for (unsigned i = 0; i < FERRY_TABLE_BUCKETS; i++)
        ferry_list_init(&c->table[i]);
    ferry_sem_init(&c->places, FERRY_CONN_STREAMS);
    init_outbox(&c->out);
    ferry_lane_port_init(&c->lane, o->server, &c->out.work);
    if (ferry_buf_new(FERRY_STAGE, &c->in.stage) < 0)
        goto fail;

    *ret = c;
    return 0;

fail:
    free(c);
    ferry_link_close(link);
    return -ENOMEM;
}

FERRY_CO int ferry_conn_run(ferry_conn *c)
{
    assert(c->greeted && "ferry_conn_run before ferry_conn_hello");

    ferry_scope s;
    ferry_scope_open(&s, 0);
    int r = ferry_spawn(&s, "conn reader", ferry_conn_reader, c);
    if (r == 0)
        r = ferry_spawn(&s, "conn writer", ferry_conn_writer, c);
    if (r < 0)
        ferry_scope_cancel(&s, r);

    int joined = ferry_scope_join(&s);
    ferry_conn_fail(c, r < 0 ? r : joined);
    return c->error;
}

int ferry_conn_error(const ferry_conn *c)
{
    return c->error;
}

uint64_t ferry_conn_heard(const ferry_conn *c)
{
    return c->in.heard;
}

const char *ferry_conn_error_text(const ferry_conn *c)
{
    return c->error_text;
}

void ferry_conn_free(ferry_conn *c)
{
    if (!c)
        return;
    ferry_conn_fail(c, -FERRY_EPIPE);
    ferry_link_close(c->link);
    ferry_buf_unref(c->in.stage);
    ferry_buf_unref(c->in.payload);
    ferry_buf_unref(c->out.log);
    ferry_lane_port_done(&c->lane);
    free(c);
}

/* ---- the lane ------------------------------------------------------------------- */

ferry_conn_lane ferry_conn_get_lane(const ferry_conn *c)
{
    return c->lane.state;
}

static void open_lane(struct ferry_lane_port *p, ferry_lane_map *m)
{
    p->map = ferry_lane_map_ref(m);
    ferry_lane_out_init(&p->out, p->server ? p->shape.down : p->shape.up);
    ferry_lane_in_init(&p->in, p->server ? p->shape.up : p->shape.down);
}

void ferry_conn_offer_lane(ferry_conn *c, ferry_lane_map *m, const ferry_lane_shape *s)
{
    assert(!c->opts.server && c->lane.state == FERRY_CONN_LANE_NONE);
    FERRY_TRACE(proto, "lane: %u + %u slots of %u bytes offered", s->up, s->down,
                s->slot);
    c->lane.state = FERRY_CONN_LANE_OFFERED;
    c->lane.shape = *s;
    open_lane(&c->lane, m);
    c->lane.tell = true;
    ferry_cond_wake(&c->out.work);
}

void ferry_conn_answer_lane(ferry_conn *c, ferry_lane_map *m)
{
    assert(c->opts.server && c->lane.state == FERRY_CONN_LANE_OFFERED);
    c->lane.state = m ? FERRY_CONN_LANE_OPEN : FERRY_CONN_LANE_REFUSED;
    if (m)
        open_lane(&c->lane, m);
    c->lane.tell = true;
    ferry_cond_wake(&c->out.work);
}

/* ---- the end -------------------------------------------------------------------- */

int ferry_conn_violation(ferry_conn *c, const char *fmt, ...)
{
    if (c->error_text[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        vsnprintf(c->error_text, sizeof c->error_text, fmt, args);
        va_end(args);
    }
    FERRY_TRACE(proto, "%s: the peer broke the protocol: %s",
                c->opts.server ? "server" : "client", c->error_text);
    return -FERRY_EPROTO;
}

/* Off the table first, then its owner is told: what a callback does finds a stream that
 * has no connection any more. */
static void fail_stream(ferry_stream *st, int code)
{
    bool tombstone = st->closed;

    st->lost = code;
    ferry_conn_detach(st);
    if (!tombstone)
        ferry_stream_fire_reset(st, code);
}

void ferry_conn_fail(ferry_conn *c, int code)
{
    if (c->error)
        return;
    c->error = code;
    if (c->error_text[0] == '\0')
        snprintf(c->error_text, sizeof c->error_text, "%s", ferry_strerror(code));
    FERRY_TRACE(proto, "%s: connection ended: %s", c->opts.server ? "server" : "client",
                c->error_text);

    for (unsigned i = 0; i < FERRY_TABLE_BUCKETS; i++)
        while (!ferry_list_empty(&c->table[i]))
            fail_stream(ferry_container(c->table[i].next, ferry_stream, table_link),
                        code);
    ferry_cond_wake(&c->out.idle);
}

/* ---- table ---------------------------------------------------------------------- */

static ferry_list *bucket(const ferry_conn *c, uint32_t id)
{
    return (ferry_list *)&c->table[id % FERRY_TABLE_BUCKETS];
}

ferry_stream *ferry_conn_find(const ferry_conn *c, uint32_t id)
{
    ferry_list_each (ferry_stream, st, bucket(c, id), table_link)
        if (st->id == id)
            return st;
    return NULL;
}

int ferry_conn_attach(ferry_conn *c, uint32_t id, ferry_stream **ret)
{
    ferry_stream *st = ferry_zalloc(sizeof *st);
    if (!st)
        return -ENOMEM;
    st->conn = c;
    st->id = id;
    ferry_list_init(&st->control_link);
    ferry_list_init(&st->ready_link);
    ferry_cond_init(&st->writable);
    ferry_cond_init(&st->readable);
    ferry_send_window_init(&st->send, FERRY_WINDOW);
    ferry_recv_window_init(&st->recv, FERRY_WINDOW);
    ferry_pieces_init(&st->in);
    ferry_list_append(bucket(c, id), &st->table_link);
    c->nstreams++;
    *ret = st;
    return 0;
}

void ferry_conn_detach(ferry_stream *st)
{
    ferry_conn *c = st->conn;
    ferry_list_remove(&st->table_link);
    ferry_list_remove(&st->control_link);
    ferry_list_remove(&st->ready_link);
    st->conn = NULL;
    c->nstreams--;
    if (!c->opts.server)
        ferry_sem_put(&c->places);

    ferry_stream_drop_out(st);
    ferry_cond_wake(&c->lane.freed);
    ferry_stream_wake(st);
    if (st->closed)
        ferry_stream_destroy(st);
}
