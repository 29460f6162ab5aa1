/* Copies into the image; see copy.h. */
#include "auto.h"
#include "copy.h"
#include "guest.h"
#include "text.h"

#include <guestferry/transfer.h>

#include <string.h>
#include <sys/stat.h>

static uint32_t wanted_mode(const struct copy *c, mode_t mode)
{
    return mode & (c->s->o->keep_suid ? 07777 : 0777);
}

static void fail_errno(struct copy *c, const char *thing, int err)
{
    say_errno(thing, err);
    copy_failed(c, STATUS_FAILED);
}

/* ---- listing ----------------------------------------------------------------------- */

/* The image would be read while it grows. In a tree the library leaves it out. */
static bool is_the_image(const struct copy *c, const struct stat *st)
{
    struct stat image;
    return stat(c->s->image, &image) == 0 && image.st_dev == st->st_dev &&
           image.st_ino == st->st_ino;
}

static void add_file(struct copy *c, const char *src, const char *dst,
                     const struct stat *st)
{
    struct entry e = {.kind = ENTRY_FILE};
    if (is_the_image(c, st)) {
        say("%s: is the image itself", src);
        copy_failed(c, STATUS_FAILED);
        return;
    }
    if (S_ISREG(st->st_mode)) {
        e.size = (uint64_t)st->st_size;
        e.mode = wanted_mode(c, st->st_mode);
    } else {
        c->unknown = true; /* a FIFO or a disk: read to its end */
    }
    e.src = strdup(src);
    e.dst = strdup(dst);
    if (!e.src || !e.dst) {
        free(e.src);
        free(e.dst);
        fail_errno(c, src, -ENOMEM);
    } else if (copy_add(c, &e) < 0) {
        fail_errno(c, src, -ENOMEM);
    }
}

/* A directory that is there already is gone into, by whatever name: it may be the target of
 * a link. */
static void add_tree(struct copy *c, const char *src, const char *dst, bool is_dir)
{
    ferry_error e = {0};
    ferry_stat_info st;
    bool merge = is_dir && guest_stat(c->s, dst, &st, &e) == 0 && S_ISDIR(st.mode);
    if (copy_add_tree(c, src, dst, merge) < 0)
        fail_errno(c, src, -ENOMEM);
}

void copy_in_add(struct copy *c, const char *src, const char *dst)
{
    struct stat st;
    bool recursive = c->s->o->recursive;
    /* As cp(1): a link that the user names is followed, unless trees are copied. */
    int r = recursive ? lstat(src, &st) : stat(src, &st);
    if (r < 0) {
        fail_errno(c, src, -errno);
    } else if (S_ISLNK(st.st_mode) || (S_ISDIR(st.st_mode) && recursive)) {
        add_tree(c, src, dst, S_ISDIR(st.st_mode));
    } else if (S_ISDIR(st.st_mode)) {
        say("%s: is a directory; cp -r copies directories", src);
        copy_failed(c, STATUS_FAILED);
    } else {
        add_file(c, src, dst, &st);
    }
}

/* ---- copying ----------------------------------------------------------------------- */

struct upload {
    struct pump_task task;
    struct copy *c;
    struct entry *e;
};

static void upload_done(struct pump_task *t, int result, const ferry_error *e)
{
    struct upload *u = t->user;
    struct copy *c = u->c;
    kept_note(&c->kept, c->s, t->op, u->e->dst, true);
    if (result == 0) {
        /* What was moved: a stream's size is known only now. */
        ferry_progress p = {0};
        ferry_op_poll(t->op, &p);
        u->e->size = p.bytes > u->e->size ? p.bytes : u->e->size;
        copy_file_done(c, u->e);
    } else {
        copy_check_over(c, result);
        copy_failed(c, session_failed_transfer(c->s, u->e->src, u->e->dst, e));
    }
    free(u);
}

static int start_op(struct upload *u, ferry_error *err)
{
    struct entry *e = u->e;
    ferry_vm *vm = u->c->s->vm;
    ferry_upload_opts opts = {.size = sizeof opts,
                              .mode = e->mode,
                              .keep_partial = u->c->s->o->keep_partial,
                              .resume = u->c->s->o->resume,
                              .verify = u->c->s->o->verify};
    if (!strcmp(e->src, "-"))
        return ferry_upload_fd_start(vm, STDIN_FILENO, e->dst, &opts, &u->task.op, err);
    return ferry_upload_start(vm, e->src, e->dst, &opts, &u->task.op, err);
}

static int start_tree(struct copy *c, const struct entry *e,
                      const ferry_copy_opts *opts, ferry_op **ret, ferry_error *err)
{
    return ferry_copy_in_start(c->s->vm, e->src, e->dst, opts, ret, err);
}

static void start(struct copy *c, struct entry *e)
{
    if (e->kind == ENTRY_TREE) {
        copy_start_tree(c, e, start_tree);
        return;
    }
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        fail_errno(c, e->src, -ENOMEM);
        return;
    }
    *u = (struct upload){.c = c, .e = e};
    u->task.done = upload_done;
    u->task.user = u;
    copy_show(e, &u->task);
    ferry_error err = {0};
    int r = start_op(u, &err);
    if (r == 0)
        pump_add(&c->pump, &u->task);
    else
        upload_done(&u->task, r, &err);
}

void copy_in_run(struct copy *c, const char *label)
{
    c->into = true;
    copy_run_entries(c, label, start);
}
