/* ferry_copy_in: a tree of the host into the image, in the op's task.
 *
 *      steps (pool reads) --piece--> stream queue --writer task--> appliance
 *      problems <----------------- listener task <---- records, PROGRESS
 */
#include "api/copy.h"
#include "api/hangup.h"
#include "base/auto.h"
#include "tree/parser.h"

#include "api_calls.h"
#include "ferry_xdr.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- steps, on the pool --------------------------------------------------------------------- */

static void problem(void *user, const char *path, int code)
{
    ferry_tree_work *w = user;
    int r = ferry_tree_work_problem(w, path, code);
    if (r < 0)
        atomic_store(&w->stop, r);
}

/* The directory the tree is in, and its name there; "." of what ends in a slash. */
static int open_parent(const char *path, char **ret_name)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    bool whole = !*last || strcmp(last, ".") == 0;
    FERRY_AUTO(mem) char *dir =
        whole ? strdup(path) : strndup(path, (size_t)(last - path));
    FERRY_AUTO(mem) char *name = strdup(whole ? "." : last);
    if (!dir || !name)
        return -ENOMEM;
    int fd = open(*dir ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_name = ferry_take(&name);
    return fd;
}

static int open_step(ferry_tree_work *w, ferry_slice *piece)
{
    (void)piece;
    FERRY_AUTO(mem) char *name = NULL;
    FERRY_AUTO(fd) int dir = open_parent(w->src, &name);
    const ferry_tree_reader_opts o = {
        .keep = w->keep,
        .count = true,
        .skip = w->disks,
        .nskip = w->ndisks,
        .stop = &w->stop,
        .problem = problem,
        .user = w,
    };
    return dir < 0 ? dir : ferry_tree_reader_new(dir, name, &o, &w->reader);
}

/* The piece's buffer is empty, and the step's alone. */
static int read_step(ferry_tree_work *w, ferry_slice *piece)
{
    return ferry_tree_read(w->reader, piece->buf);
}

/* ---- on the loop ------------------------------------------------------------------------------ */

static void read_progress(void *arg, uint64_t *ret_bytes, uint64_t *ret_total)
{
    ferry_op *op = arg;
    const ferry_copy *c = op->body;
    uint64_t files = 0;
    ferry_stream_progress(c->stream, ret_bytes, &files);
    atomic_store(&op->files, files);
    *ret_total = atomic_load(&op->total);
}

/* Between steps: a reader that runs is the pool's. */
static void note_total(ferry_op *op, const ferry_copy *c)
{
    uint64_t files, bytes;
    ferry_tree_reader_total(c->work->reader, &files, &bytes);
    atomic_store(&op->total_files, files);
    atomic_store(&op->total, bytes);
}

static FERRY_CO int send_all(ferry_op *op, ferry_copy *c, ferry_error *e)
{
    for (int more = 1; more;) {
        FERRY_AUTO(buf) ferry_buf *b = NULL;
        int r = ferry_buf_new(FERRY_TREE_PIECE, &b);
        if (r < 0)
            return r;
        ferry_slice piece = {b, b->data, 0};
        more = ferry_tree_work_step(c->work, read_step, &piece);
        if (more < 0)
            return ferry_copy_failed(c, "copy_in", more, e);
        note_total(op, c);
        if (b->len == 0)
            continue;
        ferry_slice all = {b, b->data, b->len};
        ferry_take(&b);
        r = ferry_seal_write(&c->seal, c->stream, all);
        if (r == 0)
            r = ferry_pace_pay(&op->vm->pace, &c->meter, all.len);
        if (r < 0)
            return r;
    }
    return ferry_seal_finish(&c->seal, c->stream);
}

/* A record of the daemon's. It sends nothing but what was left out. */
static int hear(void *user, const ferry_tree_record *r)
{
    ferry_copy *c = user;
    if (r->type != FERRY_TREE_PROBLEM)
        return -FERRY_EPROTO;
    (void)ferry_tree_work_problem(c->work, r->name, r->code);
    return 0;
}

