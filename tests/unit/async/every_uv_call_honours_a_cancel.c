/* The level-triggered cancel on libuv: a call made in a cancelled scope does nothing and
 * says so, though it could go on at once; a call that waits is woken and says so at once,
 * though what it waits for never comes. */
#include "async/fs.h"
#include "async/pipe.h"
#include "async/poll.h"
#include "async/process.h"
#include "async/work.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- cancelled before the call ------------------------------------------------------- */

struct flag_job {
    ferry_job job;
    bool *ran;
};

static void run_flag(ferry_job *job)
{
    *ferry_container(job, struct flag_job, job)->ran = true;
}

static void free_flag(ferry_job *job)
{
    free(ferry_container(job, struct flag_job, job));
}

static FERRY_CO void files_are_not_touched(const char *dir)
{
    char old[4096], new[4096];
    snprintf(old, sizeof old, "%s/old", dir);
    snprintf(new, sizeof new, "%s/new", dir);
    ferry_file *f = NULL, *none = NULL;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_file_new(open(old, O_RDWR | O_CREAT | O_CLOEXEC, 0600), &f), 0);
    check_eq(write(f->fd, "content", 7), 7);
    check_eq(ferry_buf_copy("12345678", 8, &b), 0);
    b->len = 4;

    ferry_scope s;
    struct stat st;
    ferry_slice slice = {b, b->data, 4};
    ferry_scope_open(&s, 0);
    ferry_scope_cancel(&s, -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_open(new, O_RDWR | O_CREAT, 0600, &none), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_read(f, b, 4, 0), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_write(f, &slice, 0), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_stat(f, &st), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_truncate(f, 0), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_sync(f), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_rename(old, new), -FERRY_ETIMEDOUT);
    check_eq(ferry_fs_unlink(old), -FERRY_ETIMEDOUT);

    bool ran = false;
    struct flag_job *j = calloc(1, sizeof *j);
    j->ran = &ran;
    ferry_job_init(&j->job, run_flag, free_flag);
    check_eq(ferry_work(&j->job, FERRY_WORK_IN_TURN), -FERRY_ETIMEDOUT);
    check_eq(j->job.refs, 1); /* nobody else has it: it will not run later either */
    ferry_job_unref(&j->job);
    check_eq(ferry_scope_join(&s), 0);

    check(!ran);
    check_eq(b->refs, 1);
    check_eq(b->len, 4);
    char back[8] = "";
    check_eq(pread(f->fd, back, 7, 0), 7);
    check(strcmp(back, "content") == 0);
    check_eq(access(old, F_OK), 0);
    check(access(new, F_OK) < 0);
    ferry_file_unref(f);
}

static FERRY_CO int a_cancelled_task_does_nothing(void *arg)
{
    int pair[2], queued = 0, status;
    ferry_link *l = NULL;
    FERRY_AUTO(poll) ferry_poll *poll = NULL;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    char *dir = scratch_new();
    (void)arg;
    files_are_not_touched(dir);
    scratch_free(dir);

    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    check_eq(ferry_pipe_open(ferry_self_loop(), pair[0], 3, 0, &l), 0);
    check_eq(ferry_poll_open(ferry_self_loop(), pair[1], &poll), 0);
    check_eq(write(pair[1], "abc", 3), 3);
    check_eq(ferry_buf_new(16, &b), 0);
    const char *argv[] = {"sleep", "1000", NULL};
    const int fds[] = {-1, -1, -1};
    ferry_process *p = NULL;
    ferry_process_opts o = {.path = "sleep", .argv = argv, .fds = fds, .nfds = 3};
    check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);

    ferry_scope s;
    struct iovec iov = {(char[]){"xyz"}, 3};
    ferry_scope_open(&s, 0);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_link_read(l, b), -FERRY_ECANCELED);
    check_eq(ferry_link_write(l, &iov, 1), -FERRY_ECANCELED);
    check_eq(ferry_poll_wait(poll, POLLOUT), -FERRY_ECANCELED);
    check_eq(ferry_process_wait(p, &status), -FERRY_ECANCELED);
    check_eq(ferry_scope_join(&s), 0);

    check_eq(ioctl(pair[1], FIONREAD, &queued), 0);
    check_eq(queued, 0); /* nothing was written */
    check_eq(b->len, 0);
    check_eq(ferry_link_read(l, b), 3); /* nor was what is there read and lost */
    ferry_link_close(l);
    ferry_process_free(p);
    ferry_poll_close(ferry_take(&poll));
    close(pair[1]);
    return 0;
}

