/* Every frame that our side can build comes out of twelve bytes as it went in, and the
 * bytes are those of docs/protocol.md. */
#include "proto/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_round_trip(ferry_frame f)
{
    uint8_t bytes[FERRY_FRAME_HEADER];
    memset(bytes, 0xaa, sizeof bytes);
    ferry_frame_encode(&f, bytes);

    ferry_frame back;
    assert_null(ferry_frame_fault(bytes));
    assert_int_equal(ferry_frame_decode(bytes, &back), 0);
    assert_int_equal(back.length, f.length);
    assert_int_equal(back.stream, f.stream);
    assert_int_equal(back.type, f.type);
    assert_int_equal(back.flags, f.flags);
}

static void every_type_at_its_bounds(void **state)
{
    (void)state;
    static const ferry_frame frames[] = {
        {FERRY_HELLO_MIN, 0, FERRY_HELLO, 0},
        {FERRY_HELLO_MAX, 0, FERRY_HELLO, 0},
        {4, 1, FERRY_CALL, 0},
        {FERRY_FRAME_MAX, UINT32_MAX, FERRY_CALL, 0},
        {0, 1, FERRY_REPLY, 0},
        {FERRY_FRAME_MAX, 77, FERRY_REPLY, 0},
        {1, 1, FERRY_DATA, 0},
        {FERRY_FRAME_MAX, 1, FERRY_DATA, 0},
        {8, 1, FERRY_DATA, FERRY_FRAME_HOLE},
        {0, 1, FERRY_END, 0},
        {4, 1, FERRY_RESET, 0},
        {4, 1, FERRY_CREDIT, 0},
        {16, 1, FERRY_PROGRESS, 0},
        {0, 0, FERRY_LOG, 0},
        {FERRY_LOG_MAX, 0, FERRY_LOG, 0},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        assert_round_trip(frames[i]);
}

static void bytes_are_those_of_the_document(void **state)
{
    (void)state;
    const ferry_frame f = {8, 0x01020304, FERRY_DATA, FERRY_FRAME_HOLE};
    static const uint8_t expected[] = {0, 0, 0, 8, 1, 2, 3, 4, 4, 1, 0, 0};
    uint8_t bytes[FERRY_FRAME_HEADER];
    ferry_frame_encode(&f, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(ferry_frame_name(FERRY_HELLO), "HELLO");
    assert_string_equal(ferry_frame_name(FERRY_LOG), "LOG");
    assert_string_equal(ferry_frame_name(0), "?");
    assert_string_equal(ferry_frame_name(FERRY_FRAME_TYPES), "?");
    assert_string_equal(ferry_frame_name(255), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_at_its_bounds),
        cmocka_unit_test(bytes_are_those_of_the_document),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
