/* Notices an appliance that has stopped answering: a stopped qemu, a daemon that spins.
 *
 *      while ops of the VM are pending, every heartbeat_ms:
 *          heard of since?     yes: good.    no: ping
 *          an answer within heartbeat_ms?    no: the VM is dead, with that as the reason
 *
 * An idle VM is left alone: nobody is waiting for it. */
#ifndef FERRY_API_HEARTBEAT_H
#define FERRY_API_HEARTBEAT_H

#include "api/internal.h"

/* A task of the keeper's, for as long as the connection. */
FERRY_CO int ferry_heartbeat(void *arg); /* the VM */

#endif
