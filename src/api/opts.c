/* Option structs of callers: see opts.h. */
#include "api/opts.h"

#include <guestferry/error.h>
#include <guestferry/op.h>

#include <string.h>

/* No struct of options is longer: a larger size is one that was never set. */
#define OPTS_MAX 4096

int ferry_opts_take(const char *call, const char *type, const void *opts, void *ret,
                    size_t known, ferry_error *e)
{
    size_t size;
    if (!opts)
        return 0;
    memcpy(&size, opts, sizeof size);
    if (size < sizeof size || size > OPTS_MAX)
        return ferry_fail(e, -FERRY_EINVAL, call,
                          "opts: size is %zu: set it to sizeof(%s)", size, type);
    for (size_t i = known; i < size; i++)
        if (((const char *)opts)[i])
            return ferry_fail(e, -FERRY_EINVAL, call,
                              "opts: has an option that this version does not know");
    memcpy(ret, opts, size < known ? size : known);
    return 0;
}

int ferry_opts_rank(const char *call, int priority, ferry_rank *ret, ferry_error *e)
{
    switch (priority) {
    case FERRY_PRIORITY_LOW: *ret = FERRY_RANK_LOW; return 0;
    case FERRY_PRIORITY_NORMAL: *ret = FERRY_RANK_NORMAL; return 0;
    case FERRY_PRIORITY_HIGH: *ret = FERRY_RANK_HIGH; return 0;
    default:
        return ferry_fail(e, -FERRY_EINVAL, call,
                          "priority is %d: low is %d, normal %d, high %d", priority,
                          FERRY_PRIORITY_LOW, FERRY_PRIORITY_NORMAL,
                          FERRY_PRIORITY_HIGH);
    }
}
