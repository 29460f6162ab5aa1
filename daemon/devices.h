/* The disks of the appliance and their partitions; what is made of them is in mapper.h. */
#ifndef FERRYD_DEVICES_H
#define FERRYD_DEVICES_H

#include "call.h"

/* A list of paths below /dev, or of anything else; sorted or not as its maker says. */
struct ferryd_names {
    char **name;
    size_t len;
};

int ferryd_names_add(struct ferryd_names *list, const char *name); /* copies; -ENOMEM */
void ferryd_names_free(struct ferryd_names *list);
/* In the order of devices, those that were added behind the first `old`. */
void ferryd_names_sort(struct ferryd_names *list, size_t old);

static inline void ferry_auto_names(struct ferryd_names *list)
{
    ferryd_names_free(list);
}

/* Blocking: the drives that the host has added, or all their partitions, in order. The lane
 * (DESIGN 4) is a disk, but not one of them. */
int ferryd_scan_drives(struct ferryd_names *list);
int ferryd_scan_partitions(struct ferryd_names *list);

/* Blocking: drives that have partitions, or are themselves what holds others, are no place for a
 * file system. */
bool ferryd_has_partitions(const char *device);

/* Of a device (ferryd_is_device): a drive, not a partition or a volume. */
bool ferryd_is_whole_disk(const char *device);

/* Is this caller's path a block device of the appliance, not a file in the image? Does not
 * touch the disk. A logical volume counts only when it has been activated. */
bool ferryd_is_device(const char *path);

/* The same for a transfer, whose path may be either: volumes are activated for what may be
 * one, and a drive that is not there is -FERRY_ENODEV, not a file below the image's /dev. */
FERRY_CO int ferryd_device_or_file(struct ferryd_call *c, const char *path,
                                   bool *ret_device, ferry_error *e);

/* Makes sure that `device` is one, activating logical volumes when it may be one of those.
 * -FERRY_ENODEV with a text. */
FERRY_CO int ferryd_need_device(struct ferryd_call *c, const char *device,
                                ferry_error *e);

/* Pure: sda < sdb < sdaa, sda2 < sda10; for qsort over char *. */
int ferryd_device_order(const void *a, const void *b);

#endif
