/* A header that our encoder cannot have made is refused, with the reason, and the
 * output stays untouched: one case per rule, and all 2^16 type/flag pairs. */
#include "proto/frame.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_refused(const uint8_t bytes[FERRY_FRAME_HEADER], const char *why)
{
    ferry_frame untouched = {1234, 5678, 90, 12}, f = untouched;
    assert_int_equal(ferry_frame_decode(bytes, &f), -FERRY_EPROTO);
    assert_memory_equal(&f, &untouched, sizeof f);
    assert_string_equal(ferry_frame_fault(bytes), why);
}

static void each_rule(void **state)
{
    (void)state;
    static const struct {
        ferry_frame f;
        const char *why;
    } cases[] = {
        {{0, 1, 0, 0}, "unknown frame type"},
        {{0, 1, FERRY_FRAME_TYPES, 0}, "unknown frame type"},
        {{0, 1, 255, 0}, "unknown frame type"},
        {{0, 0, FERRY_END, 0}, "a stream's frame on stream 0"},
        {{4, 0, FERRY_CALL, 0}, "a stream's frame on stream 0"},
        {{10, 1, FERRY_LOG, 0}, "a connection's frame on a stream"},
        {{10, 9, FERRY_HELLO, 0}, "a connection's frame on a stream"},
        {{8, 1, FERRY_DATA, 3}, "unknown flag"},
        {{8, 1, FERRY_DATA, 4}, "unknown flag"},
        {{7, 1, FERRY_DATA, FERRY_FRAME_SLOT}, "a slot's description is not 8 bytes"},
        {{9, 1, FERRY_DATA, FERRY_FRAME_SLOT}, "a slot's description is not 8 bytes"},
        {{12, 1, FERRY_LANE, 0}, "a connection's frame on a stream"},
        {{8, 1, FERRY_FREE, 0}, "a connection's frame on a stream"},
        {{11, 0, FERRY_LANE, 0}, "payload too short for its type"},
        {{13, 0, FERRY_LANE, 0}, "payload too long for its type"},
        {{7, 0, FERRY_FREE, 0}, "payload too short for its type"},
        {{9, 0, FERRY_FREE, 0}, "payload too long for its type"},
        {{8, 1, FERRY_REPLY, FERRY_FRAME_HOLE}, "unknown flag"},
        {{8, 1, FERRY_CALL, FERRY_FRAME_LOW | FERRY_FRAME_HIGH}, "unknown flag"},
        {{7, 1, FERRY_DATA, FERRY_FRAME_HOLE}, "a hole's length is not 8 bytes"},
        {{9, 1, FERRY_DATA, FERRY_FRAME_HOLE}, "a hole's length is not 8 bytes"},
        {{0, 1, FERRY_DATA, 0}, "payload too short for its type"},
        {{3, 1, FERRY_CALL, 0}, "payload too short for its type"},
        {{3, 1, FERRY_RESET, 0}, "payload too short for its type"},
        {{5, 1, FERRY_RESET, 0}, "payload too long for its type"},
        {{3, 1, FERRY_CREDIT, 0}, "payload too short for its type"},
        {{5, 1, FERRY_CREDIT, 0}, "payload too long for its type"},
        {{15, 1, FERRY_PROGRESS, 0}, "payload too short for its type"},
        {{17, 1, FERRY_PROGRESS, 0}, "payload too long for its type"},
        {{1, 1, FERRY_END, 0}, "payload too long for its type"},
        {{FERRY_HELLO_MIN - 1, 0, FERRY_HELLO, 0}, "payload too short for its type"},
        {{FERRY_HELLO_MAX + 1, 0, FERRY_HELLO, 0}, "payload too long for its type"},
        {{FERRY_LOG_MAX + 1, 0, FERRY_LOG, 0}, "payload too long for its type"},
        {{FERRY_FRAME_MAX + 1, 1, FERRY_DATA, 0}, "payload too long for its type"},
        {{FERRY_FRAME_MAX + 1, 1, FERRY_CALL, 0}, "payload too long for its type"},
        {{UINT32_MAX, 1, FERRY_REPLY, 0}, "payload too long for its type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[FERRY_FRAME_HEADER];
        ferry_frame_encode(&cases[i].f, bytes);
        assert_refused(bytes, cases[i].why);
    }
}

static void padding(void **state)
{
    (void)state;
    const ferry_frame f = {0, 1, FERRY_END, 0};
    for (int at = 10; at < 12; at++)
        for (int bit = 0; bit < 8; bit++) {
            uint8_t bytes[FERRY_FRAME_HEADER];
            ferry_frame_encode(&f, bytes);
            bytes[at] = (uint8_t)(1 << bit);
            assert_refused(bytes, "padding is not zero");
        }
}

/* Of all type and flag bytes with a payload of 8 on stream 1, these and no others pass.
 * */
static void type_and_flag_bytes(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++)
        for (unsigned flags = 0; flags < 256; flags++) {
            ferry_frame f = {8, 1, (uint8_t)type, (uint8_t)flags};
            uint8_t bytes[FERRY_FRAME_HEADER];
            ferry_frame_encode(&f, bytes);
            int good = (flags == 0 && (type == FERRY_CALL || type == FERRY_REPLY)) ||
                       (type == FERRY_DATA && flags <= 2) ||
                       (type == FERRY_CALL && (flags == 8 || flags == 16));
            assert_int_equal(ferry_frame_decode(bytes, &f), good ? 0 : -FERRY_EPROTO);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),
        cmocka_unit_test(padding),
        cmocka_unit_test(type_and_flag_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
