/* See partial.h. Called by daemon/target.c and src/api/sink_path.c. */
#include "base/partial.h"

#include "base/auto.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

char *ferry_partial_name(const char *target)
{
    char *name;
    return asprintf(&name, "%s" FERRY_PARTIAL_SUFFIX, target) < 0 ? NULL : name;
}

/* O_NOFOLLOW looks at the last component only: what is above it was resolved before. */
static int open_ours(int dir, const char *partial)
{
    struct stat st;
    FERRY_AUTO(fd) int fd =
        openat(dir, partial, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ENOENT : -EEXIST;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid())
        return -EEXIST;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    return ferry_take_fd(&fd);
}

int ferry_partial_check(int dir, const char *partial, int fd)
{
    struct stat there, ours;
    if (fstatat(dir, partial, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (fstat(fd, &ours) < 0)
        return -errno;
    return there.st_dev == ours.st_dev && there.st_ino == ours.st_ino ? 0 : -ENOENT;
}

int ferry_partial_open(int dir, const char *partial)
{
    FERRY_AUTO(fd) int fd = open_ours(dir, partial);
    if (fd < 0)
        return fd;
    /* Whoever had the lock until now may have renamed it into its target's place. */
    int r = ferry_partial_check(dir, partial, fd);
    return r < 0 ? r : ferry_take_fd(&fd);
}

/* /proc instead of AT_EMPTY_PATH, which takes a capability. linkat never replaces. */
static int link_nameless(int dir, const char *partial, int fd)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, dir, partial, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int ferry_partial_keep(int dir, const char *partial, int fd, const char *temp,
                       off_t size)
{
    if (ftruncate(fd, size) < 0)
        return -errno;

    FERRY_AUTO(fd) int old = ferry_partial_open(dir, partial); /* locked until the end */
    if (old < 0 && old != -ENOENT)
        return old;
    if (temp)
        return renameat(dir, temp, dir, partial) < 0 ? -errno : 0;
    if (old >= 0 && unlinkat(dir, partial, 0) < 0)
        return -errno;
    return link_nameless(dir, partial, fd);
}

void ferry_partial_remove(int dir, const char *partial)
{
    FERRY_AUTO(fd) int old = ferry_partial_open(dir, partial);
    if (old >= 0)
        unlinkat(dir, partial, 0);
}
