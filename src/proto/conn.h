/* One connection: frames in and out of a link, many streams over it.
 *
 *      tasks --- ferry_stream_write ---> a queue per stream ---+
 *            --- control -------------> bits per stream -------+--> writer --> link
 *      tasks <-- ferry_stream_read <---- a queue per stream <------ reader <-- link
 *
 * The writer sends control frames first, then DATA round-robin over the streams that
 * have some and have credit. The reader never waits for a stream's consumer: credit
 * bounds what a peer may send, and one that sends more has broken the protocol.
 *
 * The client (host) opens streams with CALL; the server (daemon) gets on_call for each.
 * A stream ends with the server's REPLY, always exactly one, also after a RESET: ids
 * are never reused, and crossing cancels cannot desynchronise anything.
 *
 * Any violation by the peer ends the connection with -FERRY_EPROTO: every open stream's
 * calls then fail with that code, and nothing else is touched. The same code runs on
 * both sides. Loop thread only; knows no qemu and no call. */
#ifndef FERRY_PROTO_CONN_H
#define FERRY_PROTO_CONN_H

#include "async/link.h"
#include "async/scope.h"
#include "base/buf.h"
#include "proto/frame.h"
#include "proto/lane.h"

#include <guestferry/error.h>

#include <stdbool.h>

typedef struct ferry_conn ferry_conn;
typedef struct ferry_stream ferry_stream;

/* Streams open at once: a table walk stays short and a daemon's memory bounded
 * (each may have 2 windows outstanding). More calls wait on the host for a place. */
#define FERRY_CONN_STREAMS 256

/* What a stream's writer may have queued before it waits: enough that the writer task
 * always finds the next frame, in bytes for large ones and in number for small (with 12 a
 * stream is small enough for base/alloc.h). */
#define FERRY_STREAM_QUEUE_BYTES (4 * FERRY_FRAME_MAX)
#define FERRY_STREAM_QUEUE 12

/* Less than this is as well sent inline: handing a slot over and back costs two small frames. */
#define FERRY_SLOT_WORTH ((size_t)64 * 1024)

/* Whose bulk data goes first, in both directions. A lower one moves when no higher one has anything
 * that could be moved: it gets the rest. Control, calls and replies know no rank. */
typedef enum ferry_rank {
    FERRY_RANK_NORMAL,
    FERRY_RANK_LOW,
    FERRY_RANK_HIGH,
    FERRY_RANKS
} ferry_rank;

typedef struct ferry_conn_opts {
    bool server;
    bool again; /* client: the daemon's HELLO is not on the wire, ask for it (hello.c) */
    /* Server: a CALL arrived. Takes over the stream (ferry_stream_reply ends it) and
     * the body (the XDR arguments). Runs in the reader task; must not suspend: spawn.
     * */
    void (*on_call)(void *arg, ferry_stream *st, ferry_slice body);
    /* Server: the client offers a lane of this shape, checked; once. The callee answers with
     * ferry_conn_answer_lane(), now or later. Client: that was the answer; shape is NULL if it was
     * no. May be NULL: a server refuses. Must not suspend. */
    void (*on_lane)(void *arg, const ferry_lane_shape *shape);
    /* Client: one line of text from the daemon; its bytes are the daemon's, so escape
     * what is shown. May be NULL. */
    void (*on_log)(void *arg, const char *text, size_t len);
    void *arg;
} ferry_conn_opts;

/* Takes over the link, also on failure. Nothing is read or written until _run. */
int ferry_conn_new(ferry_loop *loop, ferry_link *link, const ferry_conn_opts *o,
                   ferry_conn **ret);
/* No task is inside any more. Streams that are still open fail and live on until their
 * close. */
void ferry_conn_free(ferry_conn *c);

/* Sends our HELLO and waits for the peer's. `hash` is the API hash (schema/), at most
 * 64 characters; `build` a free text for error messages. -FERRY_EMISMATCH when the
 * hashes differ (the error names both builds), -FERRY_EPROTO when the peer is something
 * else. Before _run, by the same task or another. A connection that failed here is only
 * good for _free. */
