/* See digest.h. Pure. */
#include "base/digest.h"

#include <nettle/sha2.h>

_Static_assert(FERRY_DIGEST_SIZE == SHA256_DIGEST_SIZE, "the digest is SHA-256's");

void ferry_digest(const void *data, size_t len, uint8_t ret[FERRY_DIGEST_SIZE])
{
    struct sha256_ctx c;
    sha256_init(&c);
    sha256_update(&c, len, data);
    sha256_digest(&c, FERRY_DIGEST_SIZE, ret);
}
