/* The first words with a daemon that has said hello, before the launch is over: see settle.h. */
#include "api/settle.h"

#include "base/auto.h"

#include "api_calls.h"
#include "ferry_xdr.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Randomness that never leaves this function but into the guest. */
static FERRY_CO int wake(ferry_op *op, ferry_error *e)
{
    uint64_t seed[4];
    struct timespec now;
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return ferry_fail(e, -errno, "launch", "randomness of the host: %s",
                          ferry_strerror(errno));
    clock_gettime(CLOCK_REALTIME, &now);
    fx_wake_args args = {
        .seconds = now.tv_sec,
        .nanoseconds = (uint32_t)now.tv_nsec,
        .seed0 = seed[0],
        .seed1 = seed[1],
        .seed2 = seed[2],
        .seed3 = seed[3],
    };
    return ferry_call_now(op, &ferry_desc_wake, &args, NULL, e);
}

FERRY_CO int ferry_attach_drive(ferry_op *op, unsigned target, const char *label,
                                char **ret_device, ferry_error *e)
{
    fx_attach_drive_args args = {.target = target,
                                 .label = (char *)(uintptr_t)(label ? label : "")};
    fx_attach_drive_ret ret = {0};
    int r = ferry_call_now(op, &ferry_desc_attach_drive, &args, &ret, e);
    if (r == 0 && ret_device)
        *ret_device = ferry_take(&ret.value);
    xdr_free((xdrproc_t)xdr_fx_attach_drive_ret, (char *)&ret);
    return r;
}

FERRY_CO int ferry_settle(ferry_op *op, ferry_error *e)
{
    const ferry_machine_spec *spec =
        &op->vm->spec; /* nobody adds while it is launching */
    int r = wake(op, e);
    for (unsigned i = 0; r == 0 && i < spec->ndrives; i++)
        r = ferry_attach_drive(op, spec->drives[i].target, spec->drives[i].label, NULL,
                               e);
    return r;
}
