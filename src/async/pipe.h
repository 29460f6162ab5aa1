/* Awaitable byte streams on file descriptors: sockets, FIFOs, ttys, a virtio port.
 *
 * Reading is a uv_stream: uv_read_start into the reader's own buffer, stopped when it has
 * something, so an idle reader holds no memory. Writing is uv_try_write and, when the
 * peer is slow, a uv_poll on a second descriptor of the same file: a queued
 * uv_write could neither be cancelled nor be kept from raising SIGPIPE on a
 * caller's thread (DESIGN 7). */
#ifndef FERRY_ASYNC_PIPE_H
#define FERRY_ASYNC_PIPE_H

#include "async/link.h"
#include "async/loop.h"

enum ferry_pipe_flags {
    FERRY_PIPE_READ = 1 << 0,
    FERRY_PIPE_WRITE = 1 << 1,
};

/* Takes over fd (closed with the link, and on failure) and makes it non-blocking; -EPERM
 * for what is always ready (files, /dev/zero): that is read by the pool (fs.h). A
 * read_size other than 0 is the most one read(2) is asked for: libuv goes back to epoll after
 * a short read, so a device that gives out pages (virtio-serial: 4096) is asked for exactly
 * that much; and, because what it gives out may be less and not the last, until it has no more. Loop thread. */
int ferry_pipe_open(ferry_loop *loop, int fd, unsigned flags, size_t read_size,
                    ferry_link **ret);

/* The same for a descriptor that stays the caller's (stdin, a FIFO, somebody's socket).
 * O_NONBLOCK is taken off again on close; of a pipe or tty, which /proc lets us open for
 * ourselves, it is never set. -EBADF: not open for what `flags` asks. */
int ferry_pipe_borrow(ferry_loop *loop, int fd, unsigned flags, ferry_link **ret);

/* Writes everything to a link of this file's that is a UNIX socket, and has a copy of fd go
 * along. fd stays the caller's. */
FERRY_CO int ferry_pipe_write_fd(ferry_link *l, struct iovec *iov, int n, int fd);

#endif
