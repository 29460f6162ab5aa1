/* The guest's side of the lane (docs/protocol.md): from the device to mapped memory.
 *
 *      virtio-pmem --> namespace0.0 --> dax0.0 --> /dev/dax0.0 --> mmap
 *                      |-- head --|-- slots, what /dev/dax0.0 is --|
 *
 * The kernel sees persistent memory; as "device dax" it is mapped page by page as it is, and its
 * pages are such that a disk can read and write them (O_DIRECT). All of it happens when the host
 * first offers the lane: loading the modules is most of it. In a template it is there already. */
#ifndef FERRYD_LANE_H
#define FERRYD_LANE_H

#include "call.h"

/* on_lane of the connection: answers, now or later. */
void ferryd_lane_offered(void *daemon, const ferry_lane_shape *shape);
void ferryd_lane_close(struct ferryd *d);

/* Blocking: /dev/dax0.0 of the only virtio-pmem device, made if need be; its size must be `bytes`, and its
 * distance from the device's beginning FERRY_LANE_HEAD. The descriptor, or a code with why in
 * `what` ("PATH"). */
int ferryd_dax_open(uint64_t bytes, char *what, size_t size);
/* Only makes it. */
int ferryd_dax_make(char *what, size_t size);

#endif
