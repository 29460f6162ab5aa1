/* The n-th allocation of ours fails, for every n, once or from then on: every call says
 * -ENOMEM, no call before or after it is harmed, and nothing is leaked (the harness counts
 * descriptors, ASan and valgrind count memory). Stacks are mappings, and fail as well; so does
 * the private thread.
 *
 * malloc and its kin are wrapped by the linker, in our objects only: libuv aborts when it
 * has no memory for its own tables, which no library above it can prevent. */
#include "async/fs.h"
#include "async/pipe.h"
#include "async/poll.h"
#include "async/process.h"
#include "async/sync.h"
#include "async/thread.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the allocator that fails --------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *),
                          void *arg);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *),
                          void *arg);

static int countdown; /* 1: the next one fails; 0: none does */
static bool for_good;
static int failed;

static bool refuse(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    countdown = for_good ? 1 : 0;
    failed++;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return refuse() ? NULL : __real_aligned_alloc(align, size);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    if (!refuse())
        return __real_mmap(at, len, prot, flags, fd, off);
    errno = ENOMEM;
    return MAP_FAILED;
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *),
                          void *arg)
{
    return refuse() ? EAGAIN : __real_pthread_create(t, a, f, arg);
}

/* ---- a session that uses everything ---------------------------------------------------- */

/* Counts what went wrong, and that it went wrong for want of memory, or of a thread. */
static bool ok(int r)
{
    check(r >= 0 || r == -ENOMEM || r == -FERRY_ENPROC);
    return r >= 0;
}

static FERRY_CO int writes(void *arg)
{
    static char bytes[300000];
    struct iovec iov = {bytes, sizeof bytes};
    return ferry_link_write(arg, &iov, 1); /* more than fits: it opens a poll */
}

static FERRY_CO void use_a_pipe(void)
{
    int s[2], r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s);
    FERRY_AUTO(link) ferry_link *in = NULL;
    FERRY_AUTO(link) ferry_link *out = NULL;
    if (!check(r == 0))
        return;
    r = ferry_pipe_open(ferry_self_loop(), s[0], FERRY_PIPE_READ, 0, &in);
    int r2 = ferry_pipe_open(ferry_self_loop(), s[1], FERRY_PIPE_WRITE, 0, &out);
    if (!ok(r) || !ok(r2))
        return;

    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    if (ok(ferry_spawn(&scope, "writes", writes, out)))
        for (size_t got = 0; got < 300000 && !ferry_cancelled();) {
            FERRY_AUTO(buf) ferry_buf *b = NULL;
            r = ferry_buf_new(70000, &b);
            ssize_t n = r < 0 ? r : ferry_link_read(in, b);
            if (n < 0) {
                ferry_scope_cancel(&scope, -ENOMEM);
                break;
            }
            got += (size_t)n;
        }
    ok(ferry_scope_join(&scope) < 0 ? -ENOMEM : 0);
}

static FERRY_CO void use_a_file(const char *dir)
{
    char path[4096];
    struct stat st;
    FERRY_AUTO(file) ferry_file *f = NULL;
    FERRY_AUTO(slice) ferry_slice s = {0};
    FERRY_AUTO(buf) ferry_buf *back = NULL;
    snprintf(path, sizeof path, "%s/file", dir);
    if (!ok(ferry_fs_open(path, O_RDWR | O_CREAT, 0600, &f)))
        return;
    if (ok(ferry_buf_copy("content", 7, &s.buf))) {
        s.data = s.buf->data;
        s.len = s.buf->len;
        ok(ferry_fs_write(f, &s, 0));
    }
    if (ok(ferry_buf_new(8192, &back)))
        ok((int)ferry_fs_read(f, back, 8192, 0));
    ok(ferry_fs_stat(f, &st));
    ok(ferry_fs_truncate(f, 3));
    ok(ferry_fs_sync(f));
    ok(ferry_fs_unlink(path));
}

static FERRY_CO void use_a_process(void)
{
    const char *argv[] = {"true", NULL};
    const int fds[] = {-1, -1, -1};
    ferry_process_opts o = {.path = "true", .argv = argv, .fds = fds, .nfds = 3};
    FERRY_AUTO(process) ferry_process *p = NULL;
    int status;
    if (ok(ferry_process_spawn(ferry_self_loop(), &o, &p)))
        ok(ferry_process_wait(p, &status));
}

static FERRY_CO int leaf(void *arg)
{
    return ferry_chan_send(arg, arg);
}

static FERRY_CO void use_tasks(void)
{
    ferry_chan ch;
    ferry_scope s;
    void *v;
    if (!ok(ferry_chan_init(&ch, 2)))
        return;
    ferry_scope_open(&s, FERRY_SCOPE_SUPERVISE);
    int sent = 0;
    for (int i = 0; i < 5; i++)
        sent += ok(ferry_spawn(&s, "leaf", leaf, &ch));
    while (sent-- > 0)
        check_eq(ferry_chan_recv(&ch, &v), 0);
    check_eq(ferry_scope_join(&s), 0);
    ferry_chan_done(&ch);
}

static FERRY_CO int session(void *arg)
{
    use_tasks();
    use_a_pipe();
    use_a_file(arg);
    use_a_process();
    countdown = 0; /* the harness has its memory */
    return 0;
}

/* The session's loop and first task come before the countdown starts. */
struct from {
    int n;
    const char *dir;
};

static FERRY_CO int start_failing(void *arg)
{
    struct from *f = arg;
    countdown = f->n;
    return session((void *)(uintptr_t)f->dir);
}

static void sweep(bool good)
{
    char *dir = scratch_new();
    int n = 1;
    for (;; n++) {
        struct from f = {n, dir};
        failed = 0;
        for_good = good;
        assert_int_equal(run_on_uv(start_failing, &f), 0);
        if (failed == 0)
            break;
        assert_true(n < 500);
    }
    assert_true(n > 40); /* it did get about */
    scratch_free(dir);
}

static void one_failure_harms_one_call(void **state)
{
    (void)state;
    sweep(false);
}

static void nothing_works_any_more(void **state)
{
    (void)state;
    sweep(true);
}

static void shut_down(ferry_post *p);

struct shut {
    ferry_post post;
    ferry_loop *loop;
};

static void shut_down(ferry_post *p)
{
    ferry_loop_close(ferry_container(p, struct shut, post)->loop, NULL, NULL);
}

static void a_loop_without_memory(void **state)
{
    int r = -1, n = 1, threadless = 0, fds = count_fds();
    (void)state;
    for_good = false;
    for (; r < 0; n++) {
        ferry_thread *t = NULL;
        struct shut s = {{NULL, shut_down}, NULL};
        countdown = n;
        r = ferry_thread_start(&t, &s.loop);
        countdown = 0;
        if (r < 0) {
            threadless += r == -FERRY_ENPROC;
            assert_true(r == -ENOMEM || r == -FERRY_ENPROC);
            assert_null(t);
        } else {
            ferry_loop_post(s.loop, &s.post);
            ferry_thread_join(t);
        }
        assert_int_equal(count_fds(), fds);
    }
    assert_true(n > 3);
    assert_int_equal(threadless, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failure_harms_one_call),
        cmocka_unit_test(nothing_works_any_more),
        cmocka_unit_test(a_loop_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
