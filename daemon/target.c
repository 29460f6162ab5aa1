/* Temporaries and their commit: see target.h. Called by upload.c; knows nothing of streams. */
#include "target.h"

#include "base/auto.h"
#include "base/digest.h"
#include "base/partial.h"
#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define FILE_MODE 0644

/* Names tried for a temporary before giving up: each is one of a billion. */
#define MAX_TRIES 16

/* ---- what the file system can do ------------------------------------------------------- */

/* ext4, xfs and btrfs write past the end of a file directly, and allocate without writing zeroes.
 * ntfs-3g gets its data in messages of 128 KiB with O_DIRECT, of one page without (7 MB/s
 * under TCG). vfat takes O_DIRECT and buffers all the same. */
static void learn_filesystem(struct ferryd_target *t)
{
    struct statfs fs;
    if (fstatfs(t->fd, &fs) < 0)
        return;
    bool fast = t->device || fs.f_type == EXT4_SUPER_MAGIC ||
                fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC;
    bool fuse = fs.f_type == FUSE_SUPER_MAGIC && !t->device;
    t->owners = fs.f_type != MSDOS_SUPER_MAGIC && !fuse;
    t->can_alloc = fast && t->fresh && !t->device;
    t->parallel = fast;
    if (!(fast && t->opts.large) && !fuse)
        return;

    /* A second description: buffered tails and direct middles are in flight together. */
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", t->fd);
    t->direct = open(link, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

/* ---- opening ----------------------------------------------------------------------------- */

static void make_name(char name[NAME_MAX + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t random[6];
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random)
        memset(random, 0, sizeof random); /* O_EXCL finds out, and we try again */
    memcpy(name, ".ferry-XXXXXX~", 15);
    for (size_t i = 0; i < sizeof random; i++)
        name[7 + i] = letters[random[i] % 32];
}

static int open_named(struct ferryd_target *t)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int r = -EEXIST;
    for (int i = 0; r == -EEXIST && i < MAX_TRIES; i++) {
        make_name(t->temp);
        t->fd = openat(t->at.dir, t->temp, flags, 0600);
        r = t->fd < 0 ? -errno : 0;
    }
    if (r < 0)
        t->temp[0] = '\0';
    return r;
}

/* 0600 until the commit: a temporary is nobody's business. */
static int open_temp(struct ferryd_target *t)
{
    t->fd = openat(t->at.dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (t->fd >= 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
        return open_named(t);
    return -errno;
}

uint64_t ferryd_stamp(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

/* The host has compared it with what it sends; between that and now it was not locked. */
static int open_partial(struct ferryd_target *t)
{
    struct stat st;
    FERRY_AUTO(mem) char *name = ferry_partial_name(t->at.name);
    if (!name)
        return -ENOMEM;
    FERRY_AUTO(fd) int fd = ferry_partial_open(t->at.dir, name);
    if (fd < 0)
        return fd == -ENOENT || fd == -EEXIST ? -FERRY_ECHANGED : fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size < t->opts.resume_at ||
        ferryd_stamp(&st) != t->opts.resume_stamp)
        return -FERRY_ECHANGED;
    if (ftruncate(fd, (off_t)t->opts.resume_at) < 0)
        return -errno;
    strcpy(t->temp, name); /* it was opened by it, so it fits */
    t->resumed = true;
    t->fd = ferry_take_fd(&fd);
    return 0;
}

/* What is at the target's name: 1 a regular file, 0 nothing, or why it cannot be one. */
static int look_at_target(const struct ferryd_target *t)
{
    struct stat st;
    if (fstatat(t->at.dir, t->at.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return S_ISREG(st.st_mode) ? 1 : -EINVAL;
}

static int open_in_place(struct ferryd_target *t, int exists)
{
    int flags =
        O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (exists ? 0 : O_CREAT | O_EXCL);
    t->fresh = !exists;
    return openat(t->at.dir, t->at.name, flags, 0600);
}

static int open_file(int root, struct ferryd_target *t)
{
    int r = ferryd_at_target(root, t->opts.path, &t->at);
    if (r < 0)
        return r;
    int exists = look_at_target(t);
    if (exists < 0)
        return exists;

    if (!exists && t->opts.path[strlen(t->opts.path) - 1] == '/')
        return -EISDIR; /* the name of a directory that is not there */

    t->fresh = true;
    if (!t->opts.in_place)
        return t->opts.resume_at ? open_partial(t) : open_temp(t);
    t->fd = open_in_place(t, exists);
    return t->fd < 0 ? -errno : 0;
}

/* O_EXCL: not under a mounted file system. */
static int open_device(struct ferryd_target *t)
{
    t->device = true;
    t->opts.in_place = true;
    t->fd = open(t->opts.path, O_WRONLY | O_EXCL | O_CLOEXEC);
    if (t->fd < 0)
        return errno == EACCES || errno == EPERM ? -EROFS : -errno;
    return 0;
}

int ferryd_target_open(int root, const struct ferryd_target_opts *o,
                       struct ferryd_target *ret)
{
    struct ferryd_target t = {.opts = *o,
                              .at = {.dir = -1},
                              .fd = -1,
                              .direct = -1,
                              .owners = true};
    t.opts.in_place |= o->offset != 0;

    int r = ferryd_is_device(o->path) ? open_device(&t) : open_file(root, &t);
    if (r < 0) {
        ferry_auto_at(&t.at);
        return r;
    }
    learn_filesystem(&t);
    *ret = t;
    return 0;
}

/* ---- attributes ---------------------------------------------------------------------------- */

/* ACLs are xattrs too (system.posix_acl_access). "btrfs." ones are properties that a new file has
 * from its directory. */
static int copy_xattr(int from, int to, const char *name)
{
    if (strncmp(name, "btrfs.", 6) == 0)
        return 0;
    ssize_t n = fgetxattr(from, name, NULL, 0);
    if (n < 0)
        return errno == ENODATA ? 0 : -errno;

    FERRY_AUTO(mem) char *value = malloc((size_t)n + 1);
    if (!value)
        return -ENOMEM;
    n = fgetxattr(from, name, value, (size_t)n);
    if (n < 0)
        return errno == ENODATA ? 0 : -errno;
    return fsetxattr(to, name, value, (size_t)n, 0) < 0 ? -errno : 0;
}

static int copy_xattrs(int from, int to)
{
    ssize_t n = flistxattr(from, NULL, 0);
    if (n <= 0)
        return n == 0 || errno == ENOTSUP ? 0 : -errno;

    FERRY_AUTO(mem) char *names = malloc((size_t)n);
    if (!names)
        return -ENOMEM;
    n = flistxattr(from, names, (size_t)n);
    int r = n < 0 ? -errno : 0;
    for (char *name = names; r == 0 && name < names + n; name += strlen(name) + 1)
        r = copy_xattr(from, to, name);
    return r;
}

/* A file system without owners says EPERM to all but its one answer. */
static int set_owner(const struct ferryd_target *t, uid_t uid, gid_t gid)
{
    return fchown(t->fd, uid, gid) < 0 && t->owners ? -errno : 0;
}

static int set_mode(const struct ferryd_target *t, mode_t mode)
{
    return fchmod(t->fd, mode & 07777) < 0 && t->owners ? -errno : 0;
}

/* The order matters: a change of owner clears set-id bits and capabilities, and an ACL brings a
 * mode of its own. */
static int take_over(const struct ferryd_target *t, int old)
{
    struct stat st;
    int r = fstat(old, &st) < 0 ? -errno : 0;
    if (r == 0)
        r = set_owner(t, st.st_uid, st.st_gid);
    if (r == 0)
        r = copy_xattrs(old, t->fd);
    if (r == 0)
        r = set_mode(t, st.st_mode);
    return r;
}

static int set_attributes(const struct ferryd_target *t)
{
    const struct ferryd_target_opts *o = &t->opts;
    if (!o->in_place) {
        FERRY_AUTO(fd) int old = openat(t->at.dir, t->at.name,
                                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (old >= 0)
            return take_over(t, old);
        if (errno != ENOENT)
            return -errno;
    } else if (!t->fresh || t->device) {
        return 0;
    }

    int r = 0;
    if (o->uid != 0 || o->gid != 0) /* else root, and the group of a set-gid directory */
        r = set_owner(t, o->uid, o->gid ? o->gid : (gid_t)-1);
    return r == 0 ? set_mode(t, o->mode ? o->mode : FILE_MODE) : r;
}

/* ---- commit ----------------------------------------------------------------------------------- */

/* Gives a nameless temporary the target's name, or one of its own when that is taken. */
static int link_temp(struct ferryd_target *t)
{
    if (linkat(t->fd, "", t->at.dir, t->at.name, AT_EMPTY_PATH) == 0)
        return 0;
    int r = -errno;
    for (int i = 0; r == -EEXIST && i < MAX_TRIES; i++) {
        make_name(t->temp);
        r = linkat(t->fd, "", t->at.dir, t->temp, AT_EMPTY_PATH) < 0 ? -errno : 0;
    }
    if (r < 0)
        t->temp[0] = '\0';
    return r;
}

static int put_in_place(struct ferryd_target *t)
{
    int r = 0;
    if (t->resumed)
        r = ferry_partial_check(t->at.dir, t->temp, t->fd);
    else if (!t->temp[0])
        r = link_temp(t);
    if (r < 0 || !t->temp[0])
        return r;
    if (renameat(t->at.dir, t->temp, t->at.dir, t->at.name) < 0)
        return -errno;
    t->temp[0] = '\0';
    return 0;
}

/* The target is complete: what an earlier try has left is of no use. */
static void remove_partial(const struct ferryd_target *t)
{
    FERRY_AUTO(mem) char *name = ferry_partial_name(t->at.name);
    if (name)
        ferry_partial_remove(t->at.dir, name);
}

static int sync_dir(const struct ferryd_target *t)
{
    FERRY_AUTO(fd) int fd = openat(t->at.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* In place from an offset means "these bytes"; from 0, "this content". Either way the file
 * reaches to the last byte, a hole at the end included. */
static int set_size(const struct ferryd_target *t, uint64_t end)
{
    struct stat st;
    if (t->device)
        return 0;
    if (fstat(t->fd, &st) < 0)
        return -errno;
    bool keep = t->opts.offset != 0 && (uint64_t)st.st_size > end;
    if (keep || (uint64_t)st.st_size == end)
        return 0;
    return ftruncate(t->fd, (off_t)end) < 0 ? -errno : 0;
}

int ferryd_target_commit(struct ferryd_target *t, uint64_t end)
{
    int r = set_size(t, end);
    if (r == 0)
        r = set_attributes(t);
    if (r == 0 && t->opts.durable && fsync(t->fd) < 0)
        r = -errno;
    if (r == 0 && !t->opts.in_place)
        r = put_in_place(t);
    if (r == 0 && t->opts.keep && !t->opts.in_place && !t->resumed)
        remove_partial(t);
    if (r == 0 && t->opts.durable && !t->device)
        r = sync_dir(t);
    return r;
}

/* ---- what is left ------------------------------------------------------------------------------- */

/* Less than a piece is not worth it: nothing of it could be taken over (base/digest.h). As long as it
 * is a partial it is nobody's business, as a temporary. */
int ferryd_target_keep(struct ferryd_target *t, int root, uint64_t end, char **ret_path)
{
    FERRY_AUTO(mem) char *name = ferry_partial_name(t->at.name);
    FERRY_AUTO(mem) char *path = name ? ferryd_at_path(root, &t->at, name) : NULL;
    if (!path)
        return -ENOMEM;
    if (!t->opts.keep || t->opts.in_place || end < FERRY_DIGEST_PIECE)
        return -ENODATA;

    (void)set_mode(t, 0600);
    (void)set_owner(t, 0, 0);
    int r;
    if (t->resumed)
        r = ftruncate(t->fd, (off_t)end) < 0 ? -errno : 0;
    else
        r = ferry_partial_keep(t->at.dir, name, t->fd, t->temp[0] ? t->temp : NULL,
                               (off_t)end);
    if (r < 0)
        return r;
    t->temp[0] = '\0';
    *ret_path = ferry_take(&path);
    return 0;
}

int ferryd_partial_open(int root, const char *path, char **ret_path)
{
    FERRY_AUTO(at) struct ferryd_at at = {.dir = -1};
    int r = ferryd_at_target(root, path, &at);
    if (r < 0)
        return r;
    FERRY_AUTO(mem) char *name = ferry_partial_name(at.name);
    if (!name)
        return -ENOMEM;
    int fd = ferry_partial_open(at.dir, name);
    if (fd < 0)
        return fd == -EEXIST ? -ENOENT : fd;
    *ret_path = ferryd_at_path(root, &at, name);
    return fd;
}

void ferryd_target_close(struct ferryd_target *t)
{
    if (t->temp[0] && !t->resumed)
        unlinkat(t->at.dir, t->temp, 0);
    if (t->direct >= 0)
        close(t->direct);
    close(t->fd);
    ferry_auto_at(&t->at);
}
