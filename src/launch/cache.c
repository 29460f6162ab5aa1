/* The user's cache; see cache.h. */
#include "launch/cache.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the directory --------------------------------------------------------------- */

/* Root in another user's home has no cache, rather than leaving files that the user cannot
 * remove. */
bool ferry_cache_is_ours(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022);
}

int ferry_cache_subdir(int dir, const char *name, bool create)
{
    if (create && mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
        return -1;
    FERRY_AUTO(fd) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && ferry_cache_is_ours(fd) ? ferry_take_fd(&fd) : -1;
}

int ferry_cache_dir(bool create)
{
    const char *xdg = secure_getenv("XDG_CACHE_HOME");
    const char *home = secure_getenv("HOME");
    FERRY_AUTO(fd) int base = -1;
    if (xdg && xdg[0] == '/') {
        base = ferry_cache_subdir(AT_FDCWD, xdg, create);
    } else if (home && home[0] == '/') {
        FERRY_AUTO(fd) int top = ferry_cache_subdir(AT_FDCWD, home, false);
        base = top < 0 ? -1 : ferry_cache_subdir(top, ".cache", create);
    }
    return base < 0 ? -1 : ferry_cache_subdir(base, "guestferry", create);
}

/* ---- small files ------------------------------------------------------------------- */

bool ferry_cache_read(const char *name, char *buf, size_t size)
{
    FERRY_AUTO(fd) int dir = ferry_cache_dir(false);
    if (dir < 0)
        return false;
    FERRY_AUTO(fd)
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || !ferry_cache_is_ours(fd) || fstat(fd, &st) < 0 ||
        !S_ISREG(st.st_mode) || (uintmax_t)st.st_size >= size)
        return false;
    ssize_t n = read(fd, buf, size - 1);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

bool ferry_cache_write(const char *name, const char *text, size_t len)
{
    char temp[64];
    FERRY_AUTO(fd) int dir = ferry_cache_dir(true);
    if (dir < 0)
        return false;
    snprintf(temp, sizeof temp, "%s.%d", name, (int)gettid());
    unlinkat(dir, temp, 0); /* left by a thread of our id that was killed here */
    FERRY_AUTO(fd) int fd =
        openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len &&
              renameat(dir, temp, dir, name) == 0;
    if (fd >= 0 && !ok)
        unlinkat(dir, temp, 0);
    return ok;
}

void ferry_cache_forget(const char *name)
{
    FERRY_AUTO(fd) int dir = ferry_cache_dir(false);
    if (dir >= 0)
        unlinkat(dir, name, 0);
}

/* ---- identity ---------------------------------------------------------------------- */

bool ferry_file_id(const char *path, char buf[FERRY_FILE_ID])
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    snprintf(buf, FERRY_FILE_ID, "%jx:%jx:%jx:%jx.%lx:%jx.%lx", (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino, (uintmax_t)st.st_size, (uintmax_t)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec, (uintmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return true;
}
