/* Threads for what blocks: file system calls on disks that may hang, look-ups. A loop has a pool of
 * its own rather than libuv's, which is the host program's too: there our hung reads would take
 * its threads and its hung reads ours, a thread that cannot be created is an abort(), a loop
 * cannot close before its last request has ended, and a forked child that exits joins threads it
 * never had.
 *
 *      loop's thread                        pool thread
 *      ferry_pool_start ---- queue -------> run(job)
 *      job->over.run(...) <-- mailbox ----- ferry_loop_post
 *                                '--------- loop gone: drop(job)
 *
 * Threads begin when there is work and none is idle, and end with the pool. One that hangs in a job
 * nobody waits for any more is replaced (ferry_pool_replace), within bounds. Used by
 * request.c; everything but run() and drop() happens on the loop's thread. */
#ifndef FERRY_ASYNC_POOL_H
#define FERRY_ASYNC_POOL_H

#include "async/loop.h"

/* Jobs of bulk at a time, and of what is short (work.h). More threads do not make a disk
 * faster: an upload and a download keep two busy each. */
#define FERRY_POOL_SHARE 4

/* Of both together: one place is never bulk's, and one always is for it. A `cat` of a small file beside
 * sixteen uploads waited for 32 writes of 2 MiB each before it had its turn, 24 ms. */
#define FERRY_POOL_PLACES (FERRY_POOL_SHARE + 1)

/* And beside them, for what is in a hurry (work.h): reads of 2 MiB each from a slow disk are
 * soon longer than a cancel may take. */
#define FERRY_POOL_SPARE 1

/* Threads that hang in given-up jobs. Beyond it, new work waits for one of them. */
#define FERRY_POOL_HUNG_MAX 28

typedef struct ferry_pool ferry_pool;

typedef struct ferry_pool_job {
    ferry_list link;
    ferry_post over;                          /* on the loop: run() has returned */
    void (*run)(struct ferry_pool_job *job);  /* touches nothing but the job */
    void (*drop)(struct ferry_pool_job *job); /* instead of over, when the pool was freed
                                                * meanwhile: one at a time, on the pool's thread */
} ferry_pool_job;

int ferry_pool_new(ferry_loop *loop, ferry_pool **ret);
/* Never waits for what runs: running jobs are left to their threads. What is still queued is
 * dropped at once. NULL is allowed. */
void ferry_pool_free(ferry_pool *p);

/* 0: over will be posted. -FERRY_ENPROC: there is no thread, and none can be had. */
int ferry_pool_start(ferry_pool *p, ferry_pool_job *job);
/* True: it had not begun, and never will. */
bool ferry_pool_take_back(ferry_pool *p, ferry_pool_job *job);
/* A running job is given up: false if too many are. */
bool ferry_pool_replace(ferry_pool *p);
/* Such a job is over after all. NULL is allowed. */
void ferry_pool_replaced_is_back(ferry_pool *p);

#endif
