/* What mounting shares with shutting down. */
#ifndef FERRYD_MOUNT_H
#define FERRYD_MOUNT_H

#include "call.h"

/* Unmounts everything, the last mounted first, each flushed to its device. Goes on after a failure;
 * returns the first with e filled. */
FERRY_CO int ferryd_umount_everything(struct ferryd_call *c, ferry_error *e);

/* Writes everything that is in memory to the drives, and has them empty their caches, so that a
 * failure of either is seen. Returns the first failure. */
FERRY_CO int ferryd_flush_drives(struct ferryd_call *c, ferry_error *e);

/* How a type is mounted: pure table. NULL: the kernel's name and no options. */
struct ferryd_fstype {
    const char *name;    /* as libblkid says */
    const char *options; /* always */
    const char *norec;   /* added when the device is read-only: no journal replay */
    const char *program; /* a mount helper instead of mount(2) */
};
const struct ferryd_fstype *ferryd_fstype_find(const char *name);

/* "a,b" from either or both; in buf. */
const char *ferryd_join_options(const char *a, const char *b, char *buf, size_t size);

#endif
