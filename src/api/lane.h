/* A VM's lane (docs/protocol.md): the memory, and when to offer it.
 *
 *      launch   a sealed memfd: mapped here, given to qemu by descriptor
 *      offer    at the first transfer that is worth it: the guest takes a tenth of a second to get
 *               hold of it, and that transfer goes inline meanwhile
 *      end      the map goes with the last buffer of it
 *
 * On the loop. */
#ifndef FERRY_API_LANE_H
#define FERRY_API_LANE_H

#include "api/internal.h"

/* A transfer of at least so many bytes asks for the lane: one that is over inline before the
 * lane would be there does not. */
#define FERRY_LANE_FROM (8u * 1024 * 1024)

/* Makes the lane that the launch is to use, unless $FERRY_LANE is "off". Without memory, or where
 * the kernel has no memfd, there is none: everything goes inline. */
void ferry_lane_make(ferry_vm *vm);
/* Only the memory, for a machine that a template is made of: what is in it stays behind.
 * *ret_bytes 0: no lane is wanted. The descriptor is the caller's. -errno. */
int ferry_lane_memory(int *ret_fd, uint64_t *ret_bytes);
/* The launch is over: was it given to the guest? */
void ferry_lane_made(ferry_vm *vm, bool has);
void ferry_lane_drop(ferry_vm *vm);

/* A transfer of (at least) so many bytes has begun. */
void ferry_lane_want(ferry_vm *vm, uint64_t bytes);
/* on_lane of the connection. */
void ferry_lane_answered(ferry_vm *vm, bool open);

#endif
