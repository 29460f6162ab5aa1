/* Download: stream -> sink, in the op's task.
 *
 *      appliance --reader task--> stream queue --piece--> sink (pool writes)
 *                                 a piece's credit goes back when it is written
 */
#include "api/call.h"
#include "api/hangup.h"
#include "api/lane.h"
#include "api/meter.h"
#include "api/opts.h"
#include "api/sink.h"
#include "api/sink_keep.h"
#include "api/verify.h"
#include "base/auto.h"
#include "proto/seal.h"

#include <guestferry/transfer.h>

#include "api_calls.h"
#include "ferry_xdr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Default of ferry_download_opts.max_bytes. */
#define MEMORY_MAX (1024 * 1024 * 1024)

struct download {
    char *src;
    ferry_sink sink;
    ferry_download_opts opts;
    ferry_vm *vm;
    ferry_stream *stream;
    ferry_seal seal;
    ferry_meter meter;
    uint64_t begin;    /* of the part that was asked for: had already, by `resume` */
    uint64_t received; /* behind that */
    uint64_t written;  /* of what was received */
    bool verified;     /* a partial that was found is being gone on with */
    void *data;        /* memory: the result */
    size_t len;
};

static void download_free(void *arg)
{
    struct download *d = arg;
    free(d->sink.path); /* the rest of it is closed by the op's task */
    free(d->data);
    free(d->src);
    free(d);
}

/* ---- on the loop ------------------------------------------------------------------- */

static void read_progress(void *arg, uint64_t *ret_bytes, uint64_t *ret_total)
{
    struct download *d = arg;
    uint64_t done;
    *ret_bytes = d->begin + d->received;
    ferry_stream_progress(d->stream, &done, ret_total);
    if (*ret_total)
        *ret_total += d->begin;
}

/* The daemon tells the size before the first byte. */
static void want_lane(struct download *d)
{
    uint64_t done, total;
    ferry_stream_progress(d->stream, &done, &total);
    ferry_lane_want(d->vm, total);
}

static FERRY_CO int receive_all(struct download *d, ferry_error *e)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_seal_read(&d->seal, d->stream, &p);
        if (d->seal.broken)
            return ferry_fail(e, -FERRY_EIO, "download", "%s: " FERRY_SEAL_BROKEN,
                              d->src);
        if (r <= 0)
            return r;
        want_lane(d);
        r = ferry_sink_write(&d->sink, &p, e);
        size_t len = p.data.len;
        d->received += p.hole ? p.hole : len;
        ferry_slice_done(&p.data);
        if (r < 0)
            return r;
        d->written = d->received;
        r = ferry_pace_pay(&d->vm->pace, &d->meter, len);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int transfer(ferry_op *op, struct download *d, ferry_error *e)
{
    fx_download_ret ret = {0};
    ferry_hangup hangup;

    ferry_op_phase(op, "copying");
    d->meter = (ferry_meter){.op = op,
                             .read = read_progress,
                             .arg = d,
                             .stall_ms = d->opts.stall_ms};
    ferry_meter_start(&d->meter);
    ferry_hangup_watch(&hangup, d->stream, FERRY_HANGUP_LOSS);
    int r = ferry_hangup_end(&hangup, receive_all(d, e));
    r = r == 0 ? ferry_call_finish(op, &ferry_desc_download, d->stream, &ret, e)
               : ferry_call_abort(op, &ferry_desc_download, d->stream, r, e);
    ferry_meter_stop(&d->meter);
    if (r < 0)
        return ferry_meter_verdict(&d->meter, r, "download", d->src, e);
    if (ret.value != d->received)
        return ferry_fail(e, -FERRY_EPROTO, "download",
                          "%s: %llu bytes sent, %llu arrived", d->src,
                          (unsigned long long)ret.value,
                          (unsigned long long)d->received);
    ferry_op_phase(op, "committing");
    r = ferry_sink_commit(&d->sink, e);
    if (r < 0)
        return r;
    atomic_store(&op->total, d->begin + d->received);
    atomic_store(&op->bytes, d->begin + d->received);
    return 0;
}

