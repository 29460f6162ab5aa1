/* Writes, holes and preallocation: see sink.h. Called by upload.c on pool threads. */
#include "sink.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* Zeroes are written, where they must be, in pieces between which a cancel is seen. */
#define ZERO_STEP (1024 * 1024)

/* ---- data ------------------------------------------------------------------------------- */

static int write_iov(int fd, struct iovec *iov, unsigned n, uint64_t offset)
{
    while (n > 0) {
        ssize_t done = pwritev(fd, iov, (int)n, (off_t)offset);
        if (done < 0)
            return -errno;
        if (done == 0)
            return -EIO;
        offset += (uint64_t)done;
        while (n > 0 && (size_t)done >= iov->iov_len) {
            done -= (ssize_t)iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + done;
            iov->iov_len -= (size_t)done;
        }
    }
    return 0;
}

static bool is_aligned(uint64_t n)
{
    return n % FERRY_BUF_ALIGN == 0;
}

static bool memory_is_aligned(const struct ferryd_batch *b)
{
    for (unsigned i = 0; i < b->n; i++)
        if (!is_aligned((uintptr_t)b->slice[i].data) || !is_aligned(b->slice[i].len))
            return false;
    return true;
}

static int write_as_is(int fd, const struct ferryd_batch *b)
{
    struct iovec iov[FERRYD_BATCH_SLICES];
    for (unsigned i = 0; i < b->n; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)b->slice[i].data, b->slice[i].len};
    return write_iov(fd, iov, b->n, b->offset);
}

/* Whole blocks of an aligned copy directly, what is left behind them buffered. */
static int write_copy(const struct ferryd_target *t, const struct ferryd_batch *b)
{
    size_t room = (b->len + FERRY_BUF_ALIGN - 1) / FERRY_BUF_ALIGN * FERRY_BUF_ALIGN;
    FERRY_AUTO(mem) char *copy = aligned_alloc(FERRY_BUF_ALIGN, room);
    if (!copy)
        return -ENOMEM;
    size_t len = 0;
    for (unsigned i = 0; i < b->n; len += b->slice[i].len, i++)
        memcpy(copy + len, b->slice[i].data, b->slice[i].len);

    size_t whole = len - len % FERRY_BUF_ALIGN;
    struct iovec blocks = {copy, whole}, rest = {copy + whole, len - whole};
    int r = whole ? write_iov(t->direct, &blocks, 1, b->offset) : 0;
    if (r == 0 && rest.iov_len > 0)
        r = write_iov(t->fd, &rest, 1, b->offset + whole);
    return r;
}

int ferryd_sink_write(const struct ferryd_target *t, const struct ferryd_batch *b)
{
    if (t->direct < 0 || !is_aligned(b->offset) || b->len < FERRY_BUF_ALIGN)
        return write_as_is(t->fd, b);

    int r = memory_is_aligned(b) ? write_as_is(t->direct, b) : write_copy(t, b);
    /* A file system may refuse for reasons of its own (ext4 with data=journal). */
    return r == -EINVAL ? write_as_is(t->fd, b) : r;
}

/* ---- holes ------------------------------------------------------------------------------- */

static int write_zeroes(const struct ferryd_call *c, const struct ferryd_target *t,
                        uint64_t from, uint64_t to)
{
    FERRY_AUTO(mem) char *zeroes = calloc(1, ZERO_STEP);
    if (!zeroes)
        return -ENOMEM;
    int r = 0;
    while (r == 0 && from < to) {
        size_t n = to - from < ZERO_STEP ? (size_t)(to - from) : ZERO_STEP;
        struct iovec iov = {zeroes, n};
        r = ferryd_stop(c);
        if (r == 0)
            r = write_iov(t->fd, &iov, 1, from);
        from += n;
    }
    return r;
}

/* Old data beyond the end of a file is no matter: reaching there again reads as zeroes. */
int ferryd_sink_hole(const struct ferryd_call *c, const struct ferryd_target *t,
                     uint64_t from, uint64_t to)
{
    if (!t->device) {
        struct stat st;
        if (fstat(t->fd, &st) < 0)
            return -errno;
        to = to < (uint64_t)st.st_size ? to : (uint64_t)st.st_size;
    }
    if (from >= to)
        return 0;

    int how = t->device ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
    if (fallocate(t->fd, how | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != EINVAL)
        return -errno;
    return write_zeroes(c, t, from, to);
}

bool ferryd_sink_allocate(const struct ferryd_target *t, uint64_t from, uint64_t to)
{
    return fallocate(t->fd, 0, (off_t)from, (off_t)(to - from)) == 0;
}
