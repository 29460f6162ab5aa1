/* Runs a test's body as a task on a libuv loop of its own, for what needs real processes
 * and sockets (tests/harness/fake.h has a fake clock and none of those). The loop must
 * close clean: a handle, task or hold that is left over fails the test. */
#ifndef FERRY_TESTS_ON_LOOP_H
#define FERRY_TESTS_ON_LOOP_H

#include "async/loop.h"
#include "async/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What fn(arg) returned. cmocka's asserts may not be used inside (they longjmp off the
 * task's stack): note what is wrong with check_*. */
int run_on_loop(FERRY_CO int (*fn)(void *arg), void *arg);

#define check(cond) check_at((cond), #cond, __FILE__, __LINE__)
#define check_int(a, b) check_int_at((a), (b), #a, __FILE__, __LINE__)
#define check_has(text, part) check_has_at((text), (part), __FILE__, __LINE__)

bool check_at(bool ok, const char *what, const char *file, int line);
bool check_int_at(long long a, long long b, const char *what, const char *file,
                  int line);
/* `part` occurs in `text`. */
bool check_has_at(const char *text, const char *part, const char *file, int line);

/* How many descriptors this process has open. */
int count_fds(void);
/* Waits for the process to be gone or a zombie: 0, or -ETIMEDOUT after ms. Does not need to
 * be its parent. */
int wait_gone(int pid, int ms);

#endif
