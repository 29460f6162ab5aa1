/* Upload: source -> stream, in the op's task. Its way through the house is in HACKING.md.
 *
 *      source (pool reads) --piece--> stream queue --writer task--> appliance
 *                                     credit bounds what is between
 */
#include "api/call.h"
#include "api/hangup.h"
#include "api/lane.h"
#include "api/meter.h"
#include "api/opts.h"
#include "api/source.h"
#include "api/verify.h"
#include "base/auto.h"
#include "proto/seal.h"

#include <guestferry/transfer.h>

#include "api_calls.h"
#include "ferry_xdr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct upload {
    ferry_source source;
    char *dst;
    ferry_upload_opts opts;
    ferry_vm *vm;
    ferry_stream *stream;
    ferry_seal seal;
    ferry_meter meter;
    uint64_t resume_at,
        resume_stamp; /* of the partial: what was equal, and which it was */
};

static void upload_free(void *arg)
{
    struct upload *u = arg;
    free(u->source.path); /* the rest of it is closed by the op's task */
    free(u->dst);
    free(u);
}

/* ---- on the loop ------------------------------------------------------------------- */

static void read_progress(void *arg, uint64_t *ret_bytes, uint64_t *ret_total)
{
    struct upload *u = arg;
    *ret_bytes = u->resume_at + ferry_stream_acked(u->stream);
    *ret_total = u->source.length ? u->source.length : u->opts.total;
    if (*ret_total && *ret_bytes > *ret_total)
        *ret_bytes = *ret_total; /* the seal is no part of the file */
}

