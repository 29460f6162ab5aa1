/* What an upload writes to: blocking, for pool threads.
 *
 *      atomic     a temporary in the target's directory: without a name (O_TMPFILE) where the
 *                 file system has that, else ".ferry-XXXXXX~"; commit puts it in the place of
 *                 the target, abort leaves no trace of it, or a partial (base/partial.h)
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
    bool large;         /* O_DIRECT pays, where the file system is any good at it */
    uint64_t offset;    /* of the first byte; in place only */
    bool keep;          /* aborted, it may leave a partial */
    uint64_t resume_at; /* not 0: the temporary is the partial, cut to this length ... */
    uint64_t resume_stamp; /* ... which was last written at this time (ferryd_stamp) */
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
    bool resumed;   /* temp is the partial's name */
    char temp[NAME_MAX + 1]; /* its name; "": it has none */
};

/* root is ignored for a device. -FERRY_EISDIR, -FERRY_EINVAL (neither a regular file nor a
 * block device), -FERRY_EROFS, ... */
int ferryd_target_open(int root, const struct ferryd_target_opts *o,
                       struct ferryd_target *ret);

/* Ends at `end` (the offset behind the last byte), takes over the attributes of what is
 * replaced, and puts it in place. Fails before the last step or not at all, but for the fsync of
 * a durable one. Close or abort is still to come. */
int ferryd_target_commit(struct ferryd_target *t, uint64_t end);

/* Keeps what is in [0, end) as a partial. 0 and its path in the image (the caller's); or why not.
 * Close is still to come. */
int ferryd_target_keep(struct ferryd_target *t, int root, uint64_t end, char **ret_path);

/* Opens and locks the partial of an upload to `path`. Its descriptor and (may be NULL: no memory) its
 * path as above; -FERRY_ENOENT: there is none of ours; -FERRY_EBUSY, ... */
int ferryd_partial_open(int root, const char *path, char **ret_path);

/* When it was last written, in nanoseconds. */
uint64_t ferryd_stamp(const struct stat *st);

/* Closes; a temporary that was not committed is gone, unless it was a partial
 * before. Call it once after a successful open. */
void ferryd_target_close(struct ferryd_target *t);

#endif
