/* Copies out of the image; see copy.h. Whatever comes out is hostile: names are checked,
 * lookups stay below the destination and follow no links (beneath.h), devices, sockets and
 * FIFOs are not made, and set-user-ID bits are dropped unless asked for. */
#include "auto.h"
#include "beneath.h"
#include "copy.h"
#include "guest.h"
#include "text.h"

#include <guestferry/transfer.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Permissions for a while, so that what is below a read-only directory can be made. */
#define DIR_WHILE 0700

static uint32_t wanted_mode(const struct copy *c, uint32_t mode)
{
    return mode & (c->s->o->keep_suid ? 07777 : 0777);
}

static void fail_guest(struct copy *c, const char *path, const ferry_error *e)
{
    copy_check_over(c, e->code);
    copy_failed(c, session_failed(c->s, path, e));
}

static void fail_errno(struct copy *c, const char *thing, int err)
{
    say_errno(thing, err);
    copy_failed(c, STATUS_FAILED);
    copy_check_over(c, err);
}

/* ---- listing ----------------------------------------------------------------------- */

/* Adds what `st` says is at src. Takes over neither path. */
static void add_entry(struct copy *c, const char *src, const char *dst, int root,
                      size_t rel_at, const ferry_stat_info *st)
{
    struct entry e = {.root = root, .mode = wanted_mode(c, st->mode)};
    if (S_ISDIR(st->mode)) {
        e.kind = ENTRY_DIR;
    } else if (S_ISLNK(st->mode)) {
        e.kind = ENTRY_LINK;
    } else if (S_ISREG(st->mode)) {
        e.kind = ENTRY_FILE;
        e.size = st->size > 0 ? (uint64_t)st->size : 0;
    } else {
        say_notice("%s:%s: skipped: a device, FIFO or socket", c->s->image, src);
        c->skipped++;
        return;
    }
    e.src = strdup(src);
    e.dst = strdup(dst);
    e.rel = e.dst ? e.dst + rel_at : NULL;
    if (!e.src || !e.dst) {
        free(e.src);
        free(e.dst);
        fail_errno(c, src, -ENOMEM);
    } else if (copy_add(c, &e) < 0) {
        fail_errno(c, src, -ENOMEM);
    }
}

/* The scan: directories of the list are read one by one, what is in them is looked at with
 * many lstats in flight. */
struct scan {
    struct copy *c;
    ferry_dirent_list names;
    size_t next;
    char *src, *dst; /* the directory */
    int root;
    size_t rel_at;
};

struct look {
    struct pump_task task;
    struct scan *scan;
    char *src, *dst;
};

static void look_done(struct pump_task *t, int result, const ferry_error *e)
{
    struct look *l = t->user;
    struct scan *scan = l->scan;
    ferry_stat_info st;
    ferry_error err = *e;
    if (result == 0)
        result = ferry_lstat_result(t->op, &st, &err);
    if (result == 0)
        add_entry(scan->c, l->src, l->dst, scan->root, scan->rel_at, &st);
    else
        fail_guest(scan->c, l->src, &err);
    free(l->src);
    free(l->dst);
    free(l);
}

static void start_look(struct pump *p, struct scan *scan, const char *name)
{
    struct look *l = calloc(1, sizeof *l);
    if (!l) {
        fail_errno(scan->c, scan->src, -ENOMEM);
        return;
    }
    *l = (struct look){.scan = scan};
    l->task.done = look_done;
    l->task.user = l;
    l->src = text_join(scan->src, name);
    l->dst = text_join(scan->dst, name);

    ferry_error e = {.code = -FERRY_ENOMEM};
    int r = -FERRY_ENOMEM;
    if (l->src && l->dst)
        r = ferry_lstat_start(p->s->vm, l->src, &l->task.op, &e);
    if (r == 0)
        pump_add(p, &l->task);
    else
        look_done(&l->task, r, &e);
}

static bool look_next(struct pump *p, void *user)
{
    struct scan *scan = user;
    while (scan->next < scan->names.len) {
        const char *name = scan->names.val[scan->next++].name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        if (beneath_check_name(name) < 0) {
            say("%s:%s: holds an entry with a forbidden name: %s", p->s->image,
                scan->src, name);
            copy_failed(scan->c, STATUS_FAILED);
            continue;
        }
        start_look(p, scan, name);
        return true;
    }
    return false;
}

