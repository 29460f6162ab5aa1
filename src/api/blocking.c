/* The blocking layer: start, wait, result, free. It exists because most programs have nothing
 * else to do meanwhile; all the work is in the ops. */
#include "api/call.h"

int ferry_op_await(ferry_op *op, ferry_error *reterr)
{
    int r;
    do
        r = ferry_op_wait(op, -1);
    while (r == -FERRY_EINTR);
    if (r == -FERRY_ESTATE) {
        ferry_op_cancel(op);
        return ferry_fail(reterr, r, op->name,
                          "a blocking call would stop the loop it waits for: use "
                          "ferry_%s_start() on a borrowed loop",
                          op->name);
    }
    return ferry_op_error(op, reterr);
}

int ferry_launch(ferry_vm *vm, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_launch_start(vm, &op, reterr);
    if (r == 0)
        r = ferry_op_await(op, reterr);
    ferry_op_free(op);
    return r;
}

int ferry_shutdown(ferry_vm *vm, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_shutdown_start(vm, &op, reterr);
    if (r == 0)
        r = ferry_op_await(op, reterr);
    ferry_op_free(op);
    return r;
}

#define BLOCKING_TRANSFER(start)                                                         \
    ferry_op *op = NULL;                                                                 \
    int r = start;                                                                       \
    if (r == 0)                                                                          \
        r = ferry_op_await(op, reterr);                                                  \
    ferry_op_free(op);                                                                   \
    return r
