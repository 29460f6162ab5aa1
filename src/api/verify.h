/* What a file in the image and one on the host have in common, from the start: asked before a
 * transfer goes on where another stopped.
 *
 *      daemon: digests  --digest, digest, ...-->  compared with ours, piece by piece, until one differs
 *
 * Both sides read at the same time. On the loop, in the op's task. */
#ifndef FERRY_API_VERIFY_H
#define FERRY_API_VERIFY_H

#include "api/internal.h"
#include "async/fs.h"

typedef struct ferry_verify {
    /* the image's side */
    const char *path;
    bool partial; /* what an upload to path has left, instead of path */
    uint64_t offset;
    /* ours: a file open for reading, or memory */
    ferry_file *file;
    const uint8_t *memory;
    uint64_t at;

    uint64_t length; /* at most so many bytes */
    uint32_t stall_ms;
    const char *where; /* "upload": of errors */

    /* result */
    uint64_t same;  /* bytes that are equal: a multiple of FERRY_DIGEST_PIECE */
    uint64_t stamp; /* of the file in the image; 0: there is none */

    /* inside */
    ferry_stream *stream;
    uint8_t theirs[32]; /* a digest, or the stamp, that is still coming */
    size_t have;
    bool stamped, differs;
} ferry_verify;

/* 0 when what there is has been compared. The op's leftover is then what the daemon said. */
FERRY_CO int ferry_verify_run(ferry_op *op, ferry_verify *v, ferry_error *e);

#endif
