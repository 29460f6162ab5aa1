/* The library's one way of telling what is no error of anybody's call. */
#ifndef FERRY_API_WARNING_H
#define FERRY_API_WARNING_H

#include "api/internal.h"

/* Loop: tells the context's owner, unless it was the last thing that was told. */
void ferry_ctx_warn(ferry_ctx *ctx, const ferry_error *what);
/* The owner's thread: calls what waits (ferry_ctx_dispatch). Returns how many. */
int ferry_ctx_deliver_warnings(ferry_ctx *ctx);
void ferry_ctx_drop_warnings(ferry_ctx *ctx);

#endif
