/* Blocking work: see block.h. */
#include "block.h"

#include "async/work.h"

int ferryd_block(void (*fn)(void *arg), void *arg)
{
    return ferry_work_joined(fn, arg, FERRY_WORK_IN_TURN);
}

void ferryd_clean_up(void (*fn)(void *arg), void *arg)
{
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    ferry_work_joined(fn, arg, FERRY_WORK_IN_A_HURRY);
    ferry_scope_join(&shield);
}
