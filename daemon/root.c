/* Guest paths: see root.h. Owns struct ferryd's root; called by every file of calls; knows
 * nothing of what they do with a path. */
#include "root.h"

#include "base/auto.h"
#include "base/error.h"
#include "block.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* As many links as the kernel follows in one lookup (MAXSYMLINKS). */
#define MAX_LINKS 40

/* RESOLVE_IN_ROOT gives up with EAGAIN when a rename elsewhere might have moved a ".."
 * out of the root. Somebody who renames for ever must not keep a pool thread. */
#define MAX_RACES 64

/* ---- the root -------------------------------------------------------------------- */

int ferryd_root_open(struct ferryd *d)
{
    int fd = open(d->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    ferry_file *root;
    int r = ferry_file_new(fd, &root);
    if (r < 0)
        return r;
    ferryd_root_close(d);
    d->root = root;
    return 0;
}

void ferryd_root_close(struct ferryd *d)
{
    ferry_file_unref(ferry_take(&d->root));
}

int ferryd_root_get(const struct ferryd_call *c, ferry_file **ret, ferry_error *e)
{
    if (!c->d->root)
        return ferryd_failf(c, e, -FERRY_ESTATE,
                            "nothing is mounted at /: call mount first");
    *ret = ferry_file_ref(c->d->root);
    return 0;
}

/* ---- lookups --------------------------------------------------------------------- */

static int open_in(int root, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
    };
    if (path[0] != '/')
        return -EINVAL;

    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

int ferryd_at_open(int root, const char *path, int flags, mode_t mode)
{
    int fd = -EAGAIN;
    for (int i = 0; fd == -EAGAIN && i < MAX_RACES; i++)
        fd = open_in(root, path, flags, mode, 0);
    return fd;
}

struct lookup {
    int root;
    const char *path;
    int flags;
    ferryd_path_fn fn;
    void *arg;
    int r;
};

static void lookup_run(void *arg)
{
    struct lookup *l = arg;
    FERRY_AUTO(fd) int fd = ferryd_at_open(l->root, l->path, l->flags, 0);
    l->r = fd < 0 ? fd : l->fn(fd, l->arg);
}

static int on_pool(const struct ferryd_call *c, struct lookup *l, ferry_error *e)
{
    int r = ferryd_block(lookup_run, l);
    if (r == 0)
        r = l->r;
    return r < 0 ? ferryd_fail(c, e, r, l->path) : r;
}

/* A file system in a process of its own answers even a cached stat in its own time. */
static int try_cached(const struct ferryd_call *c, int root, const char *path,
                      int flags, ferryd_path_fn fn, void *arg)
{
    FERRY_AUTO(fd) int fd = -EAGAIN;
    if (!c->d->fuse)
        fd = open_in(root, path, flags | O_PATH, 0, RESOLVE_CACHED);
    return fd < 0 ? fd : fn(fd, arg);
}

int ferryd_try_path(const struct ferryd_call *c, const char *path, int flags,
                    ferryd_path_fn fn, void *arg)
{
    return c->d->root ? try_cached(c, c->d->root->fd, path, flags, fn, arg) : -EAGAIN;
}

int ferryd_with_path(const struct ferryd_call *c, const char *path, int flags,
                     ferryd_path_fn fn, void *arg, ferry_error *e)
{
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    r = try_cached(c, root->fd, path, flags, fn, arg);
    if (r == -EAGAIN) {
        struct lookup l = {root->fd, path, flags | O_PATH, fn, arg, 0};
        return on_pool(c, &l, e);
    }
    return r < 0 ? ferryd_fail(c, e, r, path) : r;
}

int ferryd_with_file(const struct ferryd_call *c, const char *path, int flags,
                     ferryd_path_fn fn, void *arg, ferry_error *e)
{
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    struct lookup l = {root->fd, path, flags, fn, arg, 0};
    return on_pool(c, &l, e);
}

/* ---- directory and name ---------------------------------------------------------- */

int ferryd_split_path(const char *path, char dir[PATH_MAX], char name[NAME_MAX + 1])
{
    size_t len = strlen(path);
    if (path[0] != '/')
        return -EINVAL;
    if (len >= PATH_MAX)
        return -ENAMETOOLONG;

    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (path[start - 1] != '/')
        start--;

    size_t n = len - start;
    if (n > NAME_MAX)
        return -ENAMETOOLONG;
    if (n == 2 && path[start] == '.' && path[start + 1] == '.')
        return -EINVAL;

    memcpy(dir, path, start); /* with its slash, so that "/" stays "/" */
    dir[start] = '\0';
    memcpy(name, n ? path + start : ".", n ? n : 1);
    name[n ? n : 1] = '\0';
    return 0;
}

int ferryd_at_parent(int root, const char *path, struct ferryd_at *ret)
{
    char dir[PATH_MAX];
    struct ferryd_at at;
    int r = ferryd_split_path(path, dir, at.name);
    if (r < 0)
        return r;

    at.dir = ferryd_at_open(root, dir, O_PATH | O_DIRECTORY, 0);
    if (at.dir < 0)
        return at.dir;
    *ret = at;
    return 0;
}

/* The link's text as a path of the root: next = text, or dirname(path)/text. */
static int follow(const char *path, const char *text, char next[PATH_MAX])
{
    char dir[PATH_MAX] = "", name[NAME_MAX + 1];
    if (text[0] != '/') {
        int r = ferryd_split_path(path, dir, name);
        if (r < 0)
            return r;
    }

    size_t dlen = strlen(dir), tlen = strlen(text);
    if (tlen == 0)
        return -ENOENT;
    if (dlen + tlen >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(next, dir, dlen);
    memcpy(next + dlen, text, tlen + 1);
    return 0;
}

/* The kernel resolves every directory on the way inside the root; only the last component's
 * links are walked here, because for those it has no "and give me the place where it
 * would be made". */
int ferryd_at_target(int root, const char *path, struct ferryd_at *ret)
{
    char now[PATH_MAX], text[PATH_MAX], next[PATH_MAX];
    if (strlen(path) >= sizeof now)
        return -ENAMETOOLONG;
    strcpy(now, path);

    for (int links = 0; links < MAX_LINKS; links++) {
        FERRY_AUTO(at) struct ferryd_at at = {.dir = -1};
        int r = ferryd_at_parent(root, now, &at);
        if (r < 0)
            return r;

        ssize_t n = readlinkat(at.dir, at.name, text, sizeof text - 1);
        if (n < 0) { /* EINVAL: no link; ENOENT: nothing there; the rest comes again */
            *ret = at;
            at.dir = -1;
            return 0;
        }
        text[n] = '\0';
        r = follow(now, text, next);
        if (r < 0)
            return r;
        strcpy(now, next);
    }
    return -ELOOP;
}

/* What the kernel calls an open directory; 0: something went wrong. */
static size_t name_of(int fd, char path[PATH_MAX])
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(self, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = '\0';
    return n < 0 ? 0 : (size_t)n;
}

char *ferryd_at_path(int root, const struct ferryd_at *at, const char *name)
{
    char top[PATH_MAX], dir[PATH_MAX], *path;
    size_t n = name_of(root, top);
    if (n == 0 || name_of(at->dir, dir) == 0)
        return NULL;
    if (strcmp(top, "/") == 0)
        n = 0;
    bool below = strncmp(top, dir, n) == 0 && (dir[n] == '/' || dir[n] == '\0');
    if (!below ||
        asprintf(&path, "%s/%s", strcmp(dir + n, "/") ? dir + n : "", name) < 0)
        return NULL;
    return path;
}

struct parent {
    int root;
    const char *path;
    ferryd_at_fn fn;
    void *arg;
    int r;
};

static void parent_run(void *arg)
{
    struct parent *p = arg;
    FERRY_AUTO(at) struct ferryd_at at = {.dir = -1};
    p->r = ferryd_at_parent(p->root, p->path, &at);
    if (p->r == 0)
        p->r = p->fn(&at, p->arg);
}

int ferryd_with_parent(const struct ferryd_call *c, const char *path, ferryd_at_fn fn,
                       void *arg, ferry_error *e)
{
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    struct parent p = {root->fd, path, fn, arg, 0};
    r = ferryd_block(parent_run, &p);
    if (r == 0)
        r = p.r;
    return r < 0 ? ferryd_fail(c, e, r, path) : r;
}
