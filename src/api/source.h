/* Where an upload comes from: a path, a descriptor or memory, read as pieces.
 *
 *      regular file, block device   pool reads by offset, holes found by SEEK_DATA/SEEK_HOLE
 *      FIFO, socket, tty            a pipe: never a pool thread (it would be stuck there)
 *      /dev/zero and its like       pool reads in sequence
 *      memory                       copied piece by piece
 *
 * On the loop, in a task. Knows nothing of the wire but its piece. */
#ifndef FERRY_API_SOURCE_H
#define FERRY_API_SOURCE_H

#include "async/fs.h"
#include "async/link.h"
#include "proto/conn.h"

#include <guestferry/error.h>

typedef enum ferry_source_kind {
    FERRY_SOURCE_FILE, /* by offset */
    FERRY_SOURCE_SEQUENCE,
    FERRY_SOURCE_STREAM,
    FERRY_SOURCE_MEMORY,
} ferry_source_kind;

typedef struct ferry_source {
    /* what the caller gave: exactly one of the three */
    char *path; /* owned */
    int fd;     /* the caller's; -1: none */
    const uint8_t *memory;

    ferry_source_kind kind;
    ferry_file *file; /* STREAM: only to ask how much is waiting */
    ferry_link *link;
    uint64_t offset;      /* of the next byte */
    uint64_t end;         /* FILE, MEMORY: where it ends */
    uint64_t data_end;    /* FILE: [offset, data_end) is known to be data */
    uint64_t length;      /* bytes that will come; 0: unknown */
    size_t piece_max;     /* FILE, MEMORY: of the next; 0: what fits */
    ferry_stream *stream; /* where the pieces go: they are read into slots of its lane */
} ferry_source;

/* A regular file's descriptor is left positioned behind what was read. */
void ferry_source_done(ferry_source *s);

/* Opens it and finds out its kind and length. The error names it. */
FERRY_CO int ferry_source_open(ferry_source *s, ferry_error *e);

/* 1 and a piece (a slot of the lane, at most FERRY_FRAME_MAX bytes, or a hole of any length); 0 at the end; a
 * negative code with e filled, or the cancel code. */
FERRY_CO int ferry_source_next(ferry_source *s, ferry_piece *ret, ferry_error *e);

#endif
