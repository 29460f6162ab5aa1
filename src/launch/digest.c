/* The digest of templates; see digest.h. */
#include "launch/digest.h"

#include <stdbool.h>
#include <string.h>

/* Odd, with about as many ones as zeroes: the fractional parts of square roots of primes. */
static const uint64_t odd[FERRY_DIGEST_LANES] = {
    0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static uint64_t rotate(uint64_t x)
{
    return x << 29 | x >> 35;
}

void ferry_digest_init(ferry_digest *d, uint64_t seed)
{
    for (int i = 0; i < FERRY_DIGEST_LANES; i++)
        d->lane[i] = odd[i] ^ seed;
}

static void add_block(ferry_digest *d, const uint64_t word[FERRY_DIGEST_LANES])
{
    for (int i = 0; i < FERRY_DIGEST_LANES; i++)
        d->lane[i] = rotate((d->lane[i] ^ word[i]) * odd[i]);
}

static void add_number(ferry_digest *d, uint64_t n)
{
    for (int i = 0; i < FERRY_DIGEST_LANES; i++)
        d->lane[i] = rotate((d->lane[i] ^ n) * odd[i]);
}

static bool is_zero(const uint64_t *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (word[i])
            return false;
    return true;
}

void ferry_digest_page(ferry_digest *d, uint64_t number, const void *page)
{
    enum { WORDS = FERRY_DIGEST_PAGE / sizeof(uint64_t) };
    uint64_t word[WORDS];
    memcpy(word, page, sizeof word);
    if (is_zero(word, WORDS))
        return;
    add_number(d, number);
    for (size_t i = 0; i < WORDS; i += FERRY_DIGEST_LANES)
        add_block(d, word + i);
}

void ferry_digest_bytes(ferry_digest *d, const void *data, size_t len)
{
    const uint8_t *p = data;
    add_number(d, len);
    while (len > 0) {
        uint64_t word[FERRY_DIGEST_LANES] = {0};
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(word, p, n);
        add_block(d, word);
        p += n;
        len -= n;
    }
}

uint64_t ferry_digest_end(const ferry_digest *d)
{
    uint64_t h = 0;
    for (int i = 0; i < FERRY_DIGEST_LANES; i++)
        h = rotate((h ^ d->lane[i]) * odd[i]);
    h ^= h >> 32;
    return h * odd[0];
}
