/* copy_out: a tree of files as DATA of the stream; what it looks like is src/tree/wire.h. While one piece is
 * on its way to the host, a job reads the next. */
#include "block.h"
#include "filesystem.h"
#include "root.h"

#include "base/auto.h"
#include "proto/seal.h"
#include "tree/reader.h"

#include <string.h>

struct copy_out {
    struct ferryd_call *call;
    const fx_copy_out_args *args;
    int root;
    ferry_tree_reader *reader;
    ferry_seal seal;
    ferry_buf *piece;
    int r; /* of a job */
};

static void open_run(void *arg)
{
    struct copy_out *t = arg;
    FERRY_AUTO(at) struct ferryd_at at = {.dir = -1};
    t->r = ferryd_at_parent(t->root, t->args->path, &at);
    if (t->r < 0)
        return;
    const ferry_tree_reader_opts o = {
        .keep = t->args->keep,
        .count = t->args->count,
        .direct = ferryd_filesystem_of(at.dir).direct,
        .stop = &t->call->cancelled,
    };
    t->r = ferry_tree_reader_new(at.dir, at.name, &o, &t->reader);
}

static void read_run(void *arg)
{
    struct copy_out *t = arg;
    t->r = ferry_tree_read(t->reader, t->piece);
}

static void free_run(void *arg)
{
    struct copy_out *t = arg;
    ferry_tree_reader_free(t->reader);
}

static FERRY_CO int work(struct copy_out *t, void (*run)(void *))
{
    int r = ferryd_block_bulk(run, t);
    return r < 0 ? r : t->r;
}

static FERRY_CO int send_piece(struct copy_out *t)
{
    ferry_buf *b = ferry_take(&t->piece);
    if (b->len == 0) {
        ferry_buf_unref(b);
        return 0;
    }
    return ferry_seal_write(&t->seal, t->call->stream,
                            (ferry_slice){b, b->data, b->len});
}

static FERRY_CO int send_all(struct copy_out *t)
{
    for (;;) {
        int r = ferry_buf_new(FERRY_TREE_PIECE, &t->piece);
        if (r < 0)
            return r;
        int more = work(t, read_run);
        if (more < 0)
            return more;
        r = send_piece(t);
        if (r == 0 && !more)
            return ferry_seal_finish(&t->seal, t->call->stream);
        if (r < 0)
            return r;
    }
}

static int failed(const struct copy_out *t, int r, ferry_error *e)
{
    char path[PATH_MAX] = "";
    if (!t->reader)
        return ferryd_fail(t->call, e, r, t->args->path);
    ferry_tree_reader_path(t->reader, path, sizeof path);
    return ferryd_failf(t->call, e, r, "%s%s%s: %s", t->args->path, *path ? "/" : "",
                        path, ferry_strerror(r));
}

static FERRY_CO void clean_up(struct copy_out *t)
{
    if (t->reader)
        ferryd_clean_up(free_run, t);
    ferry_buf_unref(t->piece);
    ferry_seal_done(&t->seal);
}

int ferryd_copy_out(struct ferryd_call *c, const fx_copy_out_args *a,
                    fx_copy_out_ret *ret, ferry_error *e)
{
    struct copy_out t = {.call = c, .args = a};
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;
    t.root = root->fd;
    r = work(&t, open_run);
    if (r == 0 && a->verify)
        r = ferry_seal_init(&t.seal);
    if (r == 0)
        r = send_all(&t);
    if (r == 0) {
        uint64_t bytes;
        ferry_tree_reader_count(t.reader, &ret->value, &bytes);
    } else {
        failed(&t, r, e);
    }
    clean_up(&t);
    return r;
}
