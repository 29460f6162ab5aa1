/* See verify.h. Called by upload.c and download.c. */
#include "api/verify.h"

#include "api/call.h"
#include "api/meter.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/bytes.h"
#include "base/digest.h"

#include "api_calls.h"
#include "ferry_xdr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof((ferry_verify *)0)->theirs == FERRY_DIGEST_SIZE, "a digest fits");

#define STAMP_SIZE 8

/* ---- our side ------------------------------------------------------------------------ */

struct piece_job {
    ferry_job job;
    ferry_file *file; /* NULL: the bytes are here already */
    ferry_buf *buf;
    uint64_t at;
    uint8_t digest[FERRY_DIGEST_SIZE];
    int result;
};

/* -ECHANGED: it is shorter than it was. */
static int read_piece(struct piece_job *j)
{
    ferry_buf *b = j->buf;
    while (b->len < FERRY_DIGEST_PIECE) {
        ssize_t n = pread(j->file->fd, b->data + b->len, FERRY_DIGEST_PIECE - b->len,
                          (off_t)(j->at + b->len));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -FERRY_ECHANGED;
        b->len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void run_piece(ferry_job *job)
{
    struct piece_job *j = ferry_container(job, struct piece_job, job);
    if (j->file)
        j->result = read_piece(j);
    if (j->result == 0)
        ferry_digest(j->buf->data, j->buf->len, j->digest);
}

static void free_piece(ferry_job *job)
{
    struct piece_job *j = ferry_container(job, struct piece_job, job);
    ferry_file_unref(j->file);
    ferry_buf_unref(j->buf);
    free(j);
}

/* Memory is copied: the caller may free it when the op has ended, and then the job may still run. */
static int fill_job(const ferry_verify *v, struct piece_job *j)
{
    uint64_t at = v->at + v->same;
    if (v->memory)
        return ferry_buf_copy(v->memory + at, FERRY_DIGEST_PIECE, &j->buf);
    j->file = ferry_file_ref(v->file);
    j->at = at;
    return ferry_buf_new(FERRY_DIGEST_PIECE, &j->buf);
}

static FERRY_CO int compare(ferry_verify *v)
{
    struct piece_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run_piece, free_piece);
    int r = fill_job(v, j);
    if (r == 0)
        r = ferry_work(&j->job, FERRY_WORK_BULK);
    if (r == 0)
        r = j->result;
    if (r == 0 && memcmp(j->digest, v->theirs, sizeof v->theirs) == 0)
        v->same += FERRY_DIGEST_PIECE;
    else if (r == 0 || r == -FERRY_ECHANGED)
        v->differs = true;
    ferry_job_unref(&j->job);
    return r == -FERRY_ECHANGED ? 0 : r;
}

/* ---- theirs -------------------------------------------------------------------------- */

/* More digests than were asked for are none of our file. */
static FERRY_CO int take_record(ferry_verify *v)
{
    v->have = 0;
    if (!v->stamped) {
        v->stamp = ferry_get64(v->theirs);
        v->stamped = true;
        return 0;
    }
    return v->length - v->same < FERRY_DIGEST_PIECE ? -FERRY_EPROTO : compare(v);
}

/* A record may lie across frames. */
static FERRY_CO int take_bytes(ferry_verify *v, ferry_slice s)
{
    int r = 0;
    while (r == 0 && s.len > 0 && !v->differs) {
        size_t whole = v->stamped ? FERRY_DIGEST_SIZE : STAMP_SIZE;
        size_t n = whole - v->have < s.len ? whole - v->have : s.len;
        memcpy(v->theirs + v->have, s.data, n);
        v->have += n;
        s.data += n;
        s.len -= n;
        if (v->have == whole)
            r = take_record(v);
    }
    return r;
}

static FERRY_CO int compare_all(ferry_verify *v)
{
    while (!v->differs) {
        ferry_piece p = {0};
        int r = ferry_stream_read(v->stream, &p);
        if (r <= 0)
            return r;
        r = p.hole ? -FERRY_EPROTO : take_bytes(v, p.data);
        ferry_slice_done(&p.data);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the call ------------------------------------------------------------------------ */

static void read_progress(void *arg, uint64_t *ret_bytes, uint64_t *ret_total)
{
    ferry_verify *v = arg;
    uint64_t done;
    *ret_bytes = v->same;
    ferry_stream_progress(v->stream, &done, ret_total);
}

/* The first difference is all we wanted to know: the daemon need not read the rest. */
static FERRY_CO int end_call(ferry_op *op, ferry_verify *v, int r, ferry_error *e)
{
    fx_digests_ret ret = {0};
    ferry_error none = {0};
    if (r == 0 && !v->differs)
        return ferry_call_finish(op, &ferry_desc_digests, v->stream, &ret, e);
    if (r < 0)
        return ferry_call_abort(op, &ferry_desc_digests, v->stream, r, e);
    ferry_call_abort(op, &ferry_desc_digests, v->stream, -FERRY_ECANCELED, &none);
    return ferry_cancelled();
}

static FERRY_CO int verify(ferry_op *op, ferry_verify *v, ferry_error *e)
{
    ferry_meter meter = {.op = op,
                         .read = read_progress,
                         .arg = v,
                         .stall_ms = v->stall_ms};
    ferry_op_phase(op, "verifying");
    ferry_meter_start(&meter);
    int r = end_call(op, v, compare_all(v), e);
    ferry_meter_stop(&meter);
    if (r < 0 && e->code != r && !ferry_cancelled())
        ferry_fail(e, r, v->where, "%s: verifying: %s", v->path, ferry_strerror(r));
    return ferry_meter_verdict(&meter, r, v->where, v->path, e);
}

int ferry_verify_run(ferry_op *op, ferry_verify *v, ferry_error *e)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_buf *body = NULL;
    fx_digests_args args = {.path = (char *)(uintptr_t)v->path,
                            .partial = v->partial,
                            .offset = v->offset,
                            .length = v->length};
    int r = ferry_call_encode(&ferry_desc_digests, &args, &body);
    if (r < 0)
        return ferry_fail(e, r, v->where, "%s: %s", v->path, ferry_strerror(r));
    r = ferry_call_open(op, &ferry_desc_digests, body, &st, e);
    if (r < 0)
        return r;
    v->stream = st;
    return verify(op, v, e);
}
