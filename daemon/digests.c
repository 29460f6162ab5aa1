/* digests: what a file, or the partial of an upload to it, has in it, a digest a piece
 * (base/digest.h). A partial is also told as what is left: it is there until an upload takes it up. */
#include "source.h"
#include "target.h"

#include "base/auto.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"

#include <string.h>

struct digests {
    struct ferryd_call *call;
    const fx_digests_args *args;
    ferry_file *root; /* NULL: a device */
    struct ferryd_source source;
    bool open;
    uint64_t stamp;
    uint64_t next, end;
    ferry_buf *piece;
    uint8_t digest[FERRY_DIGEST_SIZE];
    int r; /* of a job */
};

/* ---- opening ----------------------------------------------------------------------------- */

/* Locked as long as it is open. */
static int open_partial(struct digests *d)
{
    int fd = ferryd_partial_open(d->root->fd, d->args->path, &d->call->left.path);
    if (fd < 0)
        return fd;
    int r = ferryd_source_take(fd, &d->source);
    d->open = r == 0;
    return r;
}

static int open_file(struct digests *d)
{
    int root = d->root ? d->root->fd : -1;
    int r = ferryd_source_open(root, d->args->path, &d->source);
    d->open = r == 0;
    return r;
}

static int look(struct digests *d)
{
    struct stat st;
    uint64_t size = d->source.size, offset = d->args->offset;
    if (fstat(d->source.fd, &st) < 0)
        return -errno;
    d->stamp = ferryd_stamp(&st);
    d->next = offset < size ? offset : size;
    d->end = d->args->length < size - d->next ? d->next + d->args->length : size;
    if (d->args->partial && size > 0) {
        d->call->left.kind = FERRY_LEFT_PARTIAL;
        d->call->left.bytes = size;
    }
    return 0;
}

static void open_run(void *arg)
{
    struct digests *d = arg;
    d->r = d->args->partial ? open_partial(d) : open_file(d);
    if (d->r == -ENOENT && d->args->partial)
        d->r = 0; /* none is no error */
    if (d->r == 0 && d->open)
        d->r = look(d);
}

static void close_run(void *arg)
{
    struct digests *d = arg;
    ferryd_source_close(&d->source);
}

/* ---- pieces ------------------------------------------------------------------------------- */

static void piece_run(void *arg)
{
    struct digests *d = arg;
    d->r = ferryd_source_read(&d->source, d->piece, FERRY_DIGEST_PIECE, d->next);
    if (d->r == 0 && d->piece->len < FERRY_DIGEST_PIECE)
        d->r = -FERRY_ECHANGED; /* truncated under us */
    if (d->r == 0)
        ferry_digest(d->piece->data, d->piece->len, d->digest);
}

static FERRY_CO int send_bytes(struct digests *d, const void *data, size_t len)
{
    ferry_buf *b;
    int r = ferry_buf_copy(data, len, &b);
    if (r < 0)
        return r;
    return ferry_stream_write(d->call->stream, (ferry_slice){b, b->data, b->len});
}

/* One by one: the host may have seen enough after the first that differs. */
static FERRY_CO int send_pieces(struct digests *d)
{
    uint8_t stamp[8];
    ferry_put64(stamp, d->stamp);
    int r = send_bytes(d, stamp, sizeof stamp);
    if (r == 0)
        r = ferry_buf_new(FERRY_DIGEST_PIECE, &d->piece);
    while (r == 0 && d->end - d->next >= FERRY_DIGEST_PIECE) {
        r = ferryd_block_bulk(piece_run, d);
        if (r == 0)
            r = d->r;
        if (r == 0)
            r = send_bytes(d, d->digest, sizeof d->digest);
        d->next += FERRY_DIGEST_PIECE;
    }
    return r;
}

static FERRY_CO int digests(struct digests *d)
{
    int r = ferryd_block(open_run, d);
    if (r == 0)
        r = d->r;
    if (r == 0 && d->open) {
        ferry_stream_send_progress(d->call->stream, 0, d->end - d->next);
        r = send_pieces(d);
    }
    if (r == 0)
        ferry_stream_finish(d->call->stream);
    return r;
}

/* ---- the call -------------------------------------------------------------------------------- */

static FERRY_CO void close_source(struct digests *d)
{
    if (d->open)
        ferryd_clean_up(close_run, d);
}

int ferryd_digests(struct ferryd_call *c, const fx_digests_args *a, fx_digests_ret *ret,
                   ferry_error *e)
{
    struct digests d = {.call = c, .args = a};
    bool device;
    int r = ferryd_device_or_file(c, a->path, &device, e);
    if (r == 0 && device && a->partial)
        r = ferryd_failf(c, e, -EINVAL,
                         "%s: a device has no partial; go on with offset", a->path);
    if (r == 0 && !device)
        r = ferryd_root_get(c, &d.root, e);
    if (r == 0) {
        r = digests(&d);
        if (r < 0)
            ferryd_fail(c, e, r, a->path);
        else
            ret->value = d.open ? d.source.size : 0;
    }
    close_source(&d);
    ferry_buf_unref(d.piece);
    ferry_file_unref(d.root);
    return r;
}
