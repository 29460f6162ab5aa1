/* ferry_copy_out: a tree of the image to the host, in the op's task. What comes is hostile: builder.h.
 *
 *      appliance --reader task--> stream queue --piece--> steps (pool writes)
 */
#include "api/copy.h"
#include "api/hangup.h"
#include "base/auto.h"

#include "api_calls.h"
#include "ferry_xdr.h"

#include <fcntl.h>
#include <string.h>

/* ---- steps, on the pool ------------------------------------------------------------------------ */

static int problem(void *user, const char *path, int code)
{
    return ferry_tree_work_problem(user, path, code);
}

/* Without root's rights nobody can be given files, which is no failure of the copy. */
static int open_step(ferry_tree_work *w, ferry_slice *piece)
{
    (void)piece;
    const ferry_tree_builder_opts o = {
        .keep = w->keep,
        .no_owners = geteuid() != 0,
        .stop = &w->stop,
        .problem = problem,
        .user = w,
    };
    int dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : ferry_tree_builder_new(dir, w->name, &o, &w->builder);
}

static int build_step(ferry_tree_work *w, ferry_slice *piece)
{
    return ferry_tree_build(w->builder, piece->data, piece->len);
}

static int end_step(ferry_tree_work *w, ferry_slice *piece)
{
    (void)piece;
    return ferry_tree_build_end(w->builder);
}

/* ---- on the loop ---------------------------------------------------------------------------------- */

/* `made` may be a step old: a number is read while the pool counts it up. */
static void note(ferry_op *op)
{
    const ferry_copy *c = op->body;
    const ferry_tree_made *made = ferry_tree_builder_made(c->work->builder);
    atomic_store(&op->files, made->files);
    atomic_store(&op->total_files, made->total_files);
    atomic_store(&op->bytes, made->bytes);
    atomic_store(&op->total, made->total_bytes);
}

static void read_progress(void *arg, uint64_t *ret_bytes, uint64_t *ret_total)
{
    ferry_op *op = arg;
    *ret_bytes = atomic_load(&op->bytes);
    *ret_total = atomic_load(&op->total);
}

static int broken(ferry_op *op, int r, ferry_error *e)
{
    if (r != -FERRY_EPROTO)
        return ferry_copy_failed(op->body, "copy_out", r, e);
    return ferry_fail(e, r, "copy_out", "the daemon sent what is no tree of files");
}

static FERRY_CO int receive_all(ferry_op *op, ferry_copy *c, ferry_error *e)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_seal_read(&c->seal, c->stream, &p);
        if (c->seal.broken)
            return ferry_fail(e, -FERRY_EIO, "copy_out", "%s: " FERRY_SEAL_BROKEN,
                              c->work->src);
        if (r <= 0)
            return r;
        size_t len = p.data.len;
        r = p.hole ? -FERRY_EPROTO : ferry_tree_work_step(c->work, build_step, &p.data);
        ferry_slice_done(&p.data);
        if (r < 0)
            return broken(op, r, e);
        note(op);
        r = ferry_pace_pay(&op->vm->pace, &c->meter, len);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int transfer(ferry_op *op, ferry_copy *c, ferry_error *e)
{
    fx_copy_out_ret ret = {0};
    ferry_hangup hangup;

    ferry_op_phase(op, "copying");
    c->meter = (ferry_meter){.op = op, .read = read_progress, .arg = op};
    ferry_meter_start(&c->meter);
    ferry_hangup_watch(&hangup, c->stream, FERRY_HANGUP_LOSS);
    int r = ferry_hangup_end(&hangup, receive_all(op, c, e));
    r = r == 0 ? ferry_call_finish(op, &ferry_desc_copy_out, c->stream, &ret, e)
               : ferry_call_abort(op, &ferry_desc_copy_out, c->stream, r, e);
    if (r == 0) {
        r = ferry_tree_work_step(c->work, end_step, NULL);
        r = r < 0 ? broken(op, r, e) : 0;
    }
    if (r == -FERRY_EPROTO)
        ferry_vm_condemn(op->vm, "the daemon sent what is no tree of files");
    ferry_meter_stop(&c->meter);
    return r;
}

static FERRY_CO int call(ferry_op *op, ferry_copy *c, ferry_error *e)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_buf *body = NULL;
    fx_copy_out_args args = {.path = c->work->src,
                             .keep = c->work->keep,
                             .count = true,
                             .verify = c->opts.verify != 0};
    int r = ferry_call_encode(&ferry_desc_copy_out, &args, &body);
    if (r < 0)
        return ferry_fail(e, r, "copy_out", "%s: %s", c->work->src, ferry_strerror(r));
    r = ferry_call_open(op, &ferry_desc_copy_out, body, &st, e);
    if (r < 0)
        return r;
    c->stream = st;
    return transfer(op, c, e);
}

static FERRY_CO int run_copy_out(ferry_op *op, ferry_error *e)
{
    ferry_copy *c = op->body;
    int r = ferry_vm_check_up(op->vm, "copy_out", e);
    if (r < 0)
        return r;
    ferry_op_phase(op, "opening");
    r = ferry_tree_work_step(c->work, open_step, NULL);
    if (r == 0 && c->opts.verify)
        r = ferry_seal_init(&c->seal);
    if (r == 0)
        r = call(op, c, e);
    else if (r != -FERRY_ECANCELED && r != -FERRY_ETIMEDOUT)
        ferry_fail(e, r, "copy_out", "%s: %s", c->work->dir, ferry_strerror(r));
    ferry_seal_done(&c->seal);
    if (r < 0)
        ferry_tree_work_drop(c->work);
    return r;
}

int ferry_copy_out_start(ferry_vm *vm, const char *remotepath, const char *localdir,
                         const ferry_copy_opts *opts, ferry_op **ret_op,
                         ferry_error *reterr)
{
    return ferry_copy_start(vm, "copy_out", run_copy_out, remotepath, localdir,
                            remotepath, opts, ret_op, reterr);
}
