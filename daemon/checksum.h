/* POSIX cksum, for the test that compares it with cksum(1). Pure. */
#ifndef FERRYD_CHECKSUM_H
#define FERRYD_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

struct ferryd_crc {
    uint32_t value;
    uint64_t length;
    uint32_t table[256];
};

void ferryd_crc_init(struct ferryd_crc *c);
void ferryd_crc_add(struct ferryd_crc *c, const void *data, size_t len);
uint32_t ferryd_crc_end(struct ferryd_crc *c); /* also adds the length: once */

#endif