FERRY_CO int ferry_conn_hello(ferry_conn *c, const char *hash, const char *build,
                              ferry_error *e);

/* Only hears the peer's HELLO, and answers nothing: for a template, which is made of a daemon
 * that waits for its host's. The connection is good for _free only. */
FERRY_CO int ferry_conn_listen(ferry_conn *c, const char *hash, const char *build,
                               ferry_error *e);

/* Reads and writes until the link ends (returns -FERRY_EPIPE), the peer breaks the
 * protocol (-FERRY_EPROTO), an I/O error (its code), or a cancel. By the time it
 * returns, every stream without a REPLY has failed with the code. */
FERRY_CO int ferry_conn_run(ferry_conn *c);

/* A count that grows with whatever comes from the peer: a sign of life. */
uint64_t ferry_conn_heard(const ferry_conn *c);

/* The reason it ended: 0 while it runs. */
int ferry_conn_error(const ferry_conn *c);
/* The same for a person: "DATA on stream 7: more than the window". "" while it runs. */
const char *ferry_conn_error_text(const ferry_conn *c);

/* Waits until the link has everything that may be sent (DATA without credit may not):
 * before a daemon powers off, say. The connection's error, or the cancel code. */
FERRY_CO int ferry_conn_flush(ferry_conn *c);

/* ---- the lane ------------------------------------------------------------------- */

/* The memory of a lane as this process has it mapped: its slots, without the head. Counted; the last
 * reference unmaps it. Takes over the mapping, also on failure. -ENOMEM. */
typedef struct ferry_lane_map ferry_lane_map;
int ferry_lane_map_new(void *at, size_t len, ferry_lane_map **ret);
ferry_lane_map *ferry_lane_map_ref(ferry_lane_map *m);
void ferry_lane_map_unref(ferry_lane_map *m); /* NULL is allowed */

typedef enum ferry_conn_lane {
    FERRY_CONN_LANE_NONE,    /* not offered */
    FERRY_CONN_LANE_OFFERED, /* no answer yet; bulk data goes inline meanwhile */
    FERRY_CONN_LANE_OPEN,
    FERRY_CONN_LANE_REFUSED,
} ferry_conn_lane;
ferry_conn_lane ferry_conn_get_lane(const ferry_conn *c);

/* Client: offers the lane (its own reference to the map); at most once. Does not wait: transfers that
 * go on change over when the answer is here. */
void ferry_conn_offer_lane(ferry_conn *c, ferry_lane_map *m, const ferry_lane_shape *s);
/* Server: the answer to on_lane, once. NULL: it cannot be used. */
void ferry_conn_answer_lane(ferry_conn *c, ferry_lane_map *m);

/* ---- client --------------------------------------------------------------------- */

/* Opens a stream with a CALL of procedure `proc` and takes over body, also on failure
 * (XDR arguments, at most FERRY_FRAME_MAX - 4 bytes; NULL: none). Waits for a place if
 * FERRY_CONN_STREAMS are open. */
FERRY_CO int ferry_stream_call(ferry_conn *c, uint32_t proc, ferry_buf *body,
                               ferry_stream **ret);

/* Of the stream and of the daemon's side of it. Right after _call, before anything suspends: the
 * CALL tells it. */
void ferry_stream_set_rank(ferry_stream *st, ferry_rank rank);

/* Waits for the REPLY. 0 and its payload (status and result, decoded elsewhere), the
 * cancel code, or the connection's error. Data that came before stays readable. An
 * empty payload: the daemon had no memory to say more. */
FERRY_CO int ferry_stream_wait_reply(ferry_stream *st, ferry_slice *ret);

/* Is the REPLY here already? Then a cancel is too late. */
bool ferry_stream_replied(const ferry_stream *st);

/* The connection's error if that ended before the REPLY came; else 0. Stays when the connection
 * has been freed. */
int ferry_stream_lost(const ferry_stream *st);

