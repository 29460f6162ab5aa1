/* download: a file or device as DATA of the stream. Owns the pipeline; the file system's side is
 * source.c.
 *
 *      planner: regions, pieces ---> ring of READ_AHEAD places ---> sender, in order
 *                                    a reader task fills each
 *
 * A small file is opened and read by one job. PROGRESS with the size goes first, so that the host knows it
 * before the first byte. */
#include "source.h"

#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"
#include "proto/seal.h"

#include <string.h>

/* Reads in flight or read and not yet sent. */
#define READ_AHEAD 3

/* What is read by the job that opens it: what goes in one frame. More of it is worth a slot of the lane, if there
 * is one: the guest's CPU copies 1 MiB in some 5 ms. */
#define SMALL FERRY_FRAME_MAX

/* One place of the ring: piece number k is in place k % READ_AHEAD. */
struct place {
    ferry_buf *buf;
    uint64_t hole; /* zeroes before the data */
    bool ready;
};

struct download {
    struct ferryd_call *call;
    const fx_download_args *args;
    ferry_seal seal;
    ferry_file *root; /* NULL: a device */
    struct ferryd_source source;
    bool open;
    ferry_buf *first; /* all of a small file */

    uint64_t next, end;     /* not yet planned */
    uint64_t data;          /* of the region that is being planned, left */
    uint64_t hole;          /* before it, and not yet given to a piece */
    uint64_t planned, sent; /* pieces */
    uint64_t bytes;         /* sent, holes included */
    bool all_planned;
    ferry_sem planning; /* one reader at a time plans */
    struct place ring[READ_AHEAD];
    ferry_cond changed;
    int r; /* of a job */
};

/* ---- planning ------------------------------------------------------------------------------- */

static void region_run(void *arg)
{
    struct download *d = arg;
    d->r = ferryd_source_region(&d->source, d->next, d->end, &d->hole, &d->data);
}

/* For as much of what is left of the region as goes into one: a slot of the lane, or memory of our
 * own. */
static FERRY_CO int get_buf(struct download *d, ferry_buf **ret)
{
    int r = ferry_stream_slot(d->call->stream, d->data, ret);
    return r == 0 ? ferry_buf_new(FERRYD_PIECE, ret) : r < 0 ? r : 0;
}

/* The next piece: 1, its place in file and ring, and its buffer there; 0 at the end. In order, and so
 * are the slots: the first to be sent is the first to have one. */
static FERRY_CO int plan_next(struct download *d, uint64_t *ret_offset, size_t *ret_len,
                              uint64_t *ret_number)
{
    while (d->planned - d->sent == READ_AHEAD) {
        int r = ferry_cond_wait(&d->changed);
        if (r < 0)
            return r;
    }
    if (d->all_planned)
        return 0;
    if (d->data == 0 && d->next < d->end) {
        int r = ferryd_block(region_run, d);
        if (r < 0 || d->r < 0)
            return r < 0 ? r : d->r;
        d->next += d->hole;
    }

    ferry_buf *buf = NULL;
    int r = get_buf(d, &buf);
    if (r < 0)
        return r;
    size_t len = d->data < buf->cap ? (size_t)d->data : buf->cap;
    *ret_number = d->planned++;
    *ret_offset = d->next;
    *ret_len = len;
    struct place *p = &d->ring[*ret_number % READ_AHEAD];
    p->buf = buf;
    p->hole = d->hole;
    d->hole = 0;
    d->data -= len;
    d->next += len;
    d->all_planned = d->next >= d->end;
    return 1;
}

static FERRY_CO int plan(struct download *d, uint64_t *ret_offset, size_t *ret_len,
                         uint64_t *ret_number)
{
    int r = ferry_sem_get(&d->planning);
    if (r < 0)
        return r;
    r = plan_next(d, ret_offset, ret_len, ret_number);
    ferry_sem_put(&d->planning);
    return r;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct download *d;
    ferry_buf *buf;
    size_t len;
    uint64_t offset;
    int r;
};

static void read_run(void *arg)
{
    struct reading *x = arg;
    x->r = ferryd_source_read(&x->d->source, x->buf, x->len, x->offset);
}

static FERRY_CO int read_piece(struct download *d, uint64_t offset, size_t len,
                               ferry_buf *b)
{
    struct reading x = {.d = d, .buf = b, .len = len, .offset = offset};
    int r = len > 0 ? ferryd_block_bulk(read_run, &x) : 0;
    return r == 0 ? x.r : r;
}