static FERRY_CO int call(ferry_op *op, struct download *d, ferry_error *e)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_buf *body = NULL;
    fx_download_args args = {.path = d->src,
                             .offset = d->opts.offset + d->begin,
                             .length = d->opts.length ? d->opts.length - d->begin : 0,
                             .verify = d->opts.verify != 0};
    int r = ferry_call_encode(&ferry_desc_download, &args, &body);
    if (r < 0)
        return ferry_fail(e, r, "download", "%s: %s", d->src, ferry_strerror(r));
    r = ferry_call_open(op, &ferry_desc_download, body, &st, e);
    if (r < 0)
        return r;
    d->stream = st;
    return transfer(op, d, e);
}

/* Compares the partial with the file, and cuts it where it differs. Of the part that was asked for
 * at least one byte is left to come: a length of 0 would mean all. */
static FERRY_CO int take_up(ferry_op *op, struct download *d, ferry_error *e)
{
    ferry_sink *s = &d->sink;
    uint64_t most = d->opts.length ? d->opts.length - 1 : UINT64_MAX;
    ferry_verify v = {.path = d->src,
                      .offset = d->opts.offset,
                      .file = s->file,
                      .length = s->found < most ? s->found : most,
                      .stall_ms = d->opts.stall_ms,
                      .where = "download"};
    op->found = s->found;
    int r = ferry_verify_run(op, &v, e);
    if (r < 0)
        return r;
    d->verified = true;
    op->resumed = d->begin = s->offset = v.same;
    r = ferry_fs_truncate(s->file, v.same);
    return r < 0 ? ferry_fail(e, r, "download", "%s: %s", s->path, ferry_strerror(r))
                 : 0;
}

static FERRY_CO void leave_temporary(ferry_op *op, struct download *d)
{
    ferry_sink *s = &d->sink;
    char *path = NULL;
    int r = -ENODATA;
    if (s->resumed && !d->verified) { /* as it was found */
        ferry_op_leave(op, FERRY_LEFT_PARTIAL, s->found, strdup(s->temporary));
        return;
    }
    if (s->keep && s->file)
        r = ferry_sink_keep(s, &path);
    if (r == 0)
        ferry_op_leave(op, FERRY_LEFT_PARTIAL, s->offset, path);
    else
        ferry_op_leave(op,
                       r == -FERRY_ETIMEDOUT ? FERRY_LEFT_UNKNOWN : FERRY_LEFT_NOTHING,
                       0, NULL);
}

static FERRY_CO void leave(ferry_op *op, struct download *d, int r)
{
    ferry_sink *s = &d->sink;
    bool whole = s->kind == FERRY_SINK_MEMORY || s->kind == FERRY_SINK_TEMPORARY;
    if (r < 0 && s->kind == FERRY_SINK_TEMPORARY && !s->installed)
        leave_temporary(op, d);
    else if (r < 0 && s->installed) /* its fsync has failed */
        ferry_op_leave(op, FERRY_LEFT_WRITTEN, d->begin + d->written, NULL);
    else
        ferry_op_leave(op, whole ? FERRY_LEFT_NOTHING : FERRY_LEFT_WRITTEN,
                       whole ? 0 : d->written, NULL);
}

static FERRY_CO int run_download(ferry_op *op, ferry_error *e)
{
    struct download *d = op->body;
    d->vm = op->vm;
    int r = ferry_vm_check_up(op->vm, "download", e);
    if (r < 0)
        return r;
    ferry_op_phase(op, "opening");
    r = ferry_sink_open(&d->sink, e);
    if (r == 0 && d->sink.resumed)
        r = take_up(op, d, e);
    if (r == 0 && d->opts.verify)
        r = ferry_seal_init(&d->seal);
    if (r == 0)
        r = call(op, d, e);
    ferry_seal_done(&d->seal);
    if (r == 0 && d->sink.kind == FERRY_SINK_MEMORY) {
        d->len = (size_t)d->sink.offset;
        d->data = ferry_take(&d->sink.memory);
    }
    leave(op, d, r);
    ferry_sink_done(&d->sink);
    return r;
}