static void list_dir(struct copy *c, const struct entry *dir, size_t rel_at)
{
    struct scan scan = {.c = c, .root = dir->root, .rel_at = rel_at};
    /* Copies: the list may move while it grows. */
    scan.src = strdup(dir->src);
    scan.dst = strdup(dir->dst);
    ferry_error e = {0};
    if (!scan.src || !scan.dst) {
        fail_errno(c, dir->src, -ENOMEM);
    } else if (guest_readdir(c->s, scan.src, &scan.names, &e) < 0) {
        fail_guest(c, scan.src, &e);
    } else {
        struct pump pump = {.s = c->s, .next = look_next, .user = &scan};
        pump_run(&pump);
    }
    ferry_dirent_list_free(&scan.names);
    free(scan.src);
    free(scan.dst);
}

static void sample_scan(void *user, struct progress_sample *ret)
{
    (void)user;
    ret->phase = "scanning";
}

/* The tree's own directory on the host, open. The user named it, so links in the path to it
 * are his; but not what stands in its own place. */
static int open_root(const char *dst)
{
    if (mkdir(dst, 0777) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(dst, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void add_tree(struct copy *c, const char *src, const char *dst,
                     const ferry_stat_info *st)
{
    int root = open_root(dst);
    if (root < 0) {
        fail_errno(c, dst, root);
        return;
    }
    if (copy_add_root(c, root) < 0) {
        fail_errno(c, dst, -EMFILE);
        return;
    }
    FERRY_AUTO(mem) char *base = text_join(dst, ".");
    if (!base) {
        fail_errno(c, dst, -ENOMEM);
        return;
    }
    size_t first = c->len, rel_at = strlen(base) - 1;
    base[rel_at] = 0; /* "dst/" */
    add_entry(c, src, base, root, rel_at, st);

    progress_begin_phase(&c->s->progress, sample_scan, NULL);
    for (size_t i = first; i < c->len && !copy_stopping(c); i++)
        if (c->entries[i].kind == ENTRY_DIR)
            list_dir(c, &c->entries[i], rel_at);
    progress_end(&c->s->progress, "done");
}

/* The image must not be what it is copied to. */
static bool is_the_image(const struct copy *c, const char *dst)
{
    struct stat image, there;
    return stat(c->s->image, &image) == 0 && stat(dst, &there) == 0 &&
           image.st_dev == there.st_dev && image.st_ino == there.st_ino;
}

void copy_out_add(struct copy *c, const char *src, const char *dst)
{
    ferry_error e = {0};
    ferry_stat_info st;
    bool recursive = c->s->o->recursive;
    int r = recursive ? guest_lstat(c->s, src, &st, &e) : guest_stat(c->s, src, &st, &e);
    if (r < 0) {
        fail_guest(c, src, &e);
        return;
    }
    if (S_ISDIR(st.mode) && !recursive) {
        say("%s:%s: is a directory; cp -r copies directories", c->s->image, src);
        copy_failed(c, STATUS_FAILED);
    } else if (S_ISDIR(st.mode)) {
        add_tree(c, src, dst, &st);
    } else if (is_the_image(c, dst)) {
        say("%s: is the image itself", dst);
        copy_failed(c, STATUS_FAILED);
    } else {
        add_entry(c, src, dst, -1, 0, &st);
    }
}

/* ---- copying ----------------------------------------------------------------------- */

/* A file on its way out. fd and temp: of a tree's file, which gets its name when it is
 * complete; else the library does that. */
struct download {
    struct pump_task task;
    struct copy *c;
    struct entry *e;
    int fd;
    char *temp;
};

/* A tree's file gets its permissions and its name. */
static int commit(struct download *d)
{
    struct entry *e = d->e;
    uint32_t special = e->mode & ~0777U;
    if (special && fchmod(d->fd, e->mode) < 0)
        return -errno;
    return beneath_commit(e->root, e->rel, d->fd, d->temp);
}

static void download_done(struct pump_task *t, int result, const ferry_error *err)
{
    struct download *d = t->user;
    struct copy *c = d->c;
    struct entry *e = d->e;
    int r = result;
    kept_note(&c->kept, c->s, t->op, e->dst, false);
    if (r == 0 && d->temp) {
        r = commit(d);
        if (r < 0)
            fail_errno(c, e->dst, r);
    } else if (r < 0) {
        copy_check_over(c, r);
        copy_failed(c, session_failed_transfer(c->s, e->dst, e->src, err));
    }
    if (r == 0) {
        ferry_progress p = {0};
        ferry_op_poll(t->op, &p);
        e->size = p.bytes > e->size ? p.bytes : e->size;
        copy_file_done(c, e);
    } else if (d->temp) {
        beneath_discard(e->root, e->rel, d->temp);
    }
    if (d->fd >= 0)
        close(d->fd);
    free(d->temp);
    free(d);
}

static int start_op(struct download *d, ferry_error *err)
{
    struct entry *e = d->e;
    ferry_vm *vm = d->c->s->vm;
    ferry_download_opts opts = {.size = sizeof opts,
                                .mode = e->mode,
                                .keep_partial = d->c->s->o->keep_partial,
                                .resume = d->c->s->o->resume};
    if (!strcmp(e->dst, "-"))
        return ferry_download_fd_start(vm, e->src, STDOUT_FILENO, &opts, &d->task.op,
                                       err);
    if (e->root < 0)
        return ferry_download_start(vm, e->src, e->dst, &opts, &d->task.op, err);
    return ferry_download_fd_start(vm, e->src, d->fd, &opts, &d->task.op, err);
}

static void start_download(struct copy *c, struct entry *e)
{
    struct download *d = calloc(1, sizeof *d);
    if (!d) {
        fail_errno(c, e->src, -ENOMEM);
        return;
    }
    *d = (struct download){.c = c, .e = e, .fd = -1};
    d->task.done = download_done;
    d->task.user = d;
    copy_show(e, &d->task);
    if (e->root >= 0) {
        d->fd = beneath_create(e->root, e->rel, e->mode & 0777, &d->temp);
        if (d->fd < 0) {
            fail_errno(c, e->dst, d->fd);
            free(d);
            return;
        }
    }
    ferry_error err = {0};
    int r = start_op(d, &err);
    if (r == 0)
        pump_add(&c->pump, &d->task);
    else
        download_done(&d->task, r, &err);
}

static void make_dirs(struct copy *c)
{
    for (size_t i = 0; i < c->len && !copy_stopping(c); i++) {
        struct entry *d = &c->entries[i];
        if (d->kind != ENTRY_DIR || !*d->rel)
            continue;
        int r = beneath_mkdir(d->root, d->rel, (d->mode & 0777) | DIR_WHILE);
        if (r < 0)
            fail_errno(c, d->dst, r);
        d->made = r > 0;
    }
}

/* Directories that lack permissions of ours get their own when all is in them; deepest
 * first. The umask has been at work on the others. */
static void finish_dirs(struct copy *c)
{
    for (size_t i = c->len; i-- > 0;) {
        struct entry *d = &c->entries[i];
        if (d->kind != ENTRY_DIR || !d->made || (d->mode & DIR_WHILE) == DIR_WHILE)
            continue;
        int r = beneath_chmod_dir(d->root, d->rel, d->mode & 0777);
        if (r < 0)
            fail_errno(c, d->dst, r);
    }
}

static int make_user_link(const char *dst, const char *target)
{
    if (symlink(target, dst) == 0)
        return 0;
    if (errno != EEXIST || unlink(dst) < 0)
        return -errno;
    return symlink(target, dst) < 0 ? -errno : 0;
}

static void make_links(struct copy *c)
{
    for (size_t i = 0; i < c->len && !copy_stopping(c); i++) {
        struct entry *l = &c->entries[i];
        if (l->kind != ENTRY_LINK)
            continue;
        ferry_error e = {0};
        FERRY_AUTO(mem) char *target = NULL;
        if (guest_readlink(c->s, l->src, &target, &e) < 0) {
            fail_guest(c, l->src, &e);
            continue;
        }
        int r = l->root < 0 ? make_user_link(l->dst, target)
                            : beneath_symlink(l->root, l->rel, target);
        if (r < 0)
            fail_errno(c, l->dst, r);
        else
            copy_file_done(c, l);
    }
}

void copy_out_run(struct copy *c, const char *label)
{
    make_dirs(c);
    if (!copy_stopping(c))
        copy_run_files(c, label, start_download);
    if (!copy_stopping(c))
        make_links(c);
    finish_dirs(c);
}
