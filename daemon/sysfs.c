/* Reading sysfs: see sysfs.h. Knows no device in particular. */
#include "sysfs.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

ssize_t ferryd_sysfs_read(const char *path, char *buf, size_t size)
{
    FERRY_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return n;
}

int ferryd_sysfs_line(const char *path, char *buf, size_t size)
{
    ssize_t n = ferryd_sysfs_read(path, buf, size);
    buf[n < 0 ? 0 : strcspn(buf, "\n")] = '\0';
    return n < 0 ? (int)n : 0;
}

int ferryd_sysfs_each(const char *dir, ferryd_sysfs_fn fn, void *arg)
{
    DIR *d = opendir(dir);
    if (!d)
        return -errno;
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(d));)
        if (e->d_name[0] != '.')
            r = fn(e->d_name, arg);
    closedir(d);
    return r;
}
