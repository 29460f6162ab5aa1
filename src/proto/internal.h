/* What the files of src/proto share and nobody else sees: the connection and the
 * stream.
 *
 *   conn.c      life, the table of streams, failing  hello.c   the first frame
 *   reader.c    bytes to frames                      writer.c  queues to bytes
 *   receive.c   what a frame means                   stream.c  what a task asks for
 *   lane_port.c which slot is whose
 *
 * A stream is *attached* (st->conn set, in the table) for as long as the peer may speak
 * of it: from CALL until its REPLY is received (client) or handed to the link (server),
 * or until the connection fails. It lives until it is both detached and closed; closed
 * but attached it is a tombstone, which discards, gives credit, and waits for the
 * REPLY.
 *
 *                    _call / CALL            REPLY | failure
 *          (none) ----------------> attached ---------------> detached
 *                                      | _close                  | _close
 *                                      v                         v
 *                                  tombstone ---------------->  freed
 */
#ifndef FERRY_PROTO_INTERNAL_H
#define FERRY_PROTO_INTERNAL_H

#include "async/sync.h"
#include "proto/conn.h"
#include "proto/lane_port.h"
#include "proto/pieces.h"
#include "proto/window.h"

/* Half a window holds any frame: see window.h. */
_Static_assert(FERRY_WINDOW / 2 >= FERRY_FRAME_MAX, "a sender could wait for ever");

/* ---- stream --------------------------------------------------------------------- */

/* Control frames a stream has to send. Bits, not a queue: what is said twice before the
 * writer comes is said once, so control never needs memory. Sent in this order. */
enum ferry_stream_control {
    FERRY_SEND_CALL = 1 << 0,
    FERRY_SEND_CREDIT = 1 << 1,   /* st->credit */
    FERRY_SEND_PROGRESS = 1 << 2, /* st->done, st->total: the latest only */
    FERRY_SEND_RESET = 1 << 3,    /* st->reset_code */
    FERRY_SEND_REPLY = 1 << 4,    /* st->body: once the stream's own DATA is gone */
};

/* A DATA frame that waits to be sent. */
struct ferry_outgoing {
    ferry_slice data; /* empty for a hole */
    uint64_t hole;
    uint32_t wire; /* bytes of it that go over the link */
};

struct ferry_stream {
    ferry_conn *conn; /* NULL: detached */
    uint32_t id, proc;
    ferry_rank rank;
    int lost;     /* the connection ended before the stream did: its error */
    int error;    /* why _read and _write fail: -ENOMEM, or the code of our own reset */
    bool closed;  /* its owner is gone */
    bool replied; /* client: REPLY is here; server: ferry_stream_reply was called */
    bool discarding; /* what still arrives is dropped, but credited */
    bool reset_sent; /* client: RESET is sent or will be */
    bool was_reset;  /* server: RESET came */
    int reset_code;  /* with either of them */

    ferry_list table_link;   /* in conn->table */
    ferry_list control_link; /* in outbox.control while `control` is not 0 */
    ferry_list ready_link;   /* in outbox.ready while it has something sendable */

    /* to the peer */
    unsigned control; /* ferry_stream_control */
    uint32_t credit;
    bool finishing; /* END is to be sent after the queue */
    bool ended;     /* END or RESET was sent: no DATA any more */
    struct ferry_outgoing queue[FERRY_STREAM_QUEUE];
    unsigned queue_head, queue_count;
    size_t queue_bytes;
    ferry_send_window send;
    uint64_t slots_acked; /* bytes sent in slots that have come back */
    bool acked;           /* the peer's reader has taken something of ours, */
    uint64_t acked_at;    /* ms: for the last time */
    ferry_cond writable;

    /* from the peer */
    ferry_pieces in;
    ferry_recv_window recv;
    uint32_t unreturned; /* cost of the piece that the reader has now */
    bool in_ended;       /* END came */
    ferry_cond readable; /* also the REPLY */

    /* client: the REPLY's payload. Server: the one to send. Client, before the CALL is
     * sent: its body. */
    ferry_slice body;
    uint64_t done, total; /* PROGRESS, last received or to be sent */

    void (*on_reset)(void *arg, int code);
    void *on_reset_arg;
};

_Static_assert(sizeof(struct ferry_stream) <= 1032,
               "too large for the tcache: base/alloc.h");

/* ---- connection ----------------------------------------------------------------- */

/* Ids of streams that are open at once are neighbours, so chains are short. */
#define FERRY_TABLE_BUCKETS FERRY_CONN_STREAMS

/* Receive buffer for headers and small payloads; large ones are read where they stay.
 * What is copied out of it per large frame is at most this. */
#define FERRY_STAGE (16 * 1024)

