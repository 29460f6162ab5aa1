/* Integers go over the wire as in XDR, at any alignment. */
#include "base/bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
static void at_any_alignment(void **state)
{
    uint8_t bytes[24];
    (void)state;
    for (size_t at = 0; at < 8; at++) {
        memset(bytes, 0xee, sizeof bytes);
        ferry_put32(bytes + at, 0x01020304);
        assert_memory_equal(bytes + at, ((uint8_t[]){1, 2, 3, 4, 0xee}), 5);
        assert_int_equal(ferry_get32(bytes + at), 0x01020304);
        ferry_put64(bytes + at, 0x0102030405060708);
        assert_memory_equal(bytes + at, ((uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 0xee}), 9);
        assert_true(ferry_get64(bytes + at) == 0x0102030405060708);
        ferry_put32(bytes + at, UINT32_MAX);
        assert_true(ferry_get32(bytes + at) == UINT32_MAX);
        ferry_put64(bytes + at, UINT64_MAX - 1);
        assert_true(ferry_get64(bytes + at) == UINT64_MAX - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_any_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