/* Asks the daemon to stop: RESET. DATA that is queued on this side is dropped, DATA
 * that still comes, or is here unread, is discarded (and credited). From then on _read
 * and _write return `code` (negative), wait_reply goes on as before. Never suspends;
 * harmless after the REPLY. */
void ferry_stream_reset(ferry_stream *st, int code);

/* Bytes the peer has surely consumed of what we wrote, holes included. Moves when a
 * CREDIT comes: when the daemon has read all there was, else in steps of half a window;
 * what came last is told by the REPLY only. */
uint64_t ferry_stream_acked(const ferry_stream *st);

/* The last PROGRESS frame: done and total, 0 and 0 before the first. */
void ferry_stream_progress(const ferry_stream *st, uint64_t *ret_done,
                           uint64_t *ret_total);

/* ---- server --------------------------------------------------------------------- */

uint32_t ferry_stream_proc(const ferry_stream *st);

/* Ends the stream: queued DATA goes first, then REPLY with body (taken over, at most
 * FERRY_FRAME_MAX; NULL: an empty one, which says "no memory"). Never suspends. The
 * stream is still to be closed. */
void ferry_stream_reply(ferry_stream *st, ferry_buf *body);

/* Calls on_reset(arg, code), once, in the reader task when the host resets the stream
 * (at once if it has already); also when the connection ends. Not after _reply or
 * _close. Must not suspend: cancel a scope. */
void ferry_stream_on_reset(ferry_stream *st, void (*on_reset)(void *arg, int code),
                           void *arg);

void ferry_stream_send_progress(ferry_stream *st, uint64_t done, uint64_t total);
/* One line to the host. Never suspends; lines are dropped, and counted, when the host
 * does not keep up. */
void ferry_conn_log(ferry_conn *c, const char *text);

/* ---- both ----------------------------------------------------------------------- */

/* Sends bytes (takes over the slice, also on failure; longer than FERRY_FRAME_MAX is
 * cut into frames). Waits for credit and for the queue, not for the peer. After a REPLY
 * has come: -FERRY_EPIPE, whoever writes goes to ferry_stream_wait_reply for the
 * reason. On a server whose host has reset: the RESET's code. One writer per stream at
 * a time. */
FERRY_CO int ferry_stream_write(ferry_stream *st, ferry_slice s);
FERRY_CO int ferry_stream_write_hole(ferry_stream *st, uint64_t len);

/* A buffer in the lane for up to `want` bytes of this stream: 1 and an empty buffer, to be filled
 * from its beginning and given to ferry_stream_write(), which then moves no bytes; 0 when a buffer
 * of one's own is to be used (no lane, too little for it, or others have all its slots); or a code
 * like that of _write. May wait for one that this stream has given away, so take them in the order in
 * which they will be written. */
FERRY_CO int ferry_stream_slot(ferry_stream *st, uint64_t want, ferry_buf **ret);
/* No more DATA: END. Does not wait. */
void ferry_stream_finish(ferry_stream *st);

/* One piece of what the peer sends, in order; its bounds are those of a frame only by
 * chance (small frames come as one). A large one begins at the start of a buffer of its
 * own, so that it may be written with O_DIRECT. Gives its credit back when the NEXT
 * piece is asked for or the stream is closed: one read is one consumption. */
typedef struct ferry_piece {
    ferry_slice data; /* data.len 0 for a hole */
    uint64_t hole;    /* length of a hole, else 0: the peer's word, any 64-bit number */
} ferry_piece;

/* 1 and a piece (its slice is the caller's); 0 after END (or, on the client, after a
 * REPLY without END: see wait_reply); the cancel code; the RESET's code on a server
 * whose host has reset; the connection's error, or -ENOMEM if a piece found no memory.
 * One reader at a time. */
FERRY_CO int ferry_stream_read(ferry_stream *st, ferry_piece *ret);

/* Forgets the stream. One that has no REPLY yet is reset first (client) or gets an
 * empty one (server). No task may be inside. NULL is allowed. */
void ferry_stream_close(ferry_stream *st);

static inline void ferry_auto_stream(ferry_stream **st)
{
    ferry_stream_close(*st);
}

#endif