struct ferry_inbox {
    ferry_buf *stage;
    size_t pos; /* stage->data[pos .. len) is not looked at yet */
    bool have_header;
    ferry_frame frame;  /* valid with have_header */
    ferry_buf *payload; /* being filled; its cap is the frame's length */
    uint32_t skip;      /* payload bytes that nobody wants */
    uint64_t heard;     /* reads that gave something */
};

/* Longest payload that is copied beside its header instead of getting an iovec. */
#define FERRY_GATHER_COPY 512
#define FERRY_GATHER_SCRATCH (16 * 1024)
#define FERRY_GATHER_IOV 64
/* No more is gathered once this is reached: a control frame waits for one write. */
#define FERRY_GATHER_BYTES FERRY_FRAME_MAX

/* One write: headers, control frames and small payloads in scratch, large payloads
 * where they are. */
struct ferry_gather {
    struct iovec iov[FERRY_GATHER_IOV];
    int niov;
    size_t bytes;
    size_t used; /* of scratch */
    uint8_t scratch[FERRY_GATHER_SCRATCH];
    ferry_slice held[FERRY_GATHER_IOV]; /* alive until the write is over */
    int nheld;
};

/* LOG frames waiting to be sent, in bytes; more are dropped and counted. */
#define FERRY_LOG_BUFFER (16 * 1024)

struct ferry_outbox {
    ferry_list control;            /* ferry_stream.control_link */
    ferry_list ready[FERRY_RANKS]; /* ferry_stream.ready_link; round-robin in each */
    ferry_buf *log;                /* whole LOG frames */
    unsigned log_dropped;
    bool writing;    /* the link has a gather */
    ferry_cond work; /* the writer waits */
    ferry_cond idle; /* ferry_conn_flush waits */
    struct ferry_gather gather;
};

struct ferry_conn {
    ferry_loop *loop;
    ferry_link *link;
    ferry_conn_opts opts;
    bool greeted; /* HELLO went both ways */
    int error;    /* 0 while it may work */
    char error_text[160];

    ferry_list table[FERRY_TABLE_BUCKETS]; /* attached streams by id */
    unsigned nstreams;
    uint32_t last_id; /* of the newest CALL, sent or received */
    ferry_sem places; /* client */

    struct ferry_inbox in;
    struct ferry_outbox out;
    struct ferry_lane_port lane;
};

/* ---- conn.c --------------------------------------------------------------------- */

/* Notes the first reason for the end; returns -FERRY_EPROTO. */
int ferry_conn_violation(ferry_conn *c, const char *fmt, ...) FERRY_PRINTF(2, 3);
/* Ends every attached stream with the code. The first call counts. */
void ferry_conn_fail(ferry_conn *c, int code);

ferry_stream *ferry_conn_find(const ferry_conn *c, uint32_t id);
/* A new attached stream. -ENOMEM. */
int ferry_conn_attach(ferry_conn *c, uint32_t id, ferry_stream **ret);
/* The peer will not speak of it again. Frees a tombstone: st may be gone after. */
void ferry_conn_detach(ferry_stream *st);

/* ---- reader.c, writer.c: the two tasks ------------------------------------------ */

FERRY_CO int ferry_conn_reader(void *arg);
FERRY_CO int ferry_conn_writer(void *arg);
/* For HELLO: reads until one whole small frame is there. Its payload lies in the stage
 * and is valid until the next read. */
FERRY_CO int ferry_reader_first(ferry_conn *c, ferry_frame *ret,
                                const uint8_t **ret_payload);

/* Puts the stream where the writer looks, if it has something that may be sent. */
void ferry_writer_ready(ferry_stream *st);
void ferry_writer_control(ferry_stream *st, unsigned control);

/* ---- receive.c ------------------------------------------------------------------ */

/* Called with each header, before its payload is there: may this peer send this now?
 * Counts DATA against the window. 1: yes; 0: yes, but nobody wants the payload;
 * -FERRY_EPROTO. */
int ferry_receive_header(ferry_conn *c, const ferry_frame *f);

/* The whole frame. `own` (NULL: the payload is part of the stage) is the buffer that
 * holds exactly the payload, and is taken over. */
int ferry_receive_frame(ferry_conn *c, const ferry_frame *f, const uint8_t *payload,
                        ferry_buf *own);

/* ---- stream.c ------------------------------------------------------------------- */

void ferry_stream_drop_out(ferry_stream *st); /* what is queued to be sent */
void ferry_stream_drop_in(ferry_stream *st);  /* what is here unread; credits it */
void ferry_stream_consumed(ferry_stream *st, uint32_t cost);
/* An error of this stream only (-ENOMEM): its calls fail, the peer is told on a
 * client. */
void ferry_stream_fail(ferry_stream *st, int code);
void ferry_stream_destroy(ferry_stream *st); /* detached and closed */
void ferry_stream_fire_reset(ferry_stream *st, int code);
/* Something has ended: whoever waits looks again. */
void ferry_stream_wake(ferry_stream *st);

#endif