/* ---- starting ---------------------------------------------------------------------- */

static int check(ferry_vm *vm, const char *src, ferry_op **ret_op, ferry_error *e)
{
    if (!vm || !src || !ret_op)
        return ferry_fail(e, -FERRY_EINVAL, "download", "%s is NULL",
                          !vm    ? "vm"
                          : !src ? "src"
                                 : "ret_op");
    if (src[0] != '/')
        return ferry_fail(e, -FERRY_EINVAL, "download",
                          "%s: a path in the image starts with '/'", src);
    return 0;
}

static int start(ferry_vm *vm, const char *src, const ferry_sink *sink,
                 const ferry_download_opts *opts, ferry_op **ret_op, ferry_error *e)
{
    int r = check(vm, src, ret_op, e);
    if (r < 0) {
        free(sink->path);
        return r;
    }
    struct download *d = calloc(1, sizeof *d);
    if (!d) {
        free(sink->path);
        return ferry_fail(e, -FERRY_ENOMEM, "download", "out of memory");
    }
    d->sink = *sink;
    d->src = strdup(src);
    r = d->src ? ferry_opts_take("download", "ferry_download_opts", opts, &d->opts,
                                 sizeof d->opts, e)
               : ferry_fail(e, -FERRY_ENOMEM, "download", "out of memory");
    ferry_rank rank = FERRY_RANK_NORMAL;
    if (r == 0)
        r = ferry_opts_rank("download", d->opts.priority, &rank, e);
    if (r < 0) {
        download_free(d);
        return r;
    }
    d->sink.mode = d->opts.mode;
    d->sink.durable = d->opts.durable != 0;
    d->sink.keep = d->opts.keep_partial || d->opts.resume;
    d->sink.resume = d->opts.resume != 0;
    d->sink.max_bytes = d->opts.max_bytes ? d->opts.max_bytes : MEMORY_MAX;
    ferry_op *op = NULL;
    r = ferry_op_new(vm, "download", run_download, d, download_free, &op, e);
    if (r < 0)
        return r;
    op->rank = rank;
    return ferry_op_submit(op, ret_op, e);
}

int ferry_download_start(ferry_vm *vm, const char *src, const char *dst,
                         const ferry_download_opts *opts, ferry_op **ret_op,
                         ferry_error *reterr)
{
    if (!dst)
        return ferry_fail(reterr, -FERRY_EINVAL, "download", "dst is NULL");
    ferry_sink s = {.path = strdup(dst), .fd = -1};
    if (!s.path)
        return ferry_fail(reterr, -FERRY_ENOMEM, "download", "out of memory");
    return start(vm, src, &s, opts, ret_op, reterr);
}

int ferry_download_fd_start(ferry_vm *vm, const char *src, int fd,
                            const ferry_download_opts *opts, ferry_op **ret_op,
                            ferry_error *reterr)
{
    if (fd < 0)
        return ferry_fail(reterr, -FERRY_EINVAL, "download", "fd is %d", fd);
    ferry_sink s = {.fd = fd};
    return start(vm, src, &s, opts, ret_op, reterr);
}

int ferry_download_mem_start(ferry_vm *vm, const char *src,
                             const ferry_download_opts *opts, ferry_op **ret_op,
                             ferry_error *reterr)
{
    ferry_sink s = {.fd = -1};
    return start(vm, src, &s, opts, ret_op, reterr);
}

int ferry_download_mem_result(ferry_op *op, void **ret_data, size_t *ret_len,
                              ferry_error *reterr)
{
    if (op->run != run_download)
        return ferry_fail(reterr, -FERRY_EINVAL, "download",
                          "the op is of another call: %s", op->name);
    int r = ferry_op_error(op, reterr);
    if (r < 0)
        return r;
    struct download *d = op->body;
    if (!d->data)
        return ferry_fail(
            reterr, -FERRY_EINVAL, "download",
            "the op does not download to memory, or its result was taken");
    *ret_data = ferry_take(&d->data);
    *ret_len = d->len;
    return 0;
}
