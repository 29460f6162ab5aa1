/* Copies into the image; see copy.h. The host's tree is the user's own, yet it may change
 * under us: what was a file when it was listed is opened without following links. */
#include "auto.h"
#include "beneath.h"
#include "copy.h"
#include "guest.h"
#include "text.h"

#include <guestferry/transfer.h>

#include <fcntl.h>
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

/* An image inside the tree that goes into it would be read while it grows. */
static bool is_the_image(const struct copy *c, const struct stat *st)
{
    struct stat image;
    return stat(c->s->image, &image) == 0 && image.st_dev == st->st_dev &&
           image.st_ino == st->st_ino;
}

/* Adds what `st` says is at src. rel NULL: the user's own operand. */
static void add_entry(struct copy *c, const char *src, const char *dst, int root,
                      size_t rel_at, const struct stat *st)
{
    struct entry e = {.root = root, .mode = wanted_mode(c, st->st_mode)};
    if (S_ISDIR(st->st_mode)) {
        e.kind = ENTRY_DIR;
    } else if (S_ISLNK(st->st_mode)) {
        e.kind = ENTRY_LINK;
    } else if (S_ISREG(st->st_mode)) {
        e.kind = ENTRY_FILE;
        e.size = (uint64_t)st->st_size;
    } else if (root < 0) {
        e.kind = ENTRY_FILE; /* a FIFO or a disk that the user named: read to its end */
        c->unknown = true;
        e.mode = 0;
    } else {
        say_notice("%s: skipped: not a file, directory or link", src);
        c->skipped++;
        return;
    }
    if (is_the_image(c, st)) {
        say("%s: is the image itself", src);
        copy_failed(c, STATUS_FAILED);
        return;
    }

    e.src = strdup(src);
    e.dst = strdup(dst);
    e.rel = e.src ? e.src + rel_at : NULL;
    if (!e.src || !e.dst) {
        free(e.src);
        free(e.dst);
        fail_errno(c, src, -ENOMEM);
    } else if (copy_add(c, &e) < 0) {
        fail_errno(c, src, -ENOMEM);
    }
}

/* Lists one directory of the tree; directories in it are entries that come later. */
static void list_dir(struct copy *c, const struct entry *dir_entry, size_t rel_at)
{
    /* Copies: the list may move while it grows. */
    FERRY_AUTO(mem) char *dir_src = strdup(dir_entry->src);
    FERRY_AUTO(mem) char *dir_dst = strdup(dir_entry->dst);
    int root = dir_entry->root;
    if (!dir_src || !dir_dst) {
        fail_errno(c, dir_entry->src, -ENOMEM);
        return;
    }
    const char *rel = dir_src + rel_at;
    int fd = beneath_open(root, *rel ? rel : ".", O_RDONLY | O_DIRECTORY);
    FERRY_AUTO(dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fail_errno(c, dir_src, fd < 0 ? fd : -errno);
        return;
    }

    struct dirent *d;
    while (errno = 0, (d = readdir(dir)) && !copy_stopping(c)) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        FERRY_AUTO(mem) char *src = text_join(dir_src, d->d_name);
        FERRY_AUTO(mem) char *dst = text_join(dir_dst, d->d_name);
        struct stat st;
        if (!src || !dst)
            fail_errno(c, dir_src, -ENOMEM);
        else if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            fail_errno(c, src, -errno);
        else
            add_entry(c, src, dst, root, rel_at, &st);
    }
    if (!d && errno)
        fail_errno(c, dir_src, -errno);
}

static void sample_scan(void *user, struct progress_sample *ret)
{
    (void)user;
    ret->phase = "scanning";
}

/* Breadth first: the list itself is the queue. */
static void add_tree(struct copy *c, const char *src, const char *dst,
                     const struct stat *st)
{
    int root = open(src, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        fail_errno(c, src, -errno);
        return;
    }
    if (copy_add_root(c, root) < 0) {
        fail_errno(c, src, -EMFILE);
        return;
    }

    size_t first = c->len;
    size_t rel_at = strlen(src) + (text_ends_slash(src) ? 0 : 1);
    FERRY_AUTO(mem) char *base = text_join(src, ".");
    if (!base) {
        fail_errno(c, src, -ENOMEM);
        return;
    }
    base[rel_at] = 0; /* "src/": what is below is joined to it */
    add_entry(c, base, dst, root, rel_at, st);

    progress_begin_phase(&c->s->progress, sample_scan, NULL);
    for (size_t i = first; i < c->len && !copy_stopping(c); i++) {
        if (c->entries[i].kind == ENTRY_DIR)
            list_dir(c, &c->entries[i], rel_at);
        progress_tick(&c->s->progress, false);
    }
    progress_end(&c->s->progress, "done");
}

