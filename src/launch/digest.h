/* A fast digest against bytes that changed by themselves: a bad disk, a torn write, a file cut
 * short. Not against somebody who wants to deceive: whoever may write to the user's
 * own directory may do that anyway.
 *
 * Eight lanes of 64 bits, each  lane = rotate((lane ^ word) * odd):  every step is a bijection of
 * the lane for a given word, and of the word for a given lane, so a change confined to
 * the words of one lane (any single bit, any 8 bytes that are aligned) is found with
 * certainty, all others but one in 2^64. The cost is that of reading the memory. */
#ifndef FERRY_LAUNCH_DIGEST_H
#define FERRY_LAUNCH_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define FERRY_DIGEST_LANES 8
#define FERRY_DIGEST_PAGE 4096

typedef struct ferry_digest {
    uint64_t lane[FERRY_DIGEST_LANES];
} ferry_digest;

void ferry_digest_init(ferry_digest *d, uint64_t seed);

/* A page and its number. One that is all zeroes counts for nothing, so that a hole and a page
 * of zeroes are the same. */
void ferry_digest_page(ferry_digest *d, uint64_t number, const void *page);

/* Any bytes, the last few padded with zeroes; the length counts. */
void ferry_digest_bytes(ferry_digest *d, const void *data, size_t len);

uint64_t ferry_digest_end(const ferry_digest *d);

#endif
