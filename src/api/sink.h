/* Where a download goes: a path (atomically), a descriptor, or memory; the mirror of source.h.
 *
 *      path     an unnamed file in the target's directory; on commit it gets a name and is
 *               renamed over the target, with its owner, mode and extended attributes
 *      special  a path that is a FIFO, device or socket is written like a descriptor
 *      fd       from its current position; holes are punched, or zeroes where that is no
 *               file, or one that is open with O_APPEND
 *      memory   grows, up to a limit
 *
 * Nothing is left behind unless ferry_sink_commit() succeeded, or ferry_sink_keep() made a
 * partial of it (a descriptor keeps what it was given). On the loop, in a task. */
#ifndef FERRY_API_SINK_H
#define FERRY_API_SINK_H

#include "async/fs.h"
#include "async/link.h"
#include "proto/conn.h"

#include <guestferry/error.h>

typedef enum ferry_sink_kind {
    FERRY_SINK_TEMPORARY,
    FERRY_SINK_FILE, /* the caller's, by offset */
    FERRY_SINK_SEQUENCE,
    FERRY_SINK_STREAM,
    FERRY_SINK_MEMORY,
} ferry_sink_kind;

typedef struct ferry_sink {
    /* what the caller gave: a path, a descriptor, or (path NULL, fd -1) memory */
    char *path; /* owned */
    int fd;     /* the caller's */
    uint32_t mode;
    bool durable;
    bool keep, resume;  /* a path: partials (sink_keep.h) */
    uint64_t max_bytes; /* memory */

    ferry_sink_kind kind;
    char *target;    /* path, symbolic links resolved */
    char *temporary; /* its name, where the directory has no unnamed files */
    bool resumed; /* that is the partial of an earlier try, readable, with `found` bytes */
    bool installed; /* the target is the new file */
    uint64_t found;
    ferry_file *file;
    ferry_link *link;
    uint64_t offset; /* of the next byte */
    uint8_t *memory; /* max(offset, 1) bytes and a 0 */
    size_t capacity;
} ferry_sink;

void ferry_sink_done(ferry_sink *s); /* drops what was not committed */
FERRY_CO int ferry_sink_open(ferry_sink *s, ferry_error *e);
FERRY_CO int ferry_sink_write(ferry_sink *s, const ferry_piece *p, ferry_error *e);
/* All was written: makes it final. The fsync of a durable one hears a cancel, because a slow disk may
 * take long over it; what follows does not: it is a moment's work. */
FERRY_CO int ferry_sink_commit(ferry_sink *s, ferry_error *e);

#endif
