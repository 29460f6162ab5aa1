/* The bytes of one file as DATA and HOLE records, up to its DONE or FAILED. Blocking.
 *
 *      small    |DATA|bytes|             in the buffer that other records are in
 *      bulk     |DATA| -- ends its buffer;  |bytes......|  |bytes......|  buffers of their own */
#ifndef FERRY_TREE_CONTENT_H
#define FERRY_TREE_CONTENT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct ferry_content {
    int fd, direct; /* -1: no file; the same with O_DIRECT, or -1 */
    uint64_t at, size;
    uint64_t data_end;  /* [at, data_end) is data */
    uint64_t announced; /* bytes of the DATA record begun, not yet read */
    bool holes;         /* there may be some */
    int broken;         /* it could not be read: why */
} ferry_content;

/* Takes over fd, which st describes. */
void ferry_content_open(ferry_content *c, int fd, const struct stat *st, bool direct);
void ferry_content_close(ferry_content *c);

/* Appends a record or two to b, which has room for some bytes. 1; 0: that was the last (DONE, or FAILED
 * when c->broken). */
int ferry_content_next(ferry_content *c, ferry_buf *b);

/* A DATA record has been begun whose bytes are to have buffers of their own. */
static inline bool ferry_content_is_bulk(const ferry_content *c)
{
    return c->announced > 0;
}
/* Fills the empty b with them. 1. What cannot be read is zeroes, until FAILED can be said. */
int ferry_content_bulk(ferry_content *c, ferry_buf *b);

#endif
