/* Runs a test's body as a task on a libuv loop of its own, where real descriptors,
 * processes and pool threads are wanted (harness/fake.h has a clock instead of those). The
 * loop must close clean and give every descriptor back, or the test fails. */
#ifndef FERRY_TESTS_REAL_H
#define FERRY_TESTS_REAL_H

#include "async/loop.h"
#include "async/scope.h"
#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What fn(arg) returned. cmocka's asserts may not be used inside (they longjmp off the
 * task's stack): note what is wrong with check*(). */
int run_on_uv(FERRY_CO int (*fn)(void *arg), void *arg);

/* A cmocka test of a body without an argument: TEST_ON_UV(reads_all). */
// clang-format off
#define TEST_ON_UV(body) {#body, run_body_on_uv, NULL, NULL, (void *)(uintptr_t)body}
// clang-format on
void run_body_on_uv(void **state);

#define check(cond) check_at((cond), #cond, __FILE__, __LINE__)
#define check_eq(a, b)                                                                 \
    check_eq_at((long long)(a), (long long)(b), #a, __FILE__, __LINE__)
#define check_has(text, part) check_has_at((text), (part), __FILE__, __LINE__)

bool check_at(bool ok, const char *what, const char *file, int line);
bool check_eq_at(long long a, long long b, const char *what, const char *file, int line);
/* `part` occurs in `text`. */
bool check_has_at(const char *text, const char *part, const char *file, int line);

/* Lets every other task run until it waits for something outside. */
FERRY_CO void let_others_park(void);

/* Whether some thread is inside read(2) of fd: of a pool thread, that it hangs. */
bool somebody_reads(int fd);

/* Descriptors this process has open. */
int count_fds(void);
/* Waits for the process to be gone or a zombie: 0, or -ETIMEDOUT after ms. Does not need to
 * be its parent. */
int wait_gone(int pid, int ms);

/* A new temporary directory's path, and its removal with what is in it. */
char *scratch_new(void);
void scratch_free(char *dir);

#endif
