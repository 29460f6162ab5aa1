/* A read that hangs in the pool outlives its cancel: the call returns at once, the caller
 * lets go of file and buffer, and both live until the read ends, which may be when the
 * loop is closing already. The bytes land in memory that is still the request's.
 *
 *      task                    pool thread            test
 *      read: parks             read(2) blocks
 *      cancelled: returns
 *      unref file, buf
 *      (loop closes) ..............................   writes to the pipe
 *                              returns, writes buf
 *      over: frees
 */
#include "async/fs.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct read {
    ferry_file *file;
    ferry_buf *buf;
    int result;
};

static FERRY_CO int hangs(void *arg)
{
    struct read *r = arg;
    r->result = (int)ferry_fs_read(r->file, r->buf, 4, UINT64_MAX);
    return 0;
}

static FERRY_CO void orphan(struct read *r, const int pipe[2])
{
    ferry_scope s;
    *r = (struct read){.result = 1};
    check_eq(ferry_file_new(pipe[0], &r->file), 0);
    check_eq(ferry_buf_new(16, &r->buf), 0);

    ferry_scope_open(&s, 0);
    ferry_spawn(&s, "hangs", hangs, r);
    while (!somebody_reads(pipe[0]))
        ferry_yield(); /* before that, libuv could still take it back */
    check_eq(r->buf->refs, 2);
    check_eq(r->file->refs, 2);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_scope_join(&s), 0);
    check_eq(r->result, -FERRY_ECANCELED);
    check_eq(r->buf->refs, 2); /* the request's, still */
    check_eq(r->file->refs, 2);
}

/* Freed by nobody else, so ASan and valgrind see whether the pool writes into freed memory,
 * and the harness sees whether the pipe's descriptor is closed in the end. */
static FERRY_CO int the_last_owner_is_the_request(void *arg)
{
    int pipe[2];
    struct read r;
    (void)arg;
    check_eq(pipe2(pipe, O_CLOEXEC), 0);
    orphan(&r, pipe);
    ferry_file_unref(r.file);
    ferry_buf_unref(r.buf);
    check_eq(write(pipe[1], "late", 4), 4);
    close(pipe[1]);
    return 0;
}

/* Here the test keeps a reference, to look. */
static struct read kept;

static FERRY_CO int keeps_a_reference(void *arg)
{
    int pipe[2];
    (void)arg;
    check_eq(pipe2(pipe, O_CLOEXEC), 0);
    orphan(&kept, pipe);
    check_eq(write(pipe[1], "late", 4), 4);
    close(pipe[1]);
    ferry_file_unref(kept.file);
    return 0;
}

static void the_bytes_are_in_the_buffer(void **state)
{
    (void)state;
    assert_int_equal(run_on_uv(keeps_a_reference, NULL), 0);
    assert_int_equal(kept.buf->refs, 1);
    assert_int_equal(kept.buf->len, 0); /* nobody was told, so nothing was appended */
    assert_memory_equal(kept.buf->data, "late", 4);
    ferry_buf_unref(kept.buf);
}

/* Who must know that it is over waits for that, as long as he likes. */
static FERRY_CO int settling_waits_for_the_orphan(void *arg)
{
    int pipe[2];
    struct read r;
    ferry_scope s;
    (void)arg;
    check_eq(pipe2(pipe, O_CLOEXEC), 0);
    orphan(&r, pipe);
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, 20);
    check_eq(ferry_file_settle(r.file), -FERRY_ETIMEDOUT); /* it hangs */
    ferry_scope_join(&s);
    check_eq(write(pipe[1], "late", 4), 4);
    check_eq(ferry_file_settle(r.file), 0);
    check(memcmp(r.buf->data, "late", 4) == 0);
    check_eq(r.file->refs, 1);
    close(pipe[1]);
    ferry_file_unref(r.file);
    ferry_buf_unref(r.buf);
    return 0;
}

/* While it hangs the loop can be closed: the close is complete when the read is. The loop's
 * own thread cannot let it go, it is inside uv_run() until then. */
static void *let_go(void *arg)
{
    if (write(*(int *)arg, "late", 4) != 4)
        abort();
    return NULL;
}

struct held {
    int pipe[2];
    pthread_t releaser;
};

static FERRY_CO int leaves_it_to_the_close(void *arg)
{
    struct held *h = arg;
    static struct read r;
    const int pipe[2] = {dup(h->pipe[0]), h->pipe[1]};
    orphan(&r, pipe);
    ferry_file_unref(r.file);
    ferry_buf_unref(r.buf);
    check_eq(pthread_create(&h->releaser, NULL, let_go, &h->pipe[1]), 0);
    return 0;
}

static void a_loop_closes_over_it(void **state)
{
    struct held h;
    (void)state;
    assert_int_equal(pipe2(h.pipe, O_CLOEXEC), 0);
    assert_int_equal(run_on_uv(leaves_it_to_the_close, &h), 0);
    pthread_join(h.releaser, NULL);
    close(h.pipe[0]);
    close(h.pipe[1]);
}

/* One that never ends does not keep the loop: once, a context could not be closed as long as an NFS
 * server was silent. When it ends after all, its thread frees what it had. */
static FERRY_CO int leaves_it_for_good(void *arg)
{
    struct held *h = arg;
    struct read r;
    orphan(&r, h->pipe);
    ferry_file_unref(r.file);
    ferry_buf_unref(r.buf);
    return 0;
}

static void a_loop_closes_without_it(void **state)
{
    struct held h;
    (void)state;
    assert_int_equal(pipe2(h.pipe, O_CLOEXEC), 0);
    int fds = count_fds();
    assert_int_equal(run_on_uv(leaves_it_for_good, &h), 0);
    assert_int_equal(count_fds(), fds); /* it still hangs, in this very pipe */
    assert_int_equal(write(h.pipe[1], "late", 4), 4);
    while (count_fds() == fds) /* its thread closes the reading end */
        sched_yield();
    close(h.pipe[1]);
}

/* An open that nobody waits for any more: its descriptor is closed. (A FIFO opens when its
 * other end does.) */
struct opening {
    char path[4096];
    int result;
};

static FERRY_CO int opens(void *arg)
{
    struct opening *o = arg;
    ferry_file *f = NULL;
    o->result = ferry_fs_open(o->path, O_RDONLY, 0, &f);
    return 0;
}

static FERRY_CO int an_orphaned_open_is_closed(void *arg)
{
    struct opening o = {.result = 1};
    char *dir = scratch_new();
    ferry_scope s;
    (void)arg;
    snprintf(o.path, sizeof o.path, "%s/fifo", dir);
    check_eq(mkfifo(o.path, 0600), 0);
    ferry_scope_open(&s, 0);
    check_eq(ferry_spawn(&s, "opens", opens, &o), 0);
    let_others_park();
    /* The pool thread is in open(2) when the writing end can be had without waiting. */
    int out;
    while ((out = open(o.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
        check_eq(errno, ENXIO);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_scope_join(&s), 0);
    check_eq(o.result, -FERRY_ECANCELED);
    close(out);
    scratch_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(the_last_owner_is_the_request),
        cmocka_unit_test(the_bytes_are_in_the_buffer),
        TEST_ON_UV(settling_waits_for_the_orphan),
        cmocka_unit_test(a_loop_closes_over_it),
        cmocka_unit_test(a_loop_closes_without_it),
        TEST_ON_UV(an_orphaned_open_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
