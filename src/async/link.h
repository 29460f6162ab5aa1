/* A byte stream in both directions: what the protocol runs over. A pipe or socket
 * (pipe.h) in life, a faulty in-memory wire in tests/sim, later a libvirt stream. */
#ifndef FERRY_ASYNC_LINK_H
#define FERRY_ASYNC_LINK_H

#include "async/co.h"
#include "base/buf.h"

#include <sys/types.h>
#include <sys/uio.h>

typedef struct ferry_link ferry_link;

typedef struct ferry_link_ops {
    /* Appends what there is, at least one byte, to b (b->len grows; b has room).
     * Returns the bytes added, 0 at the end of the stream, or a negative code. On a
     * cancel nothing has been added. One reader at a time. */
    FERRY_CO ssize_t (*read)(ferry_link *l, ferry_buf *b);
    /* Writes everything. A negative code may leave part of it written: the stream is
     * then no use any more. iov is scratch (the callee advances it). One writer at a
     * time. */
    FERRY_CO int (*write)(ferry_link *l, struct iovec *iov, int n);
    /* Ends both directions and frees the link (perhaps in a later loop turn). No reader
     * or writer may be inside. */
    void (*close)(ferry_link *l);
} ferry_link_ops;

struct ferry_link {
    const ferry_link_ops *ops;
};

static inline FERRY_CO ssize_t ferry_link_read(ferry_link *l, ferry_buf *b)
{
    return l->ops->read(l, b);
}

static inline FERRY_CO int ferry_link_write(ferry_link *l, struct iovec *iov, int n)
{
    return l->ops->write(l, iov, n);
}

static inline void ferry_link_close(ferry_link *l)
{
    if (l)
        l->ops->close(l);
}

static inline void ferry_auto_link(ferry_link **l)
{
    ferry_link_close(*l);
}

#endif
