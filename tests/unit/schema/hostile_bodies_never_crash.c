/* Bytes of a hostile daemon, in place of each type of the wire: random ones, and good
 * bodies with bytes changed. Whatever decodes must encode again, to no more bytes; the
 * rest is refused. Crashes, overreads and leaks are for the sanitizers to see (preset
 * asan).
 *
 * The numbers are the same in every run; FERRY_TEST_SEED gives others. */
#include "proto/codec.h"

#include "ferry_xdr_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 3000

static const struct type {
    const char *name;
    xdrproc_t xdr;
    size_t size;
} types[] = {
#define TYPE(t) {#t, (xdrproc_t)xdr_##t, sizeof(t)},
    FX_TYPES(TYPE)
#undef TYPE
};
#define NTYPES (sizeof types / sizeof types[0])

static uint64_t seed = 88172645463325252u;

/* Marsaglia's xorshift64. */
static uint32_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

/* A word that is often small: string lengths are, in bodies that get far. */
static void put_word(uint8_t *p)
{
    uint32_t w = next();
    if (w & 1)
        w = next() % 40 << 24; /* big-endian 0..39 */
    memcpy(p, &w, 4);
}

/* An exact-size copy goes in, so that one byte too far is seen. */
static bool decodes(const struct type *t, const uint8_t *bytes, size_t len)
{
    void *value = malloc(t->size);
    uint8_t *body = malloc(len ? len : 1);
    assert_non_null(value);
    assert_non_null(body);
    memcpy(body, bytes, len);

    int r = ferry_codec_decode(t->xdr, body, len, t->size, value);
    if (r == 0) {
        ferry_buf *again = NULL;
        assert_int_equal(ferry_codec_encode(t->xdr, value, &again), 0);
        /* A 0 inside a string ends it: shorter is possible, longer is not. */
        assert_true(again->len <= len);
        ferry_buf_unref(again);
        xdr_free(t->xdr, value);
    } else {
        assert_int_equal(r, -FERRY_EPROTO);
    }
    free(body);
    free(value);
    return r == 0;
}

static void random_words(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t good = 0;
    for (size_t t = 0; t < NTYPES; t++)
        for (int i = 0; i < ROUNDS; i++) {
            size_t len = next() % sizeof bytes;
            for (size_t at = 0; at + 4 <= sizeof bytes; at += 4)
                put_word(bytes + at);
            good += decodes(&types[t], bytes, len);
        }
    assert_true(good > 0); /* else this would have tested the first check only */
}

/* The smallest body of a type: enough zeroes (empty strings, numbers 0). */
static size_t smallest(const struct type *t, uint8_t *zeroes, size_t room)
{
    for (size_t len = 4; len <= room; len += 4)
        if (decodes(t, zeroes, len))
            return len;
    fail_msg("%s: no body of zeroes decodes", t->name);
    return 0;
}

static void changed_bytes(void **state)
{
    (void)state;
    uint8_t zeroes[256] = {0}, bytes[256];
    for (size_t t = 0; t < NTYPES; t++) {
        size_t len = smallest(&types[t], zeroes, sizeof zeroes);
        for (int i = 0; i < ROUNDS; i++) {
            memset(bytes, 0, sizeof bytes);
            for (uint32_t n = 1 + next() % 4; n > 0; n--)
                bytes[next() % len] = (uint8_t)next();
            decodes(&types[t], bytes, next() % 4 ? len : next() % sizeof bytes);
        }
    }
}

static void replies_and_lists(void **state)
{
    (void)state;
    uint8_t bytes[512];
    for (size_t t = 0; t < NTYPES; t++) {
        void *value = malloc(types[t].size);
        assert_non_null(value);
        for (int i = 0; i < ROUNDS; i++) {
            size_t len = next() % sizeof bytes;
            for (size_t at = 0; at + 4 <= sizeof bytes; at += 4)
                put_word(bytes + at);
            if (next() % 2)
                memset(bytes, 0, 16); /* a status that says success */

            ferry_error e = {0};
            int r =
                ferry_codec_reply(bytes, len, types[t].xdr, types[t].size, value, &e);
            assert_true(r <= 0);
            assert_int_equal(e.code, r);
            if (r == 0)
                xdr_free(types[t].xdr, value);

            void *items = NULL;
            size_t count = 0;
            if (ferry_codec_items(types[t].xdr, bytes, len, types[t].size, &items,
                                  &count) == 0)
                ferry_codec_items_free(types[t].xdr, items, count, types[t].size);
        }
        free(value);
    }
}

int main(void)
{
    const char *other = getenv("FERRY_TEST_SEED");
    if (other)
        seed = strtoull(other, NULL, 0) | 1;
    printf("seed %llu\n", (unsigned long long)seed);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_words),
        cmocka_unit_test(changed_bytes),
        cmocka_unit_test(replies_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
