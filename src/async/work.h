/* Any blocking work besides the calls of fs.h, on the loop's thread pool, and with the same rules. */
#ifndef FERRY_ASYNC_WORK_H
#define FERRY_ASYNC_WORK_H

#include "async/loop.h"

/* A job is embedded in a heap struct that holds its arguments and
 * results, counted because the pool may still be running it when its task is gone.
 *
 *     struct lookup { ferry_job job; char *path; struct stat st; int r; };
 *
 * run() is called on a pool thread and touches nothing but the job; free() when the last
 * reference goes, on the loop's thread, or on the pool's if the loop has gone before the
 * job was through. ferry_job_init gives the caller one reference. */
typedef struct ferry_job {
    unsigned refs;
    void (*run)(struct ferry_job *job);
    void (*free)(struct ferry_job *job);
} ferry_job;

void ferry_job_init(ferry_job *job, void (*run)(ferry_job *),
                    void (*release)(ferry_job *));
void ferry_job_unref(ferry_job *job);

/* Whose turn it is, where more wants to run than may (pool.h): what moves much, or may wait for a disk to
 * have written, goes behind what is short, but for a place that it always has; what cleans up, before all. */
enum ferry_work_pace { FERRY_WORK_BULK, FERRY_WORK_IN_TURN, FERRY_WORK_IN_A_HURRY };

/* 0 when run() has run, or the cancel code (it may run yet, then the pool's reference keeps
 * the job). */
FERRY_CO int ferry_work(ferry_job *job, enum ferry_work_pace pace);

/* The opposite of an orphan: what has begun is waited for, whatever the task is told meanwhile, so
 * that arg may be on its stack; what has not never will. 0: run(arg) has run. Else, and then it has
 * not: the cancel code, or -ENOMEM. */
FERRY_CO int ferry_work_joined(void (*run)(void *arg), void *arg,
                               enum ferry_work_pace pace);

#endif
