/* Copies of trees, what both directions share: see copy.h. */
#include "api/copy.h"

#include "api/opts.h"
#include "base/auto.h"
#include "base/error.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void copy_free(void *arg)
{
    ferry_copy *c = arg;
    ferry_tree_work_unref(c->work);
    free(c);
}

/* What a tree is called: the last component of its path; "." of one that ends in "/" or "/.". NULL and
 * errno: ".." is no name. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    if (strcmp(last, "..") == 0) {
        errno = EINVAL;
        return NULL;
    }
    return strdup(*last ? last : ".");
}

static int check(ferry_vm *vm, const char *call, const char *src, const char *dir,
                 const char *remote, ferry_op **ret_op, ferry_error *e)
{
    if (!vm || !src || !dir || !ret_op)
        return ferry_fail(e, -FERRY_EINVAL, call, "%s is NULL",
                          !vm    ? "vm"
                          : !src ? "the source"
                          : !dir ? "the directory"
                                 : "ret_op");
    if (!*src || !*dir)
        return ferry_fail(e, -FERRY_EINVAL, call, "an empty path");
    if (remote[0] != '/')
        return ferry_fail(e, -FERRY_EINVAL, call,
                          "%s: a path in the image starts with '/'", remote);
    return 0;
}

static int take_name(ferry_copy *c, const char *call, ferry_error *e)
{
    ferry_tree_work *w = c->work;
    w->name = c->opts.name ? strdup(c->opts.name) : name_of(w->src);
    c->opts.name = NULL; /* the caller's */
    if (!w->name)
        return errno == EINVAL ? ferry_fail(e, -FERRY_EINVAL, call,
                                            "%s: has no name; give one", w->src)
                               : ferry_fail(e, -FERRY_ENOMEM, call, "out of memory");
    if (strcmp(w->name, ".") != 0 && !ferry_tree_name_ok(w->name))
        return ferry_fail(e, -FERRY_EINVAL, call, "name: must be one component");
    return 0;
}

static int take_args(ferry_copy *c, const char *call, const char *src, const char *dir,
                     ferry_error *e)
{
    ferry_tree_work *w = c->work;
    w->src = strdup(src);
    w->dir = strdup(dir);
    w->keep_going = c->opts.keep_going != 0;
    w->keep = (c->opts.archive ? FERRY_TREE_ARCHIVE : 0U) |
              (c->opts.keep_suid ? FERRY_TREE_SUID : 0U);
    return w->src && w->dir ? take_name(c, call, e)
                            : ferry_fail(e, -FERRY_ENOMEM, call, "out of memory");
}

int ferry_copy_start(ferry_vm *vm, const char *call, ferry_op_run run, const char *src,
                     const char *dir, const char *remote, const ferry_copy_opts *opts,
                     ferry_op **ret_op, ferry_error *e)
{
    int r = check(vm, call, src, dir, remote, ret_op, e);
    if (r < 0)
        return r;
    ferry_copy *c = calloc(1, sizeof *c);
    if (!c)
        return ferry_fail(e, -FERRY_ENOMEM, call, "out of memory");
    r = ferry_opts_take(call, "ferry_copy_opts", opts, &c->opts, sizeof c->opts, e);
    if (r == 0 && ferry_tree_work_new(&c->work) < 0)
        r = ferry_fail(e, -FERRY_ENOMEM, call, "out of memory");
    if (r == 0)
        r = take_args(c, call, src, dir, e);
    ferry_rank rank = FERRY_RANK_NORMAL;
    if (r == 0)
        r = ferry_opts_rank(call, c->opts.priority, &rank, e);
    if (r < 0) {
        copy_free(c);
        return r;
    }
    ferry_op *op = NULL;
    r = ferry_op_new(vm, call, run, c, copy_free, &op, e);
    if (r < 0)
        return r;
    op->rank = rank;
    return ferry_op_submit(op, ret_op, e);
}

int ferry_copy_failed(const ferry_copy *c, const char *call, int r, ferry_error *e)
{
    char path[PATH_MAX] = "";
    const ferry_tree_work *w = c->work;
    const char *dir = w->builder ? w->dir : "", *slash = w->builder ? "/" : "",
               *name = w->builder ? w->name : w->src;
    if (r == -FERRY_ECANCELED || r == -FERRY_ETIMEDOUT || r == -FERRY_EPIPE)
        return r;
    if (w->reader)
        ferry_tree_reader_path(w->reader, path, sizeof path);
    else if (w->builder)
        ferry_tree_builder_path(w->builder, path, sizeof path);
    return ferry_fail(e, r, call, "%s%s%s%s%s: %s", dir, slash, name, *path ? "/" : "",
                      path, ferry_strerror(r));
}

int ferry_copy_problem(ferry_op *op, char **ret_path, ferry_error *reterr)
{
    if (!op || !ret_path || op->body_free != copy_free)
        return ferry_fail(reterr, -FERRY_EINVAL, "copy", "the op is of another call");
    ferry_copy *c = op->body;
    return ferry_tree_work_take(c->work, ret_path, reterr);
}
