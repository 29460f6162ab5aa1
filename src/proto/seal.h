/* A checksum behind the data of a stream, a file's bytes or a tree's records: what ferry_upload_opts.verify
 * and ferry_copy_opts.verify ask for. Both ends compute it
 * while the data passes, so nothing is read twice.
 *
 *      writer   DATA, holes, DATA ... | digest: the last 8 bytes of DATA | END
 *      reader   hands on all but those, and the end only if they are what it has computed itself
 *
 * XXH64: against bytes that change on the way, not against an attacker, who computes a digest as well as
 * we do. Under TCG it is five times faster than XXH3, whose vector instructions are calls there, and
 * twenty times faster than SHA-256 (docs/performance.md). A hole counts with its length. Used by the transfers of both sides, on the loop. */
#ifndef FERRY_PROTO_SEAL_H
#define FERRY_PROTO_SEAL_H

#include "proto/conn.h"

#include <stdbool.h>

#define FERRY_SEAL_SIZE 8

/* What an error says then, behind the path. */
#define FERRY_SEAL_BROKEN "the checksum of what arrived is another"

/* Zeroed: no seal, and the functions are those of the stream. */
typedef struct ferry_seal {
    void *state;      /* XXH64_state_t; NULL: none */
    uint64_t hole;    /* passed, and not yet in the state */
    ferry_piece held; /* reader: it may end in the digest */
    bool holds;
    bool ended;  /* reader: the digest was right */
    bool broken; /* reader: it was not; -EBADMSG alone may be a disk's word too */
} ferry_seal;

int ferry_seal_init(ferry_seal *s); /* -ENOMEM */
void ferry_seal_done(ferry_seal *s);

/* ferry_stream_write, _write_hole, _finish. */
FERRY_CO int ferry_seal_write(ferry_seal *s, ferry_stream *st, ferry_slice data);
FERRY_CO int ferry_seal_write_hole(ferry_seal *s, ferry_stream *st, uint64_t len);
FERRY_CO int ferry_seal_finish(ferry_seal *s, ferry_stream *st);

/* ferry_stream_read; at the end -EBADMSG, and s->broken: the digest is missing, or another. */
FERRY_CO int ferry_seal_read(ferry_seal *s, ferry_stream *st, ferry_piece *ret);

#endif
