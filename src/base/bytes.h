/* Big-endian (XDR's order) integers in byte arrays of any alignment. */
#ifndef FERRY_BASE_BYTES_H
#define FERRY_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void ferry_put32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
}

static inline uint32_t ferry_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static inline void ferry_put64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint64_t ferry_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

#endif
