/* What an upload writes to: blocking, for pool threads.
 *
 *      atomic     a temporary in the target's directory: without a name (O_TMPFILE) where the
 *                 file system has that, else ".ferry-XXXXXX~"; commit puts it in the place of
 *                 the target, abort leaves no trace of it
 *      in place   the file or device itself; what was written stays
 */
#ifndef FERRYD_TARGET_H
#define FERRYD_TARGET_H

#include "root.h"

#include <stdbool.h>
#include <stdint.h>

struct ferryd_target_opts {
    const char *path;
    mode_t mode; /* of a new file; 0: 0644 */
    uid_t uid;
    gid_t gid;
    bool in_place;
    bool durable;
    bool large;      /* O_DIRECT pays, where the file system is any good at it */
    uint64_t offset; /* of the first byte; in place only */
};

struct ferryd_target {
    struct ferryd_target_opts opts;
    struct ferryd_at at; /* directory and name; dir -1 for a device */
    int fd;              /* for writing */
    int direct;          /* the same file with O_DIRECT; -1: not here */
    bool device;
    bool fresh;     /* nothing but what we write is in it: a hole needs no work */
    bool can_alloc; /* preallocation pays and works */
    bool parallel;  /* writes need not come in order */
    bool owners;    /* the file system keeps owner and mode */
    char temp[24];  /* its name; "": it has none */
};

/* root is ignored for a device. -FERRY_EISDIR, -FERRY_EINVAL (neither a regular file nor a
 * block device), -FERRY_EROFS, ... */
int ferryd_target_open(int root, const struct ferryd_target_opts *o,
                       struct ferryd_target *ret);

/* Ends at `end` (the offset behind the last byte), takes over the attributes of what is
 * replaced, and puts it in place. Fails before the last step or not at all, but for the fsync of
 * a durable one. Close or abort is still to come. */
int ferryd_target_commit(struct ferryd_target *t, uint64_t end);

/* Closes; a temporary that was not committed is gone. Call it once after a successful open. */
void ferryd_target_close(struct ferryd_target *t);

#endif