static FERRY_CO int reader(void *arg)
{
    struct download *d = arg;
    for (;;) {
        uint64_t offset, number;
        size_t len;
        int r = plan(d, &offset, &len, &number);
        if (r <= 0)
            return r;

        struct place *p = &d->ring[number % READ_AHEAD];
        r = read_piece(d, offset, len, p->buf);
        if (r < 0)
            return r;
        /* Truncated under us: what was there is sent, the rest is not made up. */
        if (p->buf->len < len)
            return -FERRY_ECHANGED;
        p->ready = true;
        ferry_cond_wake(&d->changed);
    }
}

/* ---- sending ---------------------------------------------------------------------------------- */

/* Takes over b. */
static FERRY_CO int send_piece(struct download *d, uint64_t hole, ferry_buf *b)
{
    FERRY_AUTO(buf) ferry_buf *mine = b;
    ferry_stream *st = d->call->stream;
    int r = hole > 0 ? ferry_seal_write_hole(&d->seal, st, hole) : 0;
    d->bytes += hole;
    if (r == 0 && b->len > 0) {
        d->bytes += b->len;
        ferry_take(&mine);
        r = ferry_seal_write(&d->seal, st, (ferry_slice){b, b->data, b->len});
    }
    return r;
}

static FERRY_CO int send_all(struct download *d)
{
    while (!(d->all_planned && d->sent == d->planned)) {
        struct place *p = &d->ring[d->sent % READ_AHEAD];
        if (d->sent == d->planned || !p->ready) {
            int r = ferry_cond_wait(&d->changed);
            if (r < 0)
                return r;
            continue;
        }

        int r = send_piece(d, p->hole, ferry_take(&p->buf));
        if (r < 0)
            return r;
        p->ready = false;
        d->sent++;
        ferry_cond_wake(&d->changed);
    }
    return 0;
}

static FERRY_CO int pipeline(struct download *d)
{
    int r = 0;
    ferry_scope s;
    ferry_scope_open(&s, 0);
    for (int i = 0; i < READ_AHEAD && r == 0; i++)
        r = ferry_spawn(&s, "download reader", reader, d);
    if (r == 0)
        r = send_all(d);
    if (r < 0)
        ferry_scope_cancel(&s, r);
    int readers = ferry_scope_join(&s);

    for (int i = 0; i < READ_AHEAD; i++)
        ferry_buf_unref(d->ring[i].buf);
    /* A reader's failure reaches the sender as a cancel: the reader knows why. */
    return readers < 0 ? readers : r;
}

/* ---- the call ----------------------------------------------------------------------------------- */

/* Opens, and reads what is small. */
static void open_run(void *arg)
{
    struct download *d = arg;
    const fx_download_args *a = d->args;
    d->r = ferryd_source_open(d->root ? d->root->fd : -1, a->path, &d->source);
    if (d->r < 0)
        return;

    d->open = true;
    uint64_t size = d->source.size;
    d->next = a->offset < size ? a->offset : size;
    d->end = a->length == 0 || a->length > size - d->next ? size : d->next + a->length;
    d->all_planned = d->next == d->end;
    if (d->end - d->next <= SMALL && !d->source.holes)
        d->r = ferryd_source_read(&d->source, d->first, (size_t)(d->end - d->next),
                                  d->next);
}

static void close_run(void *arg)
{
    struct download *d = arg;
    ferryd_source_close(&d->source);
}

static FERRY_CO void close_source(struct download *d)
{
    if (d->open)
        ferryd_clean_up(close_run, d);
}

static FERRY_CO int download(struct download *d)
{
    int r = ferry_buf_new(SMALL, &d->first);
    if (r == 0 && d->args->verify)
        r = ferry_seal_init(&d->seal);
    if (r == 0)
        r = ferryd_block(open_run, d);
    if (r == 0)
        r = d->r;
    if (r < 0)
        return r;

    uint64_t total = d->end - d->next;
    ferry_stream_send_progress(d->call->stream, 0, total);
    if (d->first->len == total)
        r = send_piece(d, 0, ferry_take(&d->first));
    else
        r = pipeline(d);
    return r == 0 ? ferry_seal_finish(&d->seal, d->call->stream) : r;
}

int ferryd_download(struct ferryd_call *c, const fx_download_args *a,
                    fx_download_ret *ret, ferry_error *e)
{
    struct download d = {.call = c, .args = a};
    ferry_sem_init(&d.planning, 1);
    ferry_cond_init(&d.changed);
    bool device;
    int r = ferryd_device_or_file(c, a->path, &device, e);
    if (r == 0 && !device)
        r = ferryd_root_get(c, &d.root, e);
    if (r == 0) {
        r = download(&d);
        if (r < 0)
            ferryd_fail(c, e, r, a->path);
        else
            ret->value = d.bytes;
    }
    close_source(&d);
    ferry_seal_done(&d.seal);
    ferry_buf_unref(d.first);
    ferry_file_unref(d.root);
    return r;
}
