/* Makes a tree of the records (wire.h) of a peer that may be hostile. Blocking: one call at a time, on a
 * pool thread.
 *
 *      bytes ---> records, collected across pieces ---> mkdirat, openat, symlinkat, linkat
 *             '-> DATA's bytes, as they come       ---> pwrite
 *
 * Nothing leaves the directory it was given: names are single components, each is looked up
 * in an open directory without following links (descent.h), and what is replaced is
 * replaced by a rename, never written into or through. No devices are made.
 *
 * A file gets its name when it is whole; a small new one is made under it and taken away again if it
 * does not become whole. */
#ifndef FERRY_TREE_BUILDER_H
#define FERRY_TREE_BUILDER_H

#include "tree/wire.h"
#include "tree/xattrs.h"

#include <stdatomic.h>

typedef struct ferry_tree_builder ferry_tree_builder;

typedef struct ferry_tree_builder_opts {
    unsigned keep;  /* enum ferry_tree_keep */
    bool no_owners; /* owner and mode are not ours to set: failing is no error */
    bool direct;    /* O_DIRECT for large files, where it works */
    const atomic_int *stop; /* not 0: the code to end with */
    /* An entry was left out; a directory with all that is in it. code 0: it is no file, directory or
     * link. Not 0 as an answer: the code to end with. */
    int (*problem)(void *user, const char *path, int code);
    void *user;
} ferry_tree_builder_opts;

/* What has been made; to be read between calls. */
typedef struct ferry_tree_made {
    uint64_t files;                    /* and links */
    uint64_t bytes;                    /* of them, holes included */
    uint64_t total_files, total_bytes; /* the peer's word; 0: it did not say */
} ferry_tree_made;

/* The tree becomes `name` in `dir` ("." is dir itself). Takes over dir, also on failure. */
int ferry_tree_builder_new(int dir, const char *name, const ferry_tree_builder_opts *o,
                           ferry_tree_builder **ret);

/* Removes what is not whole. NULL is allowed. */
void ferry_tree_builder_free(ferry_tree_builder *t);

/* The next bytes. -FERRY_EPROTO: no sender sends that; what nobody can go on after (-ENOSPC, -EROFS,
 * -EIO, ...); what problem() answered; *stop. After a failure only _free is left. */
int ferry_tree_build(ferry_tree_builder *t, const uint8_t *data, size_t len);
/* There is no more. -FERRY_EPROTO: in the middle. */
int ferry_tree_build_end(ferry_tree_builder *t);

const ferry_tree_made *ferry_tree_builder_made(const ferry_tree_builder *t);
/* Where it is: for an error's text. */
void ferry_tree_builder_path(const ferry_tree_builder *t, char *buf, size_t size);

#endif