void copy_in_add(struct copy *c, const char *src, const char *dst)
{
    struct stat st;
    bool recursive = c->s->o->recursive;
    /* As cp(1): a link that the user names is followed, unless trees are copied. */
    int r = recursive ? lstat(src, &st) : stat(src, &st);
    if (r < 0) {
        fail_errno(c, src, -errno);
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        add_entry(c, src, dst, -1, 0, &st);
        return;
    }
    if (!recursive) {
        say("%s: is a directory; cp -r copies directories", src);
        copy_failed(c, STATUS_FAILED);
        return;
    }
    add_tree(c, src, dst, &st);
}

/* ---- copying ----------------------------------------------------------------------- */

/* A file on its way in. fd: of a tree's file; -1 when the library opens the path. */
struct upload {
    struct pump_task task;
    struct copy *c;
    struct entry *e;
    int fd;
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
    if (u->fd >= 0)
        close(u->fd);
    free(u);
}

static int start_op(struct upload *u, ferry_error *err)
{
    struct entry *e = u->e;
    ferry_vm *vm = u->c->s->vm;
    ferry_upload_opts opts = {.size = sizeof opts,
                              .mode = e->mode,
                              .keep_partial = u->c->s->o->keep_partial,
                              .resume = u->c->s->o->resume};
    if (!strcmp(e->src, "-"))
        return ferry_upload_fd_start(vm, STDIN_FILENO, e->dst, &opts, &u->task.op, err);
    if (e->root < 0)
        return ferry_upload_start(vm, e->src, e->dst, &opts, &u->task.op, err);

    u->fd = beneath_open(e->root, e->rel, O_RDONLY | O_NONBLOCK);
    struct stat st;
    int r = u->fd < 0 ? u->fd : fstat(u->fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(st.st_mode))
        r = -ELOOP; /* it was a file when it was listed */
    if (r < 0) {
        *err = (ferry_error){.code = r, .os_errno = -r};
        return r;
    }
    return ferry_upload_fd_start(vm, u->fd, e->dst, &opts, &u->task.op, err);
}

static void start_upload(struct copy *c, struct entry *e)
{
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        fail_errno(c, e->src, -ENOMEM);
        return;
    }
    *u = (struct upload){.c = c, .e = e, .fd = -1};
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

static void make_dirs(struct copy *c)
{
    for (size_t i = 0; i < c->len && !copy_stopping(c); i++) {
        struct entry *d = &c->entries[i];
        ferry_error e = {0};
        if (d->kind != ENTRY_DIR)
            continue;
        int r = guest_mkdir(c->s, d->dst, d->mode, &e);
        if (r < 0 && r != -FERRY_EEXIST) {
            copy_check_over(c, r);
            copy_failed(c, session_failed(c->s, d->dst, &e));
        }
    }
}

/* The text of a link, as it is. */
static int read_link(const struct entry *e, char *buf, size_t size)
{
    FERRY_AUTO(fd) int fd = -1;
    ssize_t n;
    if (e->root >= 0) {
        fd = beneath_open(e->root, e->rel, O_PATH);
        if (fd < 0)
            return fd;
        n = readlinkat(fd, "", buf, size - 1);
    } else {
        n = readlink(e->src, buf, size - 1);
    }
    if (n < 0)
        return -errno;
    buf[n] = 0;
    return 0;
}

static void make_links(struct copy *c)
{
    for (size_t i = 0; i < c->len && !copy_stopping(c); i++) {
        struct entry *l = &c->entries[i];
        if (l->kind != ENTRY_LINK)
            continue;
        char target[4096];
        int r = read_link(l, target, sizeof target);
        if (r < 0) {
            fail_errno(c, l->src, r);
            continue;
        }
        ferry_error e = {0};
        r = guest_ln_s(c->s, target, l->dst, &e);
        if (r == -FERRY_EEXIST && guest_rm(c->s, l->dst, &e) == 0)
            r = guest_ln_s(c->s, target, l->dst, &e);
        if (r == 0) {
            copy_file_done(c, l);
        } else {
            copy_check_over(c, r);
            copy_failed(c, session_failed(c->s, l->dst, &e));
        }
    }
}

void copy_in_run(struct copy *c, const char *label)
{
    make_dirs(c);
    if (!copy_stopping(c))
        copy_run_files(c, label, start_upload);
    if (!copy_stopping(c))
        make_links(c);
}
