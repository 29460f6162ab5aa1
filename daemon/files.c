/* Calls that change one name or one inode: mkdir, rm, mv, touch, truncate_size, chmod, chown,
 * ln_s. Each is one or two system calls on a pool thread. Trees are in tree.c, content in
 * upload.c. */
#include "root.h"

#include "base/auto.h"
#include "block.h"

#include "daemon_calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* What mkdir makes when no mode is given; the daemon has no umask. */
#define DIR_MODE 0777
#define FILE_MODE 0666

/* ---- mkdir, rm, ln_s ------------------------------------------------------------------ */

static int make_dir(const struct ferryd_at *at, void *arg)
{
    const mode_t *mode = arg;
    if (mkdirat(at->dir, at->name, *mode) < 0)
        return -errno;
    /* mkdir(2) heeds neither set-id bits nor a default ACL's wishes as asked. */
    return *mode & 07000 && fchmodat(at->dir, at->name, *mode, 0) < 0 ? -errno : 0;
}

int ferryd_mkdir(struct ferryd_call *c, const fx_mkdir_args *a, ferry_error *e)
{
    mode_t mode = a->mode ? a->mode & 07777 : DIR_MODE;
    return ferryd_with_parent(c, a->path, make_dir, &mode, e);
}

static int remove_file(const struct ferryd_at *at, void *arg)
{
    (void)arg;
    return unlinkat(at->dir, at->name, 0) < 0 ? -errno : 0;
}

int ferryd_rm(struct ferryd_call *c, const fx_rm_args *a, ferry_error *e)
{
    return ferryd_with_parent(c, a->path, remove_file, NULL, e);
}

static int make_link(const struct ferryd_at *at, void *arg)
{
    return symlinkat(arg, at->dir, at->name) < 0 ? -errno : 0;
}

int ferryd_ln_s(struct ferryd_call *c, const fx_ln_s_args *a, ferry_error *e)
{
    return ferryd_with_parent(c, a->linkname, make_link, a->target, e);
}

/* ---- mv ------------------------------------------------------------------------------- */

struct move {
    int root;
    const char *from, *to;
    const char *culprit; /* whose name the error gets */
    int r;
};

static bool is_dir(int root, const char *path)
{
    FERRY_AUTO(fd) int fd = ferryd_at_open(root, path, O_PATH | O_DIRECTORY, 0);
    return fd >= 0;
}

/* As mv(1): into `to` when that is a directory (or a link to one). */
static int move_destination(struct move *m, const char *name, struct ferryd_at *ret)
{
    char inside[PATH_MAX];
    if (!is_dir(m->root, m->to))
        return ferryd_at_parent(m->root, m->to, ret);
    if (snprintf(inside, sizeof inside, "%s/%s", m->to, name) >= (int)sizeof inside)
        return -ENAMETOOLONG;
    return ferryd_at_parent(m->root, inside, ret);
}

static void move_run(void *arg)
{
    struct move *m = arg;
    FERRY_AUTO(at) struct ferryd_at from = {.dir = -1};
    FERRY_AUTO(at) struct ferryd_at to = {.dir = -1};

    m->culprit = m->from;
    m->r = ferryd_at_parent(m->root, m->from, &from);
    if (m->r == 0 && faccessat(from.dir, from.name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        m->r = -errno;
    if (m->r < 0)
        return;

    m->culprit = m->to;
    m->r = move_destination(m, from.name, &to);
    if (m->r == 0 && renameat(from.dir, from.name, to.dir, to.name) < 0)
        m->r = -errno;
}

int ferryd_mv(struct ferryd_call *c, const fx_mv_args *a, ferry_error *e)
{
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    struct move m = {.root = root->fd, .from = a->src, .to = a->dest};
    r = ferryd_block(move_run, &m);
    if (r == 0 && m.r < 0)
        r = ferryd_fail(c, e, m.r, m.culprit);
    return r;
}

/* ---- touch, truncate_size -------------------------------------------------------------- */

/* What O_NONBLOCK keeps from waiting for a peer (a FIFO) is refused by its kind. */
static int check_kind(int fd, bool dir_too)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode) || (dir_too && S_ISDIR(st.st_mode)))
        return 0;
    return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

struct touch {
    int root;
    const char *path;
    int r;
};

/* Looked at as O_PATH first: opening a device node or a FIFO may do things. */
static int touch_existing(int fd)
{
    char link[64];
    int r = check_kind(fd, true);
    if (r < 0)
        return r;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return utimensat(AT_FDCWD, link, NULL, 0) < 0 ? -errno : 0;
}

static void touch_run(void *arg)
{
    struct touch *t = arg;
    FERRY_AUTO(fd) int fd = ferryd_at_open(t->root, t->path, O_PATH, 0);
    if (fd == -ENOENT) {
        fd = ferryd_at_open(t->root, t->path, O_WRONLY | O_CREAT | O_NONBLOCK,
                            FILE_MODE);
        t->r = fd < 0 ? fd : 0;
        return;
    }
    t->r = fd < 0 ? fd : touch_existing(fd);
}

int ferryd_touch(struct ferryd_call *c, const fx_touch_args *a, ferry_error *e)
{
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    struct touch t = {.root = root->fd, .path = a->path};
    r = ferryd_block(touch_run, &t);
    if (r == 0 && t.r < 0)
        r = ferryd_fail(c, e, t.r, a->path);
    return r;
}

static int truncate_fd(int fd, void *arg)
{
    int r = check_kind(fd, false);
    if (r < 0)
        return r;
    return ftruncate(fd, *(const off_t *)arg) < 0 ? -errno : 0;
}

int ferryd_truncate_size(struct ferryd_call *c, const fx_truncate_size_args *a,
                         ferry_error *e)
{
    off_t size = a->size;
    if (size < 0)
        return ferryd_failf(c, e, -FERRY_EINVAL, "%s: a size is not negative", a->path);
    return ferryd_with_file(c, a->path, O_RDWR | O_NONBLOCK | O_NOCTTY, truncate_fd,
                            &size, e);
}

/* ---- chmod, chown ----------------------------------------------------------------------- */

static int chmod_fd(int fd, void *arg)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* fchmod refuses O_PATH */
    return chmod(link, *(const mode_t *)arg) < 0 ? -errno : 0;
}

int ferryd_chmod(struct ferryd_call *c, const fx_chmod_args *a, ferry_error *e)
{
    mode_t mode = a->mode & 07777;
    return ferryd_with_file(c, a->path, O_PATH, chmod_fd, &mode, e);
}

static int chown_fd(int fd, void *arg)
{
    const fx_chown_args *a = arg;
    return fchownat(fd, "", a->owner, a->group, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int ferryd_chown(struct ferryd_call *c, const fx_chown_args *a, ferry_error *e)
{
    fx_chown_args args = *a;
    return ferryd_with_file(c, a->path, O_PATH, chown_fd, &args, e);
}