static FERRY_CO int listen_to(ferry_copy *c, ferry_tree_parser *parser)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_stream_read(c->stream, &p);
        if (r == 0)
            return ferry_tree_parser_is_between(parser) ? 0 : -FERRY_EPROTO;
        if (r < 0)
            return r;
        r = p.hole ? -FERRY_EPROTO : ferry_tree_parse(parser, p.data.data, p.data.len);
        ferry_slice_done(&p.data);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int listener(void *arg)
{
    ferry_copy *c = arg;
    FERRY_AUTO(mem) ferry_tree_parser *parser = calloc(1, sizeof *parser);
    if (parser)
        *parser = (ferry_tree_parser){.record = hear, .user = c};
    c->heard = parser ? listen_to(c, parser) : -ENOMEM;
    if (c->heard == -FERRY_EPROTO)
        ferry_stream_reset(c->stream, -FERRY_EPROTO);
    return 0;
}

static FERRY_CO int transfer(ferry_op *op, ferry_copy *c, ferry_error *e)
{
    fx_copy_in_ret ret = {0};
    ferry_hangup hangup;
    ferry_scope listening;

    ferry_op_phase(op, "copying");
    c->meter = (ferry_meter){.op = op, .read = read_progress, .arg = op};
    ferry_meter_start(&c->meter);
    ferry_scope_open(&listening, 0);
    int r = ferry_spawn(&listening, "copy_in listener", listener, c);
    if (r == 0) {
        ferry_hangup_watch(&hangup, c->stream, FERRY_HANGUP_REPLY);
        r = ferry_hangup_end(&hangup, send_all(op, c, e));
    }
    r = r == 0 ? ferry_call_finish(op, &ferry_desc_copy_in, c->stream, &ret, e)
               : ferry_call_abort(op, &ferry_desc_copy_in, c->stream, r, e);
    ferry_scope_join(&listening);
    ferry_meter_stop(&c->meter);
    if (c->heard == -FERRY_EPROTO) {
        ferry_vm_condemn(op->vm, "the daemon sent records that cannot be");
        return ferry_fail(e, -FERRY_EPROTO, "copy_in",
                          "the daemon sent records that cannot be");
    }
    if (r == 0)
        atomic_store(&op->files, ret.value);
    return r;
}

static FERRY_CO int call(ferry_op *op, ferry_copy *c, ferry_error *e)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_buf *body = NULL;
    fx_copy_in_args args = {.directory = c->work->dir,
                            .name = c->work->name,
                            .keep = c->work->keep,
                            .keep_going = c->opts.keep_going != 0,
                            .verify = c->opts.verify != 0};
    int r = ferry_call_encode(&ferry_desc_copy_in, &args, &body);
    if (r < 0)
        return ferry_fail(e, r, "copy_in", "%s: %s", c->work->dir, ferry_strerror(r));
    r = ferry_call_open(op, &ferry_desc_copy_in, body, &st, e);
    if (r < 0)
        return r;
    c->stream = st;
    return transfer(op, c, e);
}

/* The VM's own disks, which may lie in the tree, would be read while they grow. */
static int list_disks(ferry_vm *vm, ferry_tree_work *w)
{
    pthread_mutex_lock(&vm->lock);
    w->disks = calloc(vm->spec.ndrives + 1, sizeof *w->disks);
    for (unsigned i = 0; w->disks && i < vm->spec.ndrives; i++) {
        struct stat st;
        const char *path = vm->spec.drives[i].path;
        if (path && stat(path, &st) == 0)
            w->disks[w->ndisks++] = (ferry_tree_id){st.st_dev, st.st_ino};
    }
    pthread_mutex_unlock(&vm->lock);
    return w->disks ? 0 : -ENOMEM;
}

static FERRY_CO int run_copy_in(ferry_op *op, ferry_error *e)
{
    ferry_copy *c = op->body;
    int r = ferry_vm_check_up(op->vm, "copy_in", e);
    if (r < 0)
        return r;
    ferry_op_phase(op, "opening");
    r = list_disks(op->vm, c->work);
    if (r == 0)
        r = ferry_tree_work_step(c->work, open_step, NULL);
    if (r == 0 && c->opts.verify)
        r = ferry_seal_init(&c->seal);
    r = r < 0 ? ferry_copy_failed(c, "copy_in", r, e) : call(op, c, e);
    ferry_seal_done(&c->seal);
    return r;
}

int ferry_copy_in_start(ferry_vm *vm, const char *localpath, const char *remotedir,
                        const ferry_copy_opts *opts, ferry_op **ret_op,
                        ferry_error *reterr)
{
    return ferry_copy_start(vm, "copy_in", run_copy_in, localpath, remotedir, remotedir,
                            opts, ret_op, reterr);
}
