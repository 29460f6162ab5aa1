/* See real.h. */
#include "harness/real.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

/* Rounds of ferry_yield() after which every task of a test has got as far as it can. */
#define PARK_ROUNDS 20

static unsigned failures;

bool check_at(bool ok, const char *what, const char *file, int line)
{
    if (!ok) {
        failures++;
        fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    }
    return ok;
}

bool check_eq_at(long long a, long long b, const char *what, const char *file, int line)
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

static void note_closed(void *arg)
{
    *(bool *)arg = true;
}

static int run(int (*fn)(void *arg), void *arg)
{
    uv_loop_t uv;
    ferry_scope root;
    struct body b = {fn, arg, NULL, -EINPROGRESS};
    bool closed = false;

    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_loop_new(&uv, &b.loop), 0);
    ferry_loop_hold(b.loop);
    ferry_scope_open_root(&root, b.loop, NULL, FERRY_SCOPE_SUPERVISE);
    assert_int_equal(ferry_spawn(&root, "test", run_body, &b), 0);
    uv_run(&uv, UV_RUN_DEFAULT);

    ferry_scope_done(&root);
    ferry_loop_close(b.loop, note_closed, &closed);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_true(closed);
    int r = uv_loop_close(&uv);
    if (r != 0)
        uv_print_all_handles(&uv, stderr);
    assert_int_equal(r, 0);
    return b.result;
}

/* libuv keeps descriptors of its own for the process (its pool's wake-ups, perhaps): they
 * are there after the first loop. */
static void warm_up(void)
{
    static bool warm;
    uv_loop_t uv;
    if (warm)
        return;
    warm = true;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

int run_on_uv(int (*fn)(void *arg), void *arg)
{
    warm_up();
    failures = 0;
    int before = count_fds();
    int r = run(fn, arg);
    assert_int_equal(count_fds(), before);
    if (failures)
        fail_msg("%u checks failed", failures);
    return r;
}

void run_body_on_uv(void **state)
{
    int (*body)(void *arg) = (int (*)(void *))(uintptr_t)*state;
    assert_int_equal(run_on_uv(body, NULL), 0);
}

void let_others_park(void)
{
    for (int i = 0; i < PARK_ROUNDS; i++)
        ferry_yield();
}

/* /proc/PID/task/TID/syscall: "number 0xarg 0xarg ...". */
static bool thread_reads(const char *tid, unsigned fd)
{
    char path[64];
    unsigned arg;
    long number;
    snprintf(path, sizeof path, "/proc/self/task/%.10s/syscall", tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false; /* the thread has ended */
    int n = fscanf(f, "%ld %x", &number, &arg);
    fclose(f);
    return n == 2 && number == SYS_read && arg == fd;
}

bool somebody_reads(int fd)
{
    bool found = false;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e; !found && (e = readdir(d));)
        found = e->d_name[0] != '.' && thread_reads(e->d_name, (unsigned)fd);
    closedir(d);
    return found;
}

int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 3; /* ".", ".." and the directory itself */
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

char *scratch_new(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = NULL;
    if (asprintf(&dir, "%s/ferry-unit-XXXXXX", base ? base : "/tmp") < 0 ||
        !mkdtemp(dir))
        abort();
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void scratch_free(char *dir)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(dir);
}
