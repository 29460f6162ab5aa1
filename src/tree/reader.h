/* Reads a tree off a disk as records (wire.h). Blocking: one call at a time, on a pool thread.
 *
 *      directory ---> names, all at once ---> FILE + its bytes, FILE + its bytes, ...
 *                                             |-------- one buffer --------|
 *
 * Many small files go into one buffer; a large one's bytes have buffers of their own, from whose start
 * they can be written with O_DIRECT. What is a link is sent as one, never followed; directories of
 * other file systems that are mounted below are gone into. */
#ifndef FERRY_TREE_READER_H
#define FERRY_TREE_READER_H

#include "tree/wire.h"
#include "tree/xattrs.h"

#include "base/buf.h"

#include <stdatomic.h>
#include <sys/types.h>

/* What a call fills, at most; FERRY_FRAME_MAX is no less. */
#define FERRY_TREE_PIECE (256 * 1024)

typedef struct ferry_tree_reader ferry_tree_reader;

typedef struct ferry_tree_id {
    dev_t dev;
    ino_t ino;
} ferry_tree_id;

typedef struct ferry_tree_reader_opts {
    unsigned keep;             /* enum ferry_tree_keep */
    bool count;                /* TOTAL first: the tree is walked twice */
    bool direct;               /* O_DIRECT for large files */
    const ferry_tree_id *skip; /* files to leave out: the images themselves; copied */
    size_t nskip;
    const atomic_int *stop; /* not 0: the code to end with */
    /* An entry was left out: `code` as in PROBLEM. NULL: PROBLEM records say it. */
    void (*problem)(void *user, const char *path, int code);
    void *user;
} ferry_tree_reader_opts;

/* What stands as `name` in `dir` ("." is dir itself), with all below it. dir is not taken over, and is
 * not needed any more afterwards. */
int ferry_tree_reader_new(int dir, const char *name, const ferry_tree_reader_opts *o,
                          ferry_tree_reader **ret);
void ferry_tree_reader_free(ferry_tree_reader *t); /* NULL is allowed */

/* Fills the empty buffer b (of FERRY_TREE_PIECE bytes). 1: there may be more; 0: that was all, b may
 * hold the last of it; or what the reader cannot go on after, also a code of *stop. */
int ferry_tree_read(ferry_tree_reader *t, ferry_buf *b);

/* Files, symbolic and hard links begun so far, and the files' bytes read. */
void ferry_tree_reader_count(const ferry_tree_reader *t, uint64_t *ret_files,
                             uint64_t *ret_bytes);

/* What was counted first; 0 before. */
void ferry_tree_reader_total(const ferry_tree_reader *t, uint64_t *ret_files,
                             uint64_t *ret_bytes);

/* Where it is: for an error's text. */
void ferry_tree_reader_path(const ferry_tree_reader *t, char *buf, size_t size);

#endif
