/* See on_loop.h. */
#include "on_loop.h"

#include "base/trace.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

static unsigned failures;

bool check_at(bool ok, const char *what, const char *file, int line)
{
    if (!ok) {
        failures++;
        fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    }
    return ok;
}

bool check_int_at(long long a, long long b, const char *what, const char *file, int line)
{
    if (a != b) {
        failures++;
        fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, a, b);
    }
    return a == b;
}

bool check_has_at(const char *text, const char *part, const char *file, int line)
{
    bool ok = strstr(text, part);
    if (!ok) {
        failures++;
        fprintf(stderr, "%s:%d: \"%s\" does not say \"%s\"\n", file, line, text, part);
    }
    return ok;
}

struct body {
    int (*fn)(void *arg);
    void *arg;
    ferry_loop *loop;
    int result;
};

static FERRY_CO int run_body(void *arg)
{
    struct body *b = arg;
    b->result = b->fn(b->arg);
    ferry_loop_release(b->loop);
    return 0;
}

int run_on_loop(int (*fn)(void *arg), void *arg)
{
    uv_loop_t uv;
    struct body b = {fn, arg, NULL, -EINPROGRESS};
    ferry_scope root;
    failures = 0;
    ferry_trace_init(NULL);
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_loop_new(&uv, &b.loop), 0);
    ferry_loop_hold(b.loop);
    ferry_scope_open_root(&root, b.loop, NULL, FERRY_SCOPE_SUPERVISE);
    assert_int_equal(ferry_spawn(&root, "test", run_body, &b), 0);

    uv_run(&uv, UV_RUN_DEFAULT);
    ferry_scope_done(&root);
    ferry_loop_close(b.loop, NULL, NULL);
    uv_run(&uv, UV_RUN_DEFAULT);
    int r = uv_loop_close(&uv);
    if (r != 0)
        uv_print_all_handles(&uv, stderr);
    assert_int_equal(r, 0);
    if (failures)
        fail_msg("%u checks failed", failures);
    return b.result;
}

int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 3; /* ".", "..", and the directory itself */
}

int wait_gone(int pid, int ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno == ESRCH ? 0 : -errno;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, ms);
    close(fd);
    return n == 1 ? 0 : -ETIMEDOUT;
}
