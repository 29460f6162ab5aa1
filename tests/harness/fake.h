/* Runs a test's body as a task on a loop whose clock only the harness moves: no sleep
 * takes time, every order of events is the same in every run, and a test that would
 * hang is told so at once. */
#ifndef FERRY_TESTS_FAKE_H
#define FERRY_TESTS_FAKE_H

#include "async/loop.h"
#include "async/scope.h"

#include <stdint.h>

/* What fn(arg) returned when every task had ended. Fails the running cmocka test when
 * tasks are left that wait for ever. cmocka's asserts may not be used inside a task
 * (they longjmp off its stack): return a code, or note what is wrong with fake_check().
 * */
int run_in_task(int (*fn)(void *arg), void *arg);

/* A cmocka test of a body without an argument that returns 0. */
#define TEST_IN_TASK(body)                                                             \
    {                                                                                  \
#body, run_body_in_task, NULL, NULL, (void *)(uintptr_t)body                   \
    }
void run_body_in_task(void **state);

/* Inside a task: notes a failure, which run_in_task() turns into the test's. Returns
 * cond. */
#define fake_check(cond) fake_check_at((cond), #cond, __FILE__, __LINE__)
/* The same for two numbers, printing both. */
#define fake_equal(a, b)                                                               \
    fake_equal_at((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)

bool fake_check_at(bool ok, const char *text, const char *file, int line);
bool fake_equal_at(long long a, long long b, const char *text, const char *file,
                   int line);

#endif
