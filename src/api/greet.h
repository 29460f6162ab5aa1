/* The first exchange with a daemon, over a channel that launch has opened. Called by launch.c and
 * template.c. */
#ifndef FERRY_API_GREET_H
#define FERRY_API_GREET_H

#include "api/internal.h"

/* The build that both sides must be of. Static text. */
const char *ferry_greet_build(void);

/* A connection for this VM; takes over the channel. `again`: the daemon's HELLO has gone to
 * somebody else. */
int ferry_greet_open(ferry_vm *vm, ferry_link *channel, bool again, ferry_conn **ret,
                     ferry_error *e);
/* HELLO both ways, or only theirs. */
FERRY_CO int ferry_greet_hello(ferry_conn *conn, ferry_error *e);
FERRY_CO int ferry_greet_listen(ferry_conn *conn, ferry_error *e);

#endif
