/* Blocking work: see block.h. Knows the loop's jobs and nothing of calls. */
#include "block.h"

#include "base/auto.h"

struct block {
    ferry_job job;
    void (*fn)(void *arg);
    void *arg; /* on the waiting task's stack */
};

static void block_run(ferry_job *job)
{
    struct block *b = ferry_container(job, struct block, job);
    b->fn(b->arg);
}

static void block_free(ferry_job *job)
{
    free(ferry_container(job, struct block, job));
}

/* The shield makes ferry_work() return only after run() has: that is what lets `arg` be
 * on the stack. The job itself is not: the pool drops its reference a little later. */
int ferryd_block(void (*fn)(void *arg), void *arg)
{
    int r = ferry_cancelled();
    if (r < 0)
        return r;
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    ferry_job_init(&b->job, block_run, block_free);
    b->fn = fn;
    b->arg = arg;

    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    r = ferry_work(&b->job);
    ferry_scope_join(&shield);

    ferry_job_unref(&b->job);
    return r;
}
