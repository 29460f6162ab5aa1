/* Buffers: room for what was asked, aligned where it is large, freed with the last reference
 * (ASan and valgrind are the judges of that), and impossible sizes refused. */
#include "base/auto.h"
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
static void sizes(void **state)
{
    static const size_t caps[] = {0, 1, 100, 4095, 4096, 4097, 65536, 1000003};
    (void)state;
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        FERRY_AUTO(buf) ferry_buf *b = NULL;
        assert_int_equal(ferry_buf_new(caps[i], &b), 0);
        assert_int_equal(b->len, 0);
        assert_int_equal(b->refs, 1);
        assert_true(b->cap >= caps[i]);
        assert_int_equal(ferry_buf_room(b), b->cap);
        memset(b->data, 0x55, b->cap); /* all of it is there */
        if (caps[i] >= FERRY_BUF_ALIGN)
            assert_int_equal((uintptr_t)b->data % FERRY_BUF_ALIGN, 0);
    }
}

static void impossible_sizes(void **state)
{
    static const size_t caps[] = {SIZE_MAX, SIZE_MAX - FERRY_BUF_ALIGN + 1};
    (void)state;
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        ferry_buf *b = (ferry_buf *)&sizes;
        assert_int_equal(ferry_buf_new(caps[i], &b), -ENOMEM);
        assert_ptr_equal(b, (ferry_buf *)&sizes); /* untouched */
    }
}

static void references(void **state)
{
    ferry_buf *b = NULL;
    (void)state;
    assert_int_equal(ferry_buf_copy("seven!!", 7, &b), 0);
    assert_int_equal(b->len, 7);
    assert_memory_equal(b->data, "seven!!", 7);
    assert_ptr_equal(ferry_buf_ref(b), b);
    {
        FERRY_AUTO(slice) ferry_slice s = {ferry_buf_ref(b), b->data + 2, 3};
        assert_int_equal(b->refs, 3);
        assert_memory_equal(s.data, "ven", 3);
    }
    assert_int_equal(b->refs, 2);
    ferry_buf_unref(b);
    assert_memory_equal(b->data, "seven!!", 7);
    ferry_buf_unref(b);
    ferry_buf_unref(NULL);

    ferry_slice none = {0};
    ferry_slice_done(&none);
    ferry_slice_done(&none);
    assert_int_equal(ferry_buf_copy(NULL, 0, &b), 0);
    assert_int_equal(b->len, 0);
    ferry_buf_unref(b);
}

/* A large block goes to the next buffer as it is (not under ASan): without what was secret. */
static void secrets_are_wiped(void **state)
{
    const size_t large = (size_t)256 * 1024;
    ferry_buf *b = NULL, *next = NULL;
    (void)state;
    assert_int_equal(ferry_buf_new(large, &b), 0);
    const uint8_t *block = b->data;
    memset(b->data, 0x55, large);
    b->secret = true;
    ferry_buf_unref(b);
    assert_int_equal(ferry_buf_new(large, &next), 0);
    assert_false(next->secret);
    for (size_t i = 0; next->data == block && i < large; i++)
        assert_int_equal(next->data[i], 0);
#if !defined(__SANITIZE_ADDRESS__)
    assert_ptr_equal(next->data, block);
#endif
    ferry_buf_unref(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(impossible_sizes),
        cmocka_unit_test(references),
        cmocka_unit_test(secrets_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
