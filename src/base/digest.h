/* Digests of a file piece by piece, by which both ends find out how much of it they have in common.
 * The length of a piece is part of the protocol (docs/protocol.md): transfers that go on
 * begin at a multiple of it. */
#ifndef FERRY_BASE_DIGEST_H
#define FERRY_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Short enough that little is sent again, long enough that a digest costs nothing to send, and
 * what follows is aligned for O_DIRECT. */
#define FERRY_DIGEST_PIECE (1024 * 1024)
#define FERRY_DIGEST_SIZE 32

/* SHA-256: what is taken over must not only look the same by chance. */
void ferry_digest(const void *data, size_t len, uint8_t ret[FERRY_DIGEST_SIZE]);

#endif
