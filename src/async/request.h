/* One piece of blocking work on the loop's pool, and the task that waits for it: what fs.h and work.h are made
 * of. Only they know it.
 *
 *      task                       request (heap)                 pool thread
 *      begin: wait for a share -> in flight ------------------> call
 *      await: park               done = true, wake <----------- over, on the loop
 *         '-- cancelled:         task = NULL: an orphan, freed when it is over
 */
#ifndef FERRY_ASYNC_REQUEST_H
#define FERRY_ASYNC_REQUEST_H

#include "async/fs.h"
#include "async/internal.h"
#include "async/work.h"

typedef struct ferry_request {
    ferry_pool_job work;
    ferry_loop *loop;
    ferry_task *task; /* NULL: orphan */
    enum ferry_work_pace pace;
    bool done;
    bool opens;    /* a result >= 0 is a descriptor */
    bool replaced; /* its thread has been: it is not counted as a share any more */
    int closes;    /* a descriptor that is still to be closed; -1: none */
    ssize_t result;
    ferry_file *file; /* what a running request needs to stay alive */
    ferry_buf *buf;
    ferry_job *job;
    void (*run)(void *arg); /* joined */
    void *run_arg;

    /* arguments, by call */
    ssize_t (*call)(struct ferry_request *q); /* a count, or -errno */
    void *data;                               /* in buf */
    size_t len;
    uint64_t offset;
    int flags;
    mode_t mode;
    char *to;    /* in path */
    char path[]; /* one or two, each with its 0 */
} ferry_request;

/* Waits for a place in the pool. A task that is cancelled already begins nothing: an unlink
 * it is told did not happen must not happen behind its back. The paths are copied. */
FERRY_CO int ferry_request_begin(enum ferry_work_pace pace,
                                 ssize_t (*call)(ferry_request *), const char *path,
                                 const char *to, ferry_request **ret);

/* Both start it and let go of it. await: the result, or the cancel code; join: what has begun is
 * waited for. */
FERRY_CO ssize_t ferry_request_await(ferry_request *q);
FERRY_CO int ferry_request_join(ferry_request *q);

/* A call: closes what q->closes says. */
ssize_t ferry_request_close(ferry_request *q);
/* The same on a thread of its own, for which nobody waits. False: none is to be had. */
bool ferry_request_close_aside(ferry_loop *loop, int fd);

#endif
