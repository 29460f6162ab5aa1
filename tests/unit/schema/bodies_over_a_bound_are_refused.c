/* Neither side accepts a body that the schema does not allow: a string over its bound (in
 * either direction), a body that ends early at any byte, or one with something behind it.
 * And a refusal leaves nothing allocated (the sanitizer's leak check watches). */
#include "proto/codec.h"

#include "base/bytes.h"
#include "ferry_xdr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PROC(type) ((xdrproc_t)xdr_##type)
#define TEXT(s) ((char[]){s}) /* XDR knows no const */

static void too_long_to_encode(void **state)
{
    (void)state;
    char path[4098];
    memset(path, '/', sizeof path);
    path[4097] = 0;
    fx_stat_args args = {.path = path};
    ferry_buf *b = NULL;
    assert_int_equal(ferry_codec_encode(PROC(fx_stat_args), &args, &b),
                     -FERRY_ENAMETOOLONG);
    assert_null(b);

    path[4096] = 0; /* the bound itself is allowed */
    assert_int_equal(ferry_codec_encode(PROC(fx_stat_args), &args, &b), 0);
    assert_int_equal(b->len, 4 + 4096);
    ferry_buf_unref(b);
}

/* A string whose length says `n`, with all its bytes there. */
static int decode_string(uint32_t n)
{
    static uint8_t body[4 + 8192];
    memset(body, 'x', sizeof body);
    ferry_put32(body, n);
    size_t len = n < 8192 ? 4 + (n + 3) / 4 * 4 : sizeof body;

    fx_stat_args args;
    int r = ferry_codec_decode(PROC(fx_stat_args), body, len, sizeof args, &args);
    if (r == 0) {
        assert_int_equal(strlen(args.path), n);
        xdr_free(PROC(fx_stat_args), &args);
    } else {
        assert_null(args.path);
    }
    return r;
}

static void too_long_to_decode(void **state)
{
    (void)state;
    assert_int_equal(decode_string(0), 0);
    assert_int_equal(decode_string(4096), 0);
    assert_int_equal(decode_string(4097), -FERRY_EPROTO);
    assert_int_equal(decode_string(8192), -FERRY_EPROTO);
    assert_int_equal(decode_string(INT32_MAX), -FERRY_EPROTO);
    assert_int_equal(decode_string(UINT32_MAX), -FERRY_EPROTO);
    assert_int_equal(decode_string(UINT32_MAX - 3),
                     -FERRY_EPROTO); /* wraps when padded */
}

static ferry_buf *sample(void)
{
    fx_filesystem fs = {
        .device = TEXT("/dev/mapper/vg-root"),
        .type = TEXT("xfs"),
        .label = TEXT("root"),
        .uuid = TEXT("0c9e2c2c-4b0e-4b5e-9c6f-7d1f3a1b2c3d"),
        .bytes = 1,
    };
    ferry_buf *b = NULL;
    assert_int_equal(ferry_codec_encode(PROC(fx_filesystem), &fs, &b), 0);
    return b;
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    ferry_buf *b = sample();
    fx_filesystem fs;
    for (size_t len = 0; len < b->len; len++) {
        /* A copy of just that length, so that the sanitizer sees a read behind it. */
        ferry_buf *cut = NULL;
        assert_int_equal(ferry_buf_copy(b->data, len, &cut), 0);
        assert_int_equal(ferry_codec_decode(PROC(fx_filesystem), cut->data, len,
                                            sizeof fs, &fs),
                         -FERRY_EPROTO);
        assert_null(fs.device);
        assert_null(fs.uuid);
        ferry_buf_unref(cut);
    }
    ferry_buf_unref(b);
}

static void something_behind_it(void **state)
{
    (void)state;
    ferry_buf *b = sample();
    uint8_t body[512] = {0};
    memcpy(body, b->data, b->len);
    fx_filesystem fs;
    for (size_t more = 1; more <= 8; more++)
        assert_int_equal(ferry_codec_decode(PROC(fx_filesystem), body, b->len + more,
                                            sizeof fs, &fs),
                         -FERRY_EPROTO);
    ferry_buf_unref(b);
}

static void a_result_where_there_is_none(void **state)
{
    (void)state;
    uint8_t status[32] = {0}; /* success, no texts */
    uint8_t longer[36] = {0};
    ferry_error e;
    assert_int_equal(ferry_codec_reply(status, 32, NULL, 0, NULL, &e), 0);
    assert_int_equal(ferry_codec_reply(longer, 36, NULL, 0, NULL, &e), -FERRY_EPROTO);

    fx_blockdev_getsize64_ret ret;
    xdrproc_t xdr = PROC(fx_blockdev_getsize64_ret);
    assert_int_equal(ferry_codec_reply(status, 32, xdr, sizeof ret, &ret, &e),
                     -FERRY_EPROTO);
    assert_int_equal(ferry_codec_reply(status, 28, NULL, 0, NULL, &e), -FERRY_EPROTO);
    assert_int_equal(ferry_codec_reply(NULL, 0, NULL, 0, NULL, &e), -FERRY_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_long_to_encode),
        cmocka_unit_test(too_long_to_decode),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(something_behind_it),
        cmocka_unit_test(a_result_where_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
