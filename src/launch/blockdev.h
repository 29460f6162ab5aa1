/* A drive as qemu is told of it: a block node and the disk in front of it, as JSON. The same
 * for the command line (argv.c) and for a qemu that runs (hotplug.c). Pure.
 *
 *      drive's number n:   node "driveN" -- scsi-hd "diskN", target n, serial ferryN
 */
#ifndef FERRY_LAUNCH_BLOCKDEV_H
#define FERRY_LAUNCH_BLOCKDEV_H

#include "launch/machine.h"

#include <jansson.h>

/* The arguments of blockdev-add. A scratch disk is /dev/fdset/N. NULL: no memory. */
json_t *ferry_blockdev_node(const ferry_drive *d, unsigned n);
/* The arguments of device_add. NULL: no memory. */
json_t *ferry_blockdev_disk(unsigned n);

/* "diskN", "driveN", in buf. */
#define FERRY_BLOCKDEV_NAME 24
const char *ferry_blockdev_disk_name(unsigned n, char buf[FERRY_BLOCKDEV_NAME]);
const char *ferry_blockdev_node_name(unsigned n, char buf[FERRY_BLOCKDEV_NAME]);

#endif
