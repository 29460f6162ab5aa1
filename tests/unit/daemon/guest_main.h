/* cmocka's table for bodies that run in a guest: GUEST_TEST(body) each, then GUEST_RUN(...). */
#ifndef FERRY_TESTS_GUEST_MAIN_H
#define FERRY_TESTS_GUEST_MAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GUEST_TEST(body)                                                               \
    static void test_##body(void **state)                                              \
    {                                                                                  \
        (void)state;                                                                   \
        in_guest(body);                                                                \
    }

#endif
