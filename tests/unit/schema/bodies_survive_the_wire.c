/* What one side encodes, the other decodes to the same; and the bytes are those of XDR
 * (RFC 4506), so that a generator or a libtirpc that changes its mind is noticed. */
#include "proto/codec.h"

#include "ferry_xdr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PROC(type) ((xdrproc_t)xdr_##type)
#define TEXT(s) ((char[]){s}) /* XDR knows no const */

/* Encodes x as a `type` and decodes it into a new one, `copy`. */
#define THROUGH(type, x, copy)                                                         \
    type copy;                                                                         \
    do {                                                                               \
        ferry_buf *b = NULL;                                                           \
        assert_int_equal(ferry_codec_encode(PROC(type), &(x), &b), 0);                 \
        assert_int_equal(b->len % 4, 0);                                               \
        assert_int_equal(ferry_codec_decode(PROC(type), b->data, b->len, sizeof(copy), \
                                            &(copy)),                                  \
                         0);                                                           \
        ferry_buf_unref(b);                                                            \
    } while (0)

static void arguments(void **state)
{
    (void)state;
    fx_mkfs_args args = {
        .fstype = TEXT("ext4"),
        .device = TEXT("/dev/sda1"),
        .label = TEXT(""),
        .blocksize = UINT32_MAX,
    };
    THROUGH(fx_mkfs_args, args, copy);
    assert_string_equal(copy.fstype, "ext4");
    assert_string_equal(copy.device, "/dev/sda1");
    assert_string_equal(copy.label, "");
    assert_int_equal(copy.blocksize, UINT32_MAX);
    xdr_free(PROC(fx_mkfs_args), &copy);
}

static void numbers_at_their_ends(void **state)
{
    (void)state;
    fx_stat_ret ret = {.value = {
                           .dev = UINT64_MAX,
                           .ino = 1,
                           .mode = 0100755,
                           .size = INT64_MAX,
                           .atime_sec = INT64_MIN,
                           .atime_nsec = 999999999,
                           .mtime_sec = -1,
                       }};
    THROUGH(fx_stat_ret, ret, copy);
    assert_true(copy.value.dev == UINT64_MAX);
    assert_true(copy.value.size == INT64_MAX);
    assert_true(copy.value.atime_sec == INT64_MIN);
    assert_true(copy.value.mtime_sec == -1);
    assert_int_equal(copy.value.ino, 1);
    assert_int_equal(copy.value.mode, 0100755);
    assert_int_equal(copy.value.atime_nsec, 999999999);
    assert_int_equal(copy.value.ctime_nsec, 0);
}

static void the_longest_strings(void **state)
{
    (void)state;
    char target[4097], link[4097];
    memset(target, 't', 4096);
    memset(link, '/', 4096);
    target[4096] = link[4096] = 0;
    fx_ln_s_args args = {.target = target, .linkname = link};
    THROUGH(fx_ln_s_args, args, copy);
    assert_string_equal(copy.target, target);
    assert_string_equal(copy.linkname, link);
    xdr_free(PROC(fx_ln_s_args), &copy);
}

static void names_of_any_bytes(void **state)
{
    (void)state;
    char name[256];
    for (int i = 1; i < 256; i++)
        name[i - 1] = (char)i;
    name[255] = 0;
    fx_dirent entry = {.ino = 7, .ftyp = 'r', .name = name};
    THROUGH(fx_dirent, entry, copy);
    assert_memory_equal(copy.name, name, 256);
    assert_int_equal(copy.ftyp, 'r');
    xdr_free(PROC(fx_dirent), &copy);
}

/* owner 1000, group 2^32-1, "/a": two words, then length, bytes and padding. */
static void bytes_are_those_of_the_standard(void **state)
{
    (void)state;
    static const uint8_t golden[] = {
        0, 0, 3, 0xe8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, '/', 'a', 0, 0,
    };
    fx_chown_args args = {.owner = 1000, .group = UINT32_MAX, .path = TEXT("/a")};
    ferry_buf *b = NULL;
    assert_int_equal(ferry_codec_encode(PROC(fx_chown_args), &args, &b), 0);
    assert_int_equal(b->len, sizeof golden);
    assert_memory_equal(b->data, golden, sizeof golden);
    ferry_buf_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(numbers_at_their_ends),
        cmocka_unit_test(the_longest_strings),
        cmocka_unit_test(names_of_any_bytes),
        cmocka_unit_test(bytes_are_those_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
