/* The daemon on one connection: what main.c runs on the virtio port, and tests on a socketpair. */
#ifndef FERRYD_SERVER_H
#define FERRYD_SERVER_H

#include "call.h"

/* root_path must outlive it. If something is mounted there already (or, in a test, is to be served
 * as it is), ferryd_root_open() makes it the root. */
int ferryd_new(ferry_loop *loop, const char *root_path, struct ferryd **ret);
void ferryd_free(struct ferryd *d); /* no ferryd_serve is inside */

/* Greets the host and answers its calls until the connection ends; by then every call has
 * unwound. Takes over the link. Returns why it ended: -FERRY_EPIPE is the orderly
 * way, the host hung up. */
FERRY_CO int ferryd_serve(struct ferryd *d, ferry_link *link, ferry_error *e);

#endif
