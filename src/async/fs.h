/* Awaitable file system calls, on the loop's thread pool.
 *
 * A request that is running in the pool cannot be stopped. When its task is cancelled,
 * the call returns the cancel code at once and the request is orphaned: it
 * holds references to its file and buffer and drops them when it ends. So
 * a hung disk never delays a cancel, and no memory is freed under a running read. What was
 * orphaned may still happen, so after a cancel code the buffer is the request's: let go of
 * it, do not use it again. A call that is made when its task is cancelled already does nothing.
 *
 * At most FERRY_POOL_SHARE requests are in the pool (pool.h) at once, and as many large reads and writes, and
 * syncs; the rest wait here, in order.
 * One that hangs when its task is cancelled gives its share back.
 *
 * Never for FIFOs, ttys or sockets: those would keep a pool thread for good (pipe.h). */
#ifndef FERRY_ASYNC_FS_H
#define FERRY_ASYNC_FS_H

#include "async/loop.h"
#include "async/pool.h"
#include "async/sync.h"
#include "base/buf.h"

#include <sys/stat.h>
#include <sys/types.h>

/* An open file, counted: the last reference closes it. That is work, where the file has lost its
 * name or never had one: its pages and blocks are given back (a third of a second was seen, for 200
 * MiB of ext4). With `aside` the pool does it, and nobody waits. */
typedef struct ferry_file {
    unsigned refs;
    int fd;
    struct ferry_loop *aside;
    unsigned busy;      /* requests in the pool, orphans among them */
    ferry_cond settled; /* there is one less */
} ferry_file;

int ferry_file_new(int fd, ferry_file **ret); /* owns fd, also on failure */
ferry_file *ferry_file_ref(ferry_file *f);
void ferry_file_unref(ferry_file *f);

/* From now on its close is the pool's of this loop, on which all its references are. NULL: not any
 * more. */
void ferry_file_close_aside(ferry_file *f, ferry_loop *loop);
/* Lets go of f; waits for its close, if it is that, unless the task is cancelled. NULL is allowed. */
FERRY_CO void ferry_file_close(ferry_file *f);

static inline void ferry_auto_file(ferry_file **f)
{
    ferry_file_unref(*f);
}

/* Waits until no request on f is in the pool: what was orphaned before has happened. 0, or the cancel
 * code: call it in a shielded scope, with a deadline, because a hung disk takes its time. */
FERRY_CO int ferry_file_settle(ferry_file *f);

/* All return 0 or a count, a negative errno, or the cancel code. */
FERRY_CO int ferry_fs_open(const char *path, int flags, mode_t mode, ferry_file **ret);
/* Appends up to `len` bytes (and b's room) from `offset` to b. Returns the count; 0: end. */
FERRY_CO ssize_t ferry_fs_read(ferry_file *f, ferry_buf *b, size_t len, uint64_t offset);
/* From or to the current position instead of an offset, for what cannot seek. */
#define FERRY_FS_IN_SEQUENCE UINT64_MAX
/* Writes all of the slice. */
FERRY_CO int ferry_fs_write(ferry_file *f, const ferry_slice *s, uint64_t offset);
FERRY_CO int ferry_fs_stat(ferry_file *f, struct stat *ret);
FERRY_CO int ferry_fs_truncate(ferry_file *f, uint64_t size);
FERRY_CO int ferry_fs_sync(ferry_file *f);
FERRY_CO int ferry_fs_rename(const char *from, const char *to);
FERRY_CO int ferry_fs_unlink(const char *path);

#endif
