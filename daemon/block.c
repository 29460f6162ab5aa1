/* Blocking work: see block.h. */
#include "block.h"

#include "async/work.h"

#include <sys/resource.h>

/* The guest's one CPU goes to bulk when nobody else wants it. At the same nice value a small file that
 * was read beside one upload took five times as long as alone (docs/performance.md); now it takes
 * no longer. */
#define BULK_NICE 19

int ferryd_block(void (*fn)(void *arg), void *arg)
{
    return ferry_work_joined(fn, arg, FERRY_WORK_IN_TURN);
}

struct bulk {
    void (*fn)(void *arg);
    void *arg;
};

/* Linux has a nice value for each thread. In an appliance we may also lower it again; where a test runs
 * this on a host without being root, its threads stay nice, which nobody notices. */
static void bulk_run(void *arg)
{
    struct bulk *b = arg;
    setpriority(PRIO_PROCESS, 0, BULK_NICE);
    b->fn(b->arg);
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
