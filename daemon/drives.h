/* Drives that come and go: the kernel is shown each by the host, one at a time, so that names
 * are given in the order of the host's calls; and the labels by which a caller may name them. */
#ifndef FERRYD_DRIVES_H
#define FERRYD_DRIVES_H

#include "base/list.h"

struct ferryd;

/* A caller may write /dev/disk/guestferry/LABEL, or with a partition's number behind it. */
#define FERRYD_LABELS "/dev/disk/guestferry/"

/* In ferryd.labels. */
struct ferryd_label {
    ferry_list link;
    char *label;
    char *device; /* "/dev/sdb" */
};

void ferryd_labels_free(struct ferryd *d);

/* If *path (malloc'ed) names a drive by its label, replaces it by the device's own name. What
 * no drive is called stays as it is: whoever opens it will say that there is no such device.
 * -ENOMEM. */
int ferryd_resolve_label(struct ferryd *d, char **path);

#endif