/* ---- cancelled while it waits ---------------------------------------------------------- */

struct waits {
    ferry_link *empty, *full;
    ferry_poll *poll;
    ferry_process *process;
    ferry_file *fifo; /* a read of it keeps a pool thread until somebody writes */
    ferry_buf *buf;
    int got[5];
};

static FERRY_CO int reads(void *arg)
{
    struct waits *w = arg;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(16, &b), 0);
    w->got[0] = (int)ferry_link_read(w->empty, b);
    return 0;
}

static FERRY_CO int writes(void *arg)
{
    struct waits *w = arg;
    static char bytes[1 << 20];
    struct iovec iov = {bytes, sizeof bytes};
    w->got[1] = ferry_link_write(w->full, &iov, 1);
    return 0;
}

static FERRY_CO int polls(void *arg)
{
    struct waits *w = arg;
    w->got[2] = ferry_poll_wait(w->poll, POLLIN);
    return 0;
}

static FERRY_CO int waits(void *arg)
{
    struct waits *w = arg;
    int status;
    w->got[3] = ferry_process_wait(w->process, &status);
    return 0;
}

static FERRY_CO int reads_in_the_pool(void *arg)
{
    struct waits *w = arg;
    w->got[4] = (int)ferry_fs_read(w->fifo, w->buf, 4, UINT64_MAX);
    return 0;
}

static FERRY_CO int a_waiting_task_is_woken(void *arg)
{
    static int (*const bodies[])(void *) = {reads, writes, polls, waits,
                                            reads_in_the_pool};
    struct waits w = {.got = {1, 1, 1, 1, 1}};
    int a[2], b[2], blocked[2];
    ferry_loop *loop = ferry_self_loop();
    (void)arg;
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
    check_eq(pipe2(blocked, O_CLOEXEC), 0);
    check_eq(ferry_pipe_open(loop, a[0], FERRY_PIPE_READ, 0, &w.empty), 0);
    check_eq(ferry_pipe_open(loop, b[0], FERRY_PIPE_WRITE, 0, &w.full), 0);
    check_eq(ferry_poll_open(loop, a[1], &w.poll), 0);
    check_eq(ferry_file_new(blocked[0], &w.fifo), 0);
    check_eq(ferry_buf_new(16, &w.buf), 0);
    const char *argv[] = {"sleep", "1000", NULL};
    const int fds[] = {-1, -1, -1};
    ferry_process_opts o = {.path = "sleep", .argv = argv, .fds = fds, .nfds = 3};
    check_eq(ferry_process_spawn(loop, &o, &w.process), 0);

    ferry_scope s;
    ferry_scope_open(&s, 0);
    for (size_t i = 0; i < 5; i++)
        check_eq(ferry_spawn(&s, "waits", bodies[i], &w), 0);
    let_others_park();
    for (int i = 0; i < 5; i++)
        check_eq(w.got[i], 1);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_scope_join(&s), 0); /* nothing that they wait for has come */
    for (int i = 0; i < 5; i++)
        check_eq(w.got[i], -FERRY_ECANCELED);

    check_eq(write(blocked[1], "abcd", 4), 4); /* only now the pool's read ends */
    ferry_file_unref(w.fifo);
    ferry_buf_unref(w.buf);
    ferry_link_close(w.empty);
    ferry_link_close(w.full);
    ferry_poll_close(w.poll);
    ferry_process_free(w.process);
    close(a[1]);
    close(b[1]);
    close(blocked[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(a_cancelled_task_does_nothing),
        TEST_ON_UV(a_waiting_task_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
