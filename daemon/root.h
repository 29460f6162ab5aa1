/* Guest paths: everything a caller names is looked up below the mounted root and cannot leave it.
 *
 *      /sysroot             openat2(root, path, RESOLVE_IN_ROOT): "/", ".." at the top and
 *        |-- etc            absolute symlinks all mean /sysroot, whatever the image's
 *        `-- boot (sda1)    symlinks say
 *
 * Two ways in. Lookups (stat, readlink, the kind of a file) try the kernel's directory cache
 * on the loop's thread, which never touches a disk (RESOLVE_CACHED), and go to the pool only
 * when the path is not in it. All else runs in blocking work from the start
 * and uses the ferryd_at functions. */
#ifndef FERRYD_ROOT_H
#define FERRYD_ROOT_H

#include "call.h"

#include <limits.h>
#include <sys/stat.h>

/* Opens what is mounted at d->root_path: call after a mount of "/". Blocks. */
int ferryd_root_open(struct ferryd *d);
void ferryd_root_close(struct ferryd *d);

/* A reference to the root, for as long as the caller needs it; -FERRY_ESTATE with the text "nothing is
 * mounted at /: call mount first". */
int ferryd_root_get(const struct ferryd_call *c, ferry_file **ret, ferry_error *e);

/* Calls fn(fd, arg) with the path opened O_PATH | flags (O_NOFOLLOW, O_DIRECTORY): on the loop's
 * thread when the path is cached, so fn must not block on a file whose inode
 * is in memory; else on the pool. Returns what fn returned, with e filled from a failure
 * ("PATH: no such file or directory"). */
typedef int (*ferryd_path_fn)(int fd, void *arg);
FERRY_CO int ferryd_with_path(const struct ferryd_call *c, const char *path, int flags,
                              ferryd_path_fn fn, void *arg, ferry_error *e);

/* Only the first half: -EAGAIN when the path is not cached. */
int ferryd_try_path(const struct ferryd_call *c, const char *path, int flags,
                    ferryd_path_fn fn, void *arg);

/* The same, always on the pool and opened with exactly `flags`: fn may block. */
FERRY_CO int ferryd_with_file(const struct ferryd_call *c, const char *path, int flags,
                              ferryd_path_fn fn, void *arg, ferry_error *e);

/* Calls fn with the directory and the name of a path's last component, which need not
 * exist: for what makes, renames or removes a name. On the pool. */
struct ferryd_at {
    int dir; /* O_PATH */
    char name[NAME_MAX + 1];
};
typedef int (*ferryd_at_fn)(const struct ferryd_at *at, void *arg);
FERRY_CO int ferryd_with_parent(const struct ferryd_call *c, const char *path,
                                ferryd_at_fn fn, void *arg, ferry_error *e);

/* ---- for blocking work; paths are the caller's, unchecked ------------------------- */

/* A descriptor (O_CLOEXEC added), or -errno. -FERRY_EINVAL: not an absolute path. */
int ferryd_at_open(int root, const char *path, int flags, mode_t mode);

/* Directory and name of the last component, which is not looked at. Trailing slashes are allowed;
 * "/" gives the root and ".", for which the kernel has the right errors. -EINVAL: ends in "..". */
int ferryd_at_parent(int root, const char *path, struct ferryd_at *ret);

/* The same, but a symlink as last component is followed (inside the root), to a
 * file that need not exist: where open(O_CREAT) would make it. */
int ferryd_at_target(int root, const char *path, struct ferryd_at *ret);

/* The path by which a caller would name `name` in at's directory, malloced. NULL: no memory, or the
 * directory is gone. */
char *ferryd_at_path(int root, const struct ferryd_at *at, const char *name);

static inline void ferry_auto_at(struct ferryd_at *at)
{
    if (at->dir >= 0)
        close(at->dir);
}

/* Pure: cuts "/a/b//" into "/a" and "b", "/" into "/" and ".". -EINVAL: no leading slash, or ".."
 * at the end (the system calls that take a name would leave the root by it); -ENAMETOOLONG. */
int ferryd_split_path(const char *path, char dir[PATH_MAX], char name[NAME_MAX + 1]);

#endif
