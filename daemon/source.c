/* Reads and holes: see source.h. Called by download.c on pool threads. */
#include "source.h"

#include "base/auto.h"
#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

/* Below this the page cache's readahead is as good, and the next reader finds the file in memory. */
#define DIRECT_MIN (4ull * 1024 * 1024)

static void open_direct(struct ferryd_source *s, bool device)
{
    struct statfs fs;
    if (s->size < DIRECT_MIN || fstatfs(s->fd, &fs) < 0)
        return;
    if (!device && fs.f_type == FUSE_SUPER_MAGIC)
        return; /* ntfs-3g reads by itself, in small pieces */

    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", s->fd);
    s->direct = open(link, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

static int learn(struct ferryd_source *s, bool device)
{
    struct stat st;
    if (device)
        return ioctl(s->fd, BLKGETSIZE64, &s->size) < 0 ? -errno : 0;
    if (fstat(s->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    s->size = (uint64_t)st.st_size;
    s->holes = (uint64_t)st.st_blocks * 512 < s->size;
    return 0;
}

static int settle(struct ferryd_source *s, bool device, struct ferryd_source *ret)
{
    int r = learn(s, device);
    if (r < 0) {
        close(s->fd);
        return r;
    }
    open_direct(s, device);
    *ret = *s;
    return 0;
}

int ferryd_source_open(int root, const char *path, struct ferryd_source *ret)
{
    struct ferryd_source s = {.fd = -1, .direct = -1};
    bool device = ferryd_is_device(path);
    if (device) {
        s.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (s.fd < 0)
            s.fd = -errno;
    } else {
        s.fd = ferryd_at_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    }
    return s.fd < 0 ? s.fd : settle(&s, device, ret);
}

int ferryd_source_take(int fd, struct ferryd_source *ret)
{
    struct ferryd_source s = {.fd = fd, .direct = -1};
    return settle(&s, false, ret);
}

void ferryd_source_close(struct ferryd_source *s)
{
    if (s->direct >= 0)
        close(s->direct);
    close(s->fd);
}

/* A file system that cannot tell says it is all data. */
int ferryd_source_region(const struct ferryd_source *s, uint64_t from, uint64_t to,
                         uint64_t *ret_hole, uint64_t *ret_data)
{
    *ret_hole = 0;
    *ret_data = to - from;
    if (!s->holes)
        return 0;

    off_t data = lseek(s->fd, (off_t)from, SEEK_DATA);
    if (data < 0) {
        if (errno != ENXIO)
            return errno == EINVAL ? 0 : -errno;
        *ret_hole = to - from;
        *ret_data = 0;
        return 0;
    }
    if ((uint64_t)data >= to)
        data = (off_t)to;
    off_t end = (uint64_t)data < to ? lseek(s->fd, data, SEEK_HOLE) : data;
    if (end < 0)
        return -errno;
    if ((uint64_t)end > to)
        end = (off_t)to;
    *ret_hole = (uint64_t)data - from;
    *ret_data = (uint64_t)(end - data);
    return 0;
}

/* O_DIRECT wants whole blocks: the last, partial one is asked for whole, and the file's end cuts
 * it. */
static ssize_t read_some(const struct ferryd_source *s, ferry_buf *b, size_t len,
                         uint64_t offset)
{
    bool direct = s->direct >= 0 && offset % FERRY_BUF_ALIGN == 0 &&
                  b->len % FERRY_BUF_ALIGN == 0;
    size_t whole = (len + FERRY_BUF_ALIGN - 1) / FERRY_BUF_ALIGN * FERRY_BUF_ALIGN;
    ssize_t n = -1;
    errno = EINVAL;
    if (direct && whole <= ferry_buf_room(b))
        n = pread(s->direct, b->data + b->len, whole, (off_t)offset);
    if (n < 0 && errno == EINVAL)
        n = pread(s->fd, b->data + b->len, len, (off_t)offset);
    return n < 0 ? -errno : n > (ssize_t)len ? (ssize_t)len : n;
}

int ferryd_source_read(const struct ferryd_source *s, ferry_buf *b, size_t len,
                       uint64_t offset)
{
    b->len = 0;
    while (b->len < len) {
        ssize_t n = read_some(s, b, len - b->len, offset + b->len);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        b->len += (size_t)n;
    }
    return 0;
}
