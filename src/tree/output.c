/* A file in the making: see output.h. */
#include "tree/output.h"

#include "tree/meta.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* A longer file is made under a temporary name: if all ends in the middle of it, power included,
 * nobody finds a part of it under its own. */
#define NAMED_MAX (256 * 1024)

/* O_DIRECT pays from here on, where a file system is any good at it. */
#define DIRECT_MIN (1 << 20)

#define BLOCK 4096

/* Names tried for a temporary before giving up: each is one of a billion. */
#define MAX_TRIES 16

void ferry_output_temp(char name[24])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t random[6];
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random)
        memset(random, 0, sizeof random); /* O_EXCL finds out */
    memcpy(name, ".ferry-XXXXXX~", 15);
    for (size_t i = 0; i < sizeof random; i++)
        name[7 + i] = letters[random[i] % 32];
}

static int open_temp(ferry_output *o, mode_t mode)
{
    int fd = -1;
    errno = EEXIST;
    for (int i = 0; fd < 0 && errno == EEXIST && i < MAX_TRIES; i++) {
        ferry_output_temp(o->temp);
        fd = openat(o->dir, o->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    mode);
    }
    if (fd < 0)
        o->temp[0] = '\0';
    return fd < 0 ? -errno : fd;
}

/* What is in its place may be replaced, unless it is a directory. */
static int open_beside(ferry_output *o, mode_t mode)
{
    struct stat st;
    if (fstatat(o->dir, o->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode))
            return -EISDIR;
        o->replaces = S_ISREG(st.st_mode);
    }
    return open_temp(o, mode);
}

int ferry_output_open(ferry_output *o, int dir, const ferry_tree_record *file,
                      const char *name, unsigned keep, bool direct)
{
    *o = (ferry_output){.fd = -1, .direct = -1, .dir = dir, .size = file->size};
    strcpy(o->name, name);
    /* Nobody else's business until its attributes are set, if they are to be exact. */
    mode_t mode = keep & FERRY_TREE_ARCHIVE ? 0600 : file->meta.mode & 0777;
    int fd = -EEXIST;
    if (o->size <= NAMED_MAX) {
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    mode);
        fd = fd < 0 ? -errno : fd;
    }
    if (fd == -EEXIST)
        fd = open_beside(o, mode);
    if (fd < 0)
        return fd;

    o->fd = fd;
    if (direct && o->size >= DIRECT_MIN) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        o->direct = open(link, O_WRONLY | O_DIRECT | O_CLOEXEC);
    }
    return 0;
}

static ssize_t write_at(const ferry_output *o, const uint8_t *data, size_t len)
{
    size_t blocks = len / BLOCK * BLOCK;
    ssize_t n = -1;
    errno = EINVAL;
    if (o->direct >= 0 && blocks > 0 && o->at % BLOCK == 0 &&
        (uintptr_t)data % BLOCK == 0)
        n = pwrite(o->direct, data, blocks, (off_t)o->at);
    if (n < 0 && errno == EINVAL)
        n = pwrite(o->fd, data, len, (off_t)o->at);
    return n < 0 ? -errno : n == 0 ? -EIO : n;
}

int ferry_output_write(ferry_output *o, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write_at(o, data, len);
        if (n < 0)
            return (int)n;
        data += n;
        len -= (size_t)n;
        o->at += (uint64_t)n;
    }
    o->ends_in_hole = false;
    return 0;
}

void ferry_output_hole(ferry_output *o, uint64_t len)
{
    o->at += len;
    o->ends_in_hole = true;
}

/* Of a file that is replaced: its attributes are the user's, who did not ask for others. */
static int take_over(const ferry_output *o, const ferry_tree_meta *m, bool no_owners)
{
    FERRY_AUTO(fd) int old =
        openat(o->dir, o->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r = old < 0 ? 0 : ferry_meta_take_over(o->fd, old, no_owners);
    const struct timespec times[2] = {m->atime, m->mtime};
    if (r == 0)
        (void)futimens(o->fd, times);
    return r;
}

int ferry_output_commit(ferry_output *o, const ferry_tree_meta *m, const uint8_t *xattrs,
                        size_t xattrs_len, unsigned keep, bool no_owners)
{
    int r = 0;
    if (o->ends_in_hole && ftruncate(o->fd, (off_t)o->size) < 0)
        r = -errno;
    if (r == 0)
        r = ferry_meta_set(o->fd, m, xattrs, xattrs_len, keep, no_owners);
    if (r == 0 && o->replaces && !(keep & FERRY_TREE_ARCHIVE))
        r = take_over(o, m, no_owners);
    if (r == 0 && o->temp[0] && renameat(o->dir, o->temp, o->dir, o->name) < 0)
        r = -errno;
    if (r == 0)
        o->temp[0] = o->name[0] = '\0'; /* nothing to remove any more */
    return r;
}

void ferry_output_close(ferry_output *o)
{
    if (o->fd < 0)
        return;
    const char *leftover = o->temp[0] ? o->temp : o->name;
    if (*leftover)
        unlinkat(o->dir, leftover, 0);
    if (o->direct >= 0)
        close(o->direct);
    close(o->fd);
    o->fd = o->direct = -1;
}
