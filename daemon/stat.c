/* Calls that say what a path is: stat, lstat, readlink, statvfs. The first two are answered on the
 * loop's thread when the path is cached (root.h): a guest's answer then costs four
 * system calls and no other thread. */
#include "root.h"

#include "base/auto.h"

#include "daemon_calls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not fstat(): until 2.39 glibc makes an fstatat() of the empty path of it, along which the kernel walks: 700 of
 * the 13,600 instructions of the guest's for a stat. */
static int stat_fd(int fd, void *arg)
{
    return syscall(SYS_fstat, fd, (struct stat *)arg) < 0 ? -errno : 0;
}

static FERRY_CO int do_stat(struct ferryd_call *c, const char *path, int flags,
                            fx_stat_info *ret, ferry_error *e)
{
    struct stat st;
    int r = ferryd_with_path(c, path, flags, stat_fd, &st, e);
    if (r < 0)
        return r;

    *ret = (fx_stat_info){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .mode = st.st_mode,
        .nlink = st.st_nlink,
        .uid = st.st_uid,
        .gid = st.st_gid,
        .rdev = st.st_rdev,
        .size = st.st_size,
        .blksize = st.st_blksize,
        .blocks = st.st_blocks,
        .atime_sec = st.st_atim.tv_sec,
        .atime_nsec = (uint32_t)st.st_atim.tv_nsec,
        .mtime_sec = st.st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)st.st_mtim.tv_nsec,
        .ctime_sec = st.st_ctim.tv_sec,
        .ctime_nsec = (uint32_t)st.st_ctim.tv_nsec,
    };
    return 0;
}

int ferryd_stat(struct ferryd_call *c, const fx_stat_args *a, fx_stat_ret *ret,
                ferry_error *e)
{
    return do_stat(c, a->path, 0, &ret->value, e);
}

int ferryd_lstat(struct ferryd_call *c, const fx_lstat_args *a, fx_lstat_ret *ret,
                 ferry_error *e)
{
    return do_stat(c, a->path, O_NOFOLLOW, &ret->value, e);
}

/* A long link's text is a block on the disk: never on the loop's thread. ENOENT is what
 * readlinkat says of a descriptor that is no link. */
static int read_link(int fd, void *arg)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(fd, "", text, sizeof text - 1);
    if (n < 0)
        return errno == ENOENT ? -EINVAL : -errno;
    text[n] = '\0';
    char *copy = strdup(text);
    *(char **)arg = copy;
    return copy ? 0 : -ENOMEM;
}

int ferryd_readlink(struct ferryd_call *c, const fx_readlink_args *a,
                    fx_readlink_ret *ret, ferry_error *e)
{
    int r = ferryd_with_file(c, a->path, O_PATH | O_NOFOLLOW, read_link, &ret->value, e);
    return r == -EINVAL ? ferryd_failf(c, e, r, "%s: not a symbolic link", a->path) : r;
}

static int statvfs_fd(int fd, void *arg)
{
    return fstatvfs(fd, arg) < 0 ? -errno : 0;
}

int ferryd_statvfs(struct ferryd_call *c, const fx_statvfs_args *a, fx_statvfs_ret *ret,
                   ferry_error *e)
{
    struct statvfs st;
    int r = ferryd_with_file(c, a->path, O_PATH, statvfs_fd, &st, e);
    if (r < 0)
        return r;

    ret->value = (fx_statvfs_info){
        .bsize = st.f_bsize,
        .frsize = st.f_frsize,
        .blocks = st.f_blocks,
        .bfree = st.f_bfree,
        .bavail = st.f_bavail,
        .files = st.f_files,
        .ffree = st.f_ffree,
        .favail = st.f_favail,
        .fsid = st.f_fsid,
        .flag = st.f_flag,
        .namemax = st.f_namemax,
    };
    return 0;
}
