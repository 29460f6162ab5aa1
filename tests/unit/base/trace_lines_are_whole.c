/* FERRY_TRACE: areas by name; one write a line whatever its length; errno kept; nothing at
 * all when it is off. */
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
/* What f writes to stderr. */
static size_t captured(void (*f)(void), char *ret, size_t size)
{
    int p[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(p[1], STDERR_FILENO);
    f();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(p[1]);
    ssize_t n = read(p[0], ret, size - 1);
    close(p[0]);
    n = n < 0 ? 0 : n;
    ret[n] = '\0';
    return (size_t)n;
}

static void trace_both(void)
{
    errno = EXDEV;
    FERRY_TRACE(async, "task %d", 1);
    FERRY_TRACE(proto, "stream %d", 2);
    assert_int_equal(errno, EXDEV);
}

static void areas(void **state)
{
    static const struct {
        const char *list;
        bool async, proto;
    } cases[] = {
        {"", false, false},
        {"async", true, false},
        {"proto,async", true, true},
        {"all", true, true},
        {"asyn,async2", false, false},
        {"nonsense,,proto,", false, true},
        {"launch", false, false},
    };
    char out[4096];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ferry_trace_init(cases[i].list);
        size_t n = captured(trace_both, out, sizeof out);
        assert_int_equal(strstr(out, " async: task 1\n") != NULL, cases[i].async);
        assert_int_equal(strstr(out, " proto: stream 2\n") != NULL, cases[i].proto);
        assert_int_equal(n > 0, cases[i].async || cases[i].proto);
    }
    setenv("FERRY_TRACE", "proto", 1);
    ferry_trace_init(NULL);
    captured(trace_both, out, sizeof out);
    assert_null(strstr(out, "async"));
    assert_non_null(strstr(out, "proto"));
    unsetenv("FERRY_TRACE");
    ferry_trace_init(NULL);
    assert_int_equal(captured(trace_both, out, sizeof out), 0);
}

static int length;

static void trace_length(void)
{
    FERRY_TRACE(api, "%.*s", length,
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    FERRY_TRACE(api, "%0*d", length * 20, 7);
}

/* Each ends with its newline, also when it was cut; none has one within. */
static void any_length(void **state)
{
    char out[8192];
    (void)state;
    ferry_trace_init("api");
    for (length = 0; length < 54; length++) {
        size_t n = captured(trace_length, out, sizeof out);
        char *first_end = strchr(out, '\n');
        assert_non_null(first_end);
        assert_int_equal(out[n - 1], '\n');
        assert_ptr_equal(strchr(first_end + 1, '\n'), out + n - 1);
        assert_true(out + n - first_end <= 514);
    }
    ferry_trace_init("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas),
        cmocka_unit_test(any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
