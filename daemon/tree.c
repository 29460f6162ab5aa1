/* Calls that walk: rm_rf down a tree, mkdir_p along a path. Each is one job of blocking work, which
 * looks between steps whether the call has been cancelled. Guest trees are hostile:
 * nothing is followed, and the depth costs descriptors, not stack. */
#include "root.h"

#include "base/auto.h"
#include "block.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct walk {
    struct ferryd_call *call;
    int root;
    const char *path;
    int r;
};

static FERRY_CO int run_walk(struct ferryd_call *c, const char *path,
                             void (*fn)(void *), ferry_error *e)
{
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    struct walk w = {.call = c, .root = root->fd, .path = path};
    r = ferryd_block_bulk(fn, &w);
    if (r == 0 && w.r < 0)
        r = ferryd_fail(c, e, w.r, path);
    return r;
}

/* ---- rm_rf ------------------------------------------------------------------------------ */

/* The directories from the top of the tree down to where we are. */
struct level {
    DIR *dir;
    dev_t dev;
    bool removed; /* something, since the last time it was read from its start */
    char name[NAME_MAX + 1]; /* in the level above */
    struct level *up;
};

static int open_level(int parent, const char *name, struct level *up, struct level **ret)
{
    struct stat st;
    FERRY_AUTO(fd) int fd =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (up && st.st_dev != up->dev)
        return -EBUSY; /* something is mounted there */

    struct level *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->dir = fdopendir(fd);
    if (!l->dir) {
        int r = -errno;
        free(l);
        return r;
    }
    ferry_take_fd(&fd);
    l->dev = st.st_dev;
    l->up = up;
    snprintf(l->name, sizeof l->name, "%s", name);
    *ret = l;
    return 0;
}

static struct level *close_level(struct level *l)
{
    struct level *up = l->up;
    closedir(l->dir);
    free(l);
    return up;
}

/* Removes what a level holds, or goes down one: *top is where we are then. 1: it is empty. */
static int empty_level(struct walk *w, struct level **top)
{
    struct level *l = *top;
    errno = 0;
    for (struct dirent *e; (e = readdir(l->dir)); errno = 0) {
        int r = ferryd_stop(w->call);
        if (r < 0)
            return r;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        l->removed = true;
        if (unlinkat(dirfd(l->dir), e->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return -errno;
        return open_level(dirfd(l->dir), e->d_name, l, top);
    }
    if (errno)
        return -errno;
    if (!l->removed)
        return 1; /* it is empty */

    /* Some file systems lose their place when entries go: look once more. */
    l->removed = false;
    rewinddir(l->dir);
    return 0;
}

/* `at` is a directory. One level of the tree is open at a time per depth; a tree that is deeper than
 * descriptors go (65536 in the appliance) fails with EMFILE, and is shallower then. */
static int remove_tree(struct walk *w, const struct ferryd_at *at)
{
    struct level *top = NULL;
    int r = open_level(at->dir, at->name, NULL, &top);
    while (r == 0 && top) {
        r = empty_level(w, &top);
        if (r <= 0)
            continue;
        char name[NAME_MAX + 1];
        snprintf(name, sizeof name, "%s", top->name);
        top = close_level(top);
        r = unlinkat(top ? dirfd(top->dir) : at->dir, name, AT_REMOVEDIR) < 0 ? -errno
                                                                              : 0;
    }
    while (top)
        top = close_level(top);
    return r;
}

static void rm_rf_run(void *arg)
{
    struct walk *w = arg;
    FERRY_AUTO(at) struct ferryd_at at = {.dir = -1};
    w->r = ferryd_at_parent(w->root, w->path, &at);
    if (w->r == 0 && unlinkat(at.dir, at.name, 0) < 0) {
        w->r = -errno;
        if (w->r == -EISDIR || w->r == -EPERM)
            w->r = strcmp(at.name, ".") == 0 ? -EINVAL : remove_tree(w, &at);
    }
    if (w->r == -ENOENT)
        w->r = 0;
}

int ferryd_rm_rf(struct ferryd_call *c, const fx_rm_rf_args *a, ferry_error *e)
{
    return run_walk(c, a->path, rm_rf_run, e);
}

/* ---- mkdir_p ------------------------------------------------------------------------------ */

/* Makes the directory that path[0..len) names, if it is not there. */
static int make_one(struct walk *w, const char *path, size_t len)
{
    char part[PATH_MAX];
    if (len >= sizeof part)
        return -ENAMETOOLONG;
    memcpy(part, path, len);
    part[len] = '\0';

    FERRY_AUTO(at) struct ferryd_at at = {.dir = -1};
    int r = ferryd_at_target(w->root, part, &at);
    if (r == 0 && mkdirat(at.dir, at.name, 0777) < 0)
        r = -errno;
    if (r != -EEXIST)
        return r;

    FERRY_AUTO(fd) int fd = ferryd_at_open(w->root, part, O_PATH | O_DIRECTORY, 0);
    return fd < 0 ? fd : 0;
}

static void mkdir_p_run(void *arg)
{
    struct walk *w = arg;

    /* Most of the time the whole of it is there, or all but the last. */
    FERRY_AUTO(fd) int fd = ferryd_at_open(w->root, w->path, O_PATH | O_DIRECTORY, 0);
    w->r = fd == -ENOENT ? 0 : fd < 0 ? fd : 1;
    for (const char *p = w->path; w->r == 0 && *p;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        w->r = make_one(w, w->path, (size_t)(p - w->path));
    }
    w->r = w->r < 0 ? w->r : 0;
}

int ferryd_mkdir_p(struct ferryd_call *c, const fx_mkdir_p_args *a, ferry_error *e)
{
    return run_walk(c, a->path, mkdir_p_run, e);
}
