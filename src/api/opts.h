/* Option structs of callers that were compiled against an older (shorter) or a newer (longer)
 * one; the same rule as generated calls have. */
#ifndef FERRY_API_OPTS_H
#define FERRY_API_OPTS_H

#include "base/error.h"
#include "proto/conn.h"

#include <stddef.h>

/* Copies what both sides know of opts (NULL: nothing) into the zeroed *ret. What we do not
 * know must be zero: an option that is asked for is never ignored. -FERRY_EINVAL: `type`'s
 * size is nonsense, or an unknown option is set. */
int ferry_opts_take(const char *call, const char *type, const void *opts, void *ret,
                    size_t known, ferry_error *e);

/* What a ferry_priority is on the wire. -FERRY_EINVAL: it is none. */
int ferry_opts_rank(const char *call, int priority, ferry_rank *ret, ferry_error *e);

#endif
