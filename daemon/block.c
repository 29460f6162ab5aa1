/* Blocking work: see block.h. */
#include "block.h"

#include "async/work.h"

#include <sys/resource.h>

/* The guest's one CPU goes to bulk when nobody else wants it. At the same nice value a small file that was
 * read beside uploads took 3 to 13 times as long as alone, now 1.2 to 1.4 times. Not to starve it: beside 32
 * stats in flight, without end, an upload still has 180 to 360 MB/s (docs/performance.md). */
#define BULK_NICE 19

int ferryd_block(void (*fn)(void *arg), void *arg)
{
    return ferry_work_joined(fn, arg, FERRY_WORK_IN_TURN);
}

struct bulk {
    void (*fn)(void *arg);
    void *arg;
};

static bool alone;

void ferryd_block_alone(void)
{
    alone = true;
}

/* Linux has a nice value for each thread; the daemon's threads begin with 0. */
static void bulk_run(void *arg)
{
    struct bulk *b = arg;
    if (alone)
        setpriority(PRIO_PROCESS, 0, BULK_NICE);
    b->fn(b->arg);
    if (alone)
        setpriority(PRIO_PROCESS, 0, 0);
}

int ferryd_block_bulk(void (*fn)(void *arg), void *arg)
{
    struct bulk b = {fn, arg};
    return ferry_work_joined(bulk_run, &b, FERRY_WORK_BULK);
}

void ferryd_clean_up(void (*fn)(void *arg), void *arg)
{
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    ferry_work_joined(fn, arg, FERRY_WORK_IN_A_HURRY);
    ferry_scope_join(&shield);
}
