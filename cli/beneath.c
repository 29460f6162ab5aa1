/* openat2 below a root; see beneath.h. */
#include "beneath.h"

#include "auto.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int beneath_check_name(const char *name)
{
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
        return -EINVAL;
    return 0;
}

int beneath_open(int root, const char *rel, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)flags | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    do
        fd = syscall(SYS_openat2, root, rel, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN); /* a rename raced with the lookup */
    return fd < 0 ? -errno : (int)fd;
}

/* Opens the directory that holds rel and gives rel's last component. */
static int open_parent(int root, const char *rel, const char **ret_name)
{
    const char *slash = strrchr(rel, '/');
    *ret_name = slash ? slash + 1 : rel;
    int r = beneath_check_name(*ret_name);
    if (r < 0)
        return r;
    if (!slash)
        return beneath_open(root, ".", O_PATH | O_DIRECTORY);
    FERRY_AUTO(mem) char *dir = strndup(rel, (size_t)(slash - rel));
    return dir ? beneath_open(root, dir, O_PATH | O_DIRECTORY) : -ENOMEM;
}

int beneath_mkdir(int root, const char *rel, mode_t mode)
{
    const char *name;
    FERRY_AUTO(fd) int dir = open_parent(root, rel, &name);
    if (dir < 0)
        return dir;
    if (mkdirat(dir, name, mode) == 0)
        return 1;
    if (errno != EEXIST)
        return -errno;
    FERRY_AUTO(fd) int there = beneath_open(dir, name, O_PATH | O_DIRECTORY);
    return there < 0 ? -ENOTDIR : 0;
}

int beneath_chmod_dir(int root, const char *rel, mode_t mode)
{
    FERRY_AUTO(fd) int dir = beneath_open(root, rel, O_RDONLY | O_DIRECTORY);
    if (dir < 0)
        return dir;
    return fchmod(dir, mode) < 0 ? -errno : 0;
}

int beneath_symlink(int root, const char *rel, const char *target)
{
    const char *name;
    FERRY_AUTO(fd) int dir = open_parent(root, rel, &name);
    if (dir < 0)
        return dir;
    if (symlinkat(target, dir, name) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (unlinkat(dir, name, 0) < 0)
        return -errno;
    return symlinkat(target, dir, name) < 0 ? -errno : 0;
}

int beneath_create(int root, const char *rel, mode_t mode, char **ret_temp)
{
    const char *name;
    FERRY_AUTO(fd) int dir = open_parent(root, rel, &name);
    if (dir < 0)
        return dir;

    /* Not made of the name: that may be as long as a name can be. */
    FERRY_AUTO(mem) char *temp = NULL;
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -EIO;
    if (asprintf(&temp, ".gferry-%016llx", (unsigned long long)random) < 0) {
        temp = NULL;
        return -ENOMEM;
    }
    int fd = openat(dir, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    *ret_temp = ferry_take(&temp);
    return fd;
}

int beneath_commit(int root, const char *rel, int fd, const char *temp)
{
    const char *name;
    FERRY_AUTO(fd) int dir = open_parent(root, rel, &name);
    if (dir < 0)
        return dir;
    struct stat old;
    if (fstatat(dir, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(old.st_mode))
        if (fchmod(fd, old.st_mode & 0777) < 0)
            return -errno;
    return renameat(dir, temp, dir, name) < 0 ? -errno : 0;
}

void beneath_discard(int root, const char *rel, const char *temp)
{
    const char *name;
    FERRY_AUTO(fd) int dir = open_parent(root, rel, &name);
    if (dir >= 0)
        unlinkat(dir, temp, 0);
}
