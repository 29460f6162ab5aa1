/* What the host says to a fresh daemon before anybody else may: the clock, randomness, and the
 * drives one by one, which gives them their names in order. Called by launch.c; the drives'
 * part by drives.c too. The connection runs already. */
#ifndef FERRY_API_SETTLE_H
#define FERRY_API_SETTLE_H

#include "api/call.h"

FERRY_CO int ferry_settle(ferry_op *op, ferry_error *e);

/* Has the guest look at a drive that qemu has. *ret_device ("/dev/sdb"; may be NULL) is the
 * caller's. */
FERRY_CO int ferry_attach_drive(ferry_op *op, unsigned target, const char *label,
                                char **ret_device, ferry_error *e);

#endif
