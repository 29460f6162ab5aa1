/* Waiting for readiness of a descriptor that stays its owner's (a pidfd, a listening
 * socket, a signalfd). It must already be non-blocking or never be read blindly. */
#ifndef FERRY_ASYNC_POLL_H
#define FERRY_ASYNC_POLL_H

#include "async/loop.h"

typedef struct ferry_poll ferry_poll;

int ferry_poll_open(ferry_loop *loop, int fd, ferry_poll **ret);
/* Until one of POLLIN | POLLOUT (poll.h) is there, or an error or hang-up (POLLERR, POLLHUP
 * alone: the next read or write says which). Returns the events > 0, or the cancel code.
 * One waiter at a time. */
FERRY_CO int ferry_poll_wait(ferry_poll *p, int events);
void ferry_poll_close(ferry_poll *p); /* NULL is allowed; fd may be closed right after */

static inline void ferry_auto_poll(ferry_poll **p)
{
    ferry_poll_close(*p);
}

#endif
