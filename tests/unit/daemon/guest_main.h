/* The main() of tests that run in a guest: GUEST_TEST(body) each, then guest_run(tests).
 *
 * These tests run as root, remove trees, and are there to find out whether the daemon ever
 * leaves its root: one that does must not be able to do harm. So they run in a child that has
 * a mount namespace of its own, in which everything is read-only but one scratch
 * directory:
 *
 *      /            read-only, with all that is mounted below it
 *      /tmp/ferry-test-XXXXXX      guest_scratch, the only place that can be written
 *        |-- root                  the guest's /
 *        `-- ...                   what a test wants to see untouched
 *
 * Where that cannot be set up, or does not hold when tried, nothing runs: exit code 77. */
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

/* Returns in the confined child only; the parent waits for it and exits as it did. */
void guest_confine(void);

#define guest_run(tests) (guest_confine(), cmocka_run_group_tests(tests, NULL, NULL))

#endif
