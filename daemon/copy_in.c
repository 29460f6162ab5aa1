/* copy_in: DATA of the stream to a tree of files. Owns the stream's side; what the records become is
 * src/tree/builder.c.
 *
 *      piece ---> job: ferry_tree_build (some 60 small files) ---> next piece
 *                       '-> problems ---> PROBLEM records to the host
 *
 * One job for a whole piece: of a small file, a change of threads would be most of the
 * time. */
#include "block.h"
#include "filesystem.h"
#include "root.h"

#include "base/auto.h"
#include "proto/seal.h"
#include "tree/builder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct copy_in {
    struct ferryd_call *call;
    const fx_copy_in_args *args;
    int root;
    ferry_tree_builder *builder;
    ferry_seal seal;
    ferry_slice piece;
    ferry_buf *problems; /* records for the host, of the last job; NULL: none */
    int r;               /* of a job */
};

/* ---- jobs ----------------------------------------------------------------------------- */

/* In a job. With keep_going the host is told, when there is memory to tell it. */
static int problem(void *user, const char *path, int code)
{
    struct copy_in *t = user;
    ferry_tree_record r = {.type = FERRY_TREE_PROBLEM, .code = code, .name = path};
    size_t len = ferry_tree_length(&r);
    if (!t->args->keep_going)
        return code;
    if (!t->problems || ferry_buf_room(t->problems) < len) {
        ferry_buf *more = NULL;
        size_t have = t->problems ? t->problems->len : 0;
        int e = ferry_buf_new(2 * (have + len), &more);
        if (e < 0)
            return e;
        if (have > 0)
            memcpy(more->data, t->problems->data, have);
        more->len = have;
        ferry_buf_unref(t->problems);
        t->problems = more;
    }
    ferry_tree_encode(&r, t->problems->data + t->problems->len);
    t->problems->len += len;
    return 0;
}

static void open_run(void *arg)
{
    struct copy_in *t = arg;
    int dir = ferryd_at_open(t->root, t->args->directory, O_RDONLY | O_DIRECTORY, 0);
    struct ferryd_filesystem fs = ferryd_filesystem_of(dir);
    const ferry_tree_builder_opts o = {
        .keep = t->args->keep,
        .no_owners = !fs.owners,
        .direct = fs.direct,
        .stop = &t->call->cancelled,
        .problem = problem,
        .user = t,
    };
    t->r = dir < 0 ? dir : ferry_tree_builder_new(dir, t->args->name, &o, &t->builder);
}

static void build_run(void *arg)
{
    struct copy_in *t = arg;
    t->r = ferry_tree_build(t->builder, t->piece.data, t->piece.len);
}

static void end_run(void *arg)
{
    struct copy_in *t = arg;
    t->r = ferry_tree_build_end(t->builder);
}

static void free_run(void *arg)
{
    struct copy_in *t = arg;
    ferry_tree_builder_free(t->builder);
}

static FERRY_CO int work(struct copy_in *t, void (*run)(void *))
{
    int r = ferryd_block_bulk(run, t);
    return r < 0 ? r : t->r;
}

/* ---- the stream ------------------------------------------------------------------------- */

static FERRY_CO int tell(struct copy_in *t)
{
    const ferry_tree_made *made = ferry_tree_builder_made(t->builder);
    ferry_stream_send_progress(t->call->stream, made->bytes, made->files);
    ferry_buf *b = ferry_take(&t->problems);
    return b ? ferry_stream_write(t->call->stream, (ferry_slice){b, b->data, b->len})
             : 0;
}

static FERRY_CO int receive(struct copy_in *t)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_seal_read(&t->seal, t->call->stream, &p);
        if (r == 0)
            r = work(t, end_run);
        if (r <= 0)
            return r;
        t->piece = p.data;
        r = p.hole ? -FERRY_EPROTO : work(t, build_run);
        ferry_slice_done(&t->piece);
        if (r == 0)
            r = tell(t);
        if (r < 0)
            return r;
    }
}

static int failed(const struct copy_in *t, int r, ferry_error *e)
{
    char path[PATH_MAX] = "";
    const fx_copy_in_args *a = t->args;
    if (t->builder)
        ferry_tree_builder_path(t->builder, path, sizeof path);
    const char *slash = a->directory[strlen(a->directory) - 1] == '/' ? "" : "/";
    if (t->seal.broken)
        return ferryd_failf(t->call, e, -FERRY_EIO, "%s%s%s: " FERRY_SEAL_BROKEN,
                            a->directory, slash, a->name);
    return ferryd_failf(t->call, e, r, "%s%s%s%s%s: %s", a->directory,
                        t->builder ? slash : "", t->builder ? a->name : "",
                        *path ? "/" : "", path, ferry_strerror(r));
}

static FERRY_CO void clean_up(struct copy_in *t)
{
    if (t->builder)
        ferryd_clean_up(free_run, t);
    ferry_buf_unref(t->problems);
    ferry_seal_done(&t->seal);
}

int ferryd_copy_in(struct ferryd_call *c, const fx_copy_in_args *a, fx_copy_in_ret *ret,
                   ferry_error *e)
{
    struct copy_in t = {.call = c, .args = a};
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;
    t.root = root->fd;
    r = work(&t, open_run);
    if (r == 0 && a->verify)
        r = ferry_seal_init(&t.seal);
    if (r == 0)
        r = receive(&t);
    if (r == 0) {
        ret->value = ferry_tree_builder_made(t.builder)->files;
        ferry_stream_finish(c->stream);
    } else {
        r = failed(&t, r, e);
    }
    clean_up(&t);
    return r;
}