/* A source that does not know its length asks for the lane when it has shown some. */
static FERRY_CO int send_all(struct upload *u, uint64_t *ret_sent, ferry_error *e)
{
    ferry_pace *pace = &u->vm->pace;
    for (;;) {
        ferry_piece p = {0};
        u->source.piece_max = ferry_pace_piece(pace);
        int r = ferry_source_next(&u->source, &p, e);
        if (r < 0)
            return r;
        if (r == 0) {
            return ferry_seal_finish(&u->seal, u->stream);
        }
        ferry_lane_want(u->vm, *ret_sent);
        size_t len = p.data.len;
        *ret_sent += p.hole ? p.hole : len;
        r = p.hole ? ferry_seal_write_hole(&u->seal, u->stream, p.hole)
                   : ferry_seal_write(&u->seal, u->stream,
                                      p.data); /* owns it, even on error */
        if (r == 0)
            r = ferry_pace_pay(pace, &u->meter, len);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int transfer(ferry_op *op, struct upload *u, ferry_error *e)
{
    fx_upload_ret ret = {0};
    ferry_hangup hangup;
    uint64_t sent = 0;

    ferry_op_phase(op, "copying");
    u->meter = (ferry_meter){.op = op,
                             .read = read_progress,
                             .arg = u,
                             .stall_ms = u->opts.stall_ms};
    ferry_meter_start(&u->meter);
    ferry_hangup_watch(&hangup, u->stream, FERRY_HANGUP_REPLY);
    int r = ferry_hangup_end(&hangup, send_all(u, &sent, e));
    if (r == 0) {
        ferry_op_phase(op, "committing");
        u->meter.patient = true;
        r = ferry_call_finish(op, &ferry_desc_upload, u->stream, &ret, e);
    } else {
        r = ferry_call_abort(op, &ferry_desc_upload, u->stream, r, e);
    }
    ferry_meter_stop(&u->meter);
    if (r < 0)
        return ferry_meter_verdict(&u->meter, r, "upload", u->dst, e);
    if (ret.value != sent)
        return ferry_fail(e, -FERRY_EIO, "upload", "%s: %llu bytes sent, %llu written",
                          u->dst, (unsigned long long)sent,
                          (unsigned long long)ret.value);
    atomic_store(&op->total, u->resume_at + sent);
    atomic_store(&op->bytes, u->resume_at + sent);
    return 0;
}

static FERRY_CO int call(ferry_op *op, struct upload *u, ferry_error *e)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_buf *body = NULL;
    fx_upload_args args = {
        .path = u->dst,
        .mode = u->opts.mode,
        .uid = u->opts.uid,
        .gid = u->opts.gid,
        .in_place = u->opts.in_place || u->opts.offset,
        .durable = u->opts.durable != 0,
        .offset = u->opts.offset,
        .total = u->source.length ? u->source.length : u->opts.total,
        .keep = u->opts.keep_partial || u->opts.resume,
        .resume_at = u->resume_at,
        .resume_stamp = u->resume_stamp,
        .verify = u->opts.verify != 0,
    };
    int r = ferry_call_encode(&ferry_desc_upload, &args, &body);
    if (r < 0)
        return ferry_fail(e, r, "upload", "%s: %s", u->dst, ferry_strerror(r));
    r = ferry_call_open(op, &ferry_desc_upload, body, &st, e);
    if (r < 0)
        return r;
    u->stream = u->source.stream = st;
    ferry_lane_want(op->vm, args.total);
    return transfer(op, u, e);
}

/* A source that cannot be read twice has nothing to compare. */
static FERRY_CO int find_partial(ferry_op *op, struct upload *u, ferry_error *e)
{
    ferry_source *s = &u->source;
    ferry_verify v = {.path = u->dst,
                      .partial = true,
                      .file = s->file,
                      .memory = s->memory,
                      .at = s->offset,
                      .length = s->length,
                      .stall_ms = u->opts.stall_ms,
                      .where = "upload"};
    if (s->kind != FERRY_SOURCE_FILE && s->kind != FERRY_SOURCE_MEMORY)
        return 0;
    int r = ferry_verify_run(op, &v, e);
    op->found = op->left.kind == FERRY_LEFT_PARTIAL ? op->left.bytes : 0;
    if (r < 0)
        return r;
    op->resumed = v.same;
    u->resume_at = v.same;
    u->resume_stamp = v.stamp;
    s->offset += v.same;
    return 0;
}

static FERRY_CO int run_upload(ferry_op *op, ferry_error *e)
{
    struct upload *u = op->body;
    u->vm = op->vm;
    int r = ferry_vm_check_up(op->vm, "upload", e);
    if (r < 0)
        return r;
    ferry_op_phase(op, "opening");
    r = ferry_source_open(&u->source, e);
    if (r == 0) {
        atomic_store(&op->total, u->source.length ? u->source.length : u->opts.total);
        if (u->opts.resume)
            r = find_partial(op, u, e);
        if (r == 0 && u->opts.verify)
            r = ferry_seal_init(&u->seal);
        if (r == 0)
            r = call(op, u, e);
        ferry_seal_done(&u->seal);
    }
    ferry_source_done(&u->source);
    return r;
}

/* ---- starting ---------------------------------------------------------------------- */

static int check(ferry_vm *vm, const char *dst, ferry_op **ret_op, ferry_error *e)
{
    if (!vm || !dst || !ret_op)
        return ferry_fail(e, -FERRY_EINVAL, "upload", "%s is NULL",
                          !vm    ? "vm"
                          : !dst ? "dst"
                                 : "ret_op");
    if (dst[0] != '/')
        return ferry_fail(e, -FERRY_EINVAL, "upload",
                          "%s: a path in the image starts with '/'", dst);
    return 0;
}

static int start(ferry_vm *vm, const ferry_source *source, const char *dst,
                 const ferry_upload_opts *opts, ferry_op **ret_op, ferry_error *e)
{
    int r = check(vm, dst, ret_op, e);
    if (r < 0) {
        free(source->path);
        return r;
    }
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        free(source->path);
        return ferry_fail(e, -FERRY_ENOMEM, "upload", "out of memory");
    }
    u->source = *source;
    u->dst = strdup(dst);
    r = u->dst ? ferry_opts_take("upload", "ferry_upload_opts", opts, &u->opts,
                                 sizeof u->opts, e)
               : ferry_fail(e, -FERRY_ENOMEM, "upload", "out of memory");
    if (r == 0 && u->opts.resume && (u->opts.in_place || u->opts.offset))
        r = ferry_fail(e, -FERRY_EINVAL, "upload",
                       "resume: not in place; go on with offset and the rest of the "
                       "source");
    ferry_rank rank = FERRY_RANK_NORMAL;
    if (r == 0)
        r = ferry_opts_rank("upload", u->opts.priority, &rank, e);
    if (r < 0) {
        upload_free(u);
        return r;
    }
    ferry_op *op = NULL;
    r = ferry_op_new(vm, "upload", run_upload, u, upload_free, &op, e);
    if (r < 0)
        return r;
    op->rank = rank;
    return ferry_op_submit(op, ret_op, e);
}

int ferry_upload_start(ferry_vm *vm, const char *src, const char *dst,
                       const ferry_upload_opts *opts, ferry_op **ret_op,
                       ferry_error *reterr)
{
    if (!src)
        return ferry_fail(reterr, -FERRY_EINVAL, "upload", "src is NULL");
    ferry_source s = {.path = strdup(src), .fd = -1};
    if (!s.path)
        return ferry_fail(reterr, -FERRY_ENOMEM, "upload", "out of memory");
    return start(vm, &s, dst, opts, ret_op, reterr);
}

int ferry_upload_fd_start(ferry_vm *vm, int fd, const char *dst,
                          const ferry_upload_opts *opts, ferry_op **ret_op,
                          ferry_error *reterr)
{
    if (fd < 0)
        return ferry_fail(reterr, -FERRY_EINVAL, "upload", "fd is %d", fd);
    ferry_source s = {.fd = fd};
    return start(vm, &s, dst, opts, ret_op, reterr);
}

int ferry_upload_mem_start(ferry_vm *vm, const void *data, size_t len, const char *dst,
                           const ferry_upload_opts *opts, ferry_op **ret_op,
                           ferry_error *reterr)
{
    if (!data && len)
        return ferry_fail(reterr, -FERRY_EINVAL, "upload", "data is NULL");
    ferry_source s = {.fd = -1,
                      .memory = data ? data : (const uint8_t *)"",
                      .end = len,
                      .length = len};
    return start(vm, &s, dst, opts, ret_op, reterr);
}
