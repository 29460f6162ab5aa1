/* Reading a download's data: blocking, for pool threads.
 *
 *      regions of the file    |==== data ====|....... hole .......|== data ==|
 *      pieces                 |--1M--|--1M--|-|                    |-1M-|----|
 */
#ifndef FERRYD_SOURCE_H
#define FERRYD_SOURCE_H

#include "root.h"

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* One read(2), unless it is into a slot of the lane. */
#define FERRYD_PIECE (1024 * 1024)

struct ferryd_source {
    int fd;
    int direct;    /* the same file with O_DIRECT; -1: not here */
    bool holes;    /* there may be some */
    uint64_t size; /* when it was opened */
};

/* A file in the image, or a device (root is ignored then). -FERRY_EISDIR, -FERRY_EINVAL. */
int ferryd_source_open(int root, const char *path, struct ferryd_source *ret);
/* The same of an open file of the image; owns fd, also on failure. */
int ferryd_source_take(int fd, struct ferryd_source *ret);
void ferryd_source_close(struct ferryd_source *s);

/* What is at `from`: *ret_data bytes of data after *ret_hole bytes of hole, both within
 * [from, to). */
int ferryd_source_region(const struct ferryd_source *s, uint64_t from, uint64_t to,
                         uint64_t *ret_hole, uint64_t *ret_data);

/* Fills b with `len` bytes from `offset`; fewer only at the end of the file. */
int ferryd_source_read(const struct ferryd_source *s, ferry_buf *b, size_t len,
                       uint64_t offset);

#endif
