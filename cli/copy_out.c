/* Copies out of the image; see copy.h. Set-user-ID bits are dropped unless asked for; what else is
 * hostile in a tree is the library's concern (guestferry/tree.h). */
#include "auto.h"
#include "copy.h"
#include "guest.h"
#include "text.h"

#include <guestferry/transfer.h>

#include <string.h>
#include <sys/stat.h>

static uint32_t wanted_mode(const struct copy *c, uint32_t mode)
{
    return mode & (c->s->o->keep_suid ? 07777 : 0777);
}

static void fail_guest(struct copy *c, const char *path, const ferry_error *e)
{
    copy_check_over(c, e->code);
    copy_failed(c, session_failed(c->s, path, e));
}

static void fail_no_memory(struct copy *c)
{
    say_no_memory();
    copy_failed(c, STATUS_FAILED);
}

/* ---- listing ----------------------------------------------------------------------- */

/* The image must not be what it is copied to. */
static bool is_the_image(const struct copy *c, const char *dst)
{
    struct stat image, there;
    return stat(c->s->image, &image) == 0 && stat(dst, &there) == 0 &&
           image.st_dev == there.st_dev && image.st_ino == there.st_ino;
}

static void add_file(struct copy *c, const char *src, const char *dst,
                     const ferry_stat_info *st)
{
    struct entry e = {.kind = ENTRY_FILE, .mode = wanted_mode(c, st->mode)};
    if (is_the_image(c, dst)) {
        say("%s: is the image itself", dst);
        copy_failed(c, STATUS_FAILED);
        return;
    }
    if (!S_ISREG(st->mode)) {
        say_notice("%s:%s: skipped: a device, FIFO or socket", c->s->image, src);
        c->skipped++;
        return;
    }
    e.size = st->size > 0 ? (uint64_t)st->size : 0;
    e.src = strdup(src);
    e.dst = strdup(dst);
    if (!e.src || !e.dst) {
        free(e.src);
        free(e.dst);
        fail_no_memory(c);
    } else if (copy_add(c, &e) < 0) {
        fail_no_memory(c);
    }
}

/* A directory that is there already is gone into. */
static void add_tree(struct copy *c, const char *src, const char *dst, bool is_dir)
{
    struct stat st;
    bool merge = is_dir && stat(dst, &st) == 0 && S_ISDIR(st.st_mode);
    if (copy_add_tree(c, src, dst, merge) < 0)
        fail_no_memory(c);
}

void copy_out_add(struct copy *c, const char *src, const char *dst)
{
    ferry_error e = {0};
    ferry_stat_info st;
    bool recursive = c->s->o->recursive;
    int r = recursive ? guest_lstat(c->s, src, &st, &e) : guest_stat(c->s, src, &st, &e);
    if (r < 0) {
        fail_guest(c, src, &e);
    } else if (recursive && (S_ISDIR(st.mode) || S_ISLNK(st.mode))) {
        add_tree(c, src, dst, S_ISDIR(st.mode));
    } else if (S_ISDIR(st.mode)) {
        say("%s:%s: is a directory; cp -r copies directories", c->s->image, src);
        copy_failed(c, STATUS_FAILED);
    } else {
        add_file(c, src, dst, &st);
    }
}

/* ---- copying ----------------------------------------------------------------------- */

struct download {
    struct pump_task task;
    struct copy *c;
    struct entry *e;
};

static void download_done(struct pump_task *t, int result, const ferry_error *err)
{
    struct download *d = t->user;
    struct copy *c = d->c;
    struct entry *e = d->e;
    kept_note(&c->kept, c->s, t->op, e->dst, false);
    if (result == 0) {
        ferry_progress p = {0};
        ferry_op_poll(t->op, &p);
        e->size = p.bytes > e->size ? p.bytes : e->size;
        copy_file_done(c, e);
    } else {
        copy_check_over(c, result);
        copy_failed(c, session_failed_transfer(c->s, e->dst, e->src, err));
    }
    free(d);
}

static int start_op(struct download *d, ferry_error *err)
{
    struct entry *e = d->e;
    ferry_vm *vm = d->c->s->vm;
    ferry_download_opts opts = {.size = sizeof opts,
                                .mode = e->mode,
                                .keep_partial = d->c->s->o->keep_partial,
                                .resume = d->c->s->o->resume,
                                .verify = d->c->s->o->verify};
    if (!strcmp(e->dst, "-"))
        return ferry_download_fd_start(vm, e->src, STDOUT_FILENO, &opts, &d->task.op,
                                       err);
    return ferry_download_start(vm, e->src, e->dst, &opts, &d->task.op, err);
}

static int start_tree(struct copy *c, const struct entry *e,
                      const ferry_copy_opts *opts, ferry_op **ret, ferry_error *err)
{
    return ferry_copy_out_start(c->s->vm, e->src, e->dst, opts, ret, err);
}

static void start(struct copy *c, struct entry *e)
{
    if (e->kind == ENTRY_TREE) {
        copy_start_tree(c, e, start_tree);
        return;
    }
    struct download *d = calloc(1, sizeof *d);
    if (!d) {
        fail_no_memory(c);
        return;
    }
    *d = (struct download){.c = c, .e = e};
    d->task.done = download_done;
    d->task.user = d;
    copy_show(e, &d->task);
    ferry_error err = {0};
    int r = start_op(d, &err);
    if (r == 0)
        pump_add(&c->pump, &d->task);
    else
        download_done(&d->task, r, &err);
}

void copy_out_run(struct copy *c, const char *label)
{
    copy_run_entries(c, label, start);
}
