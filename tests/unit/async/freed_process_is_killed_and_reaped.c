/* Freeing a process that runs kills it, with its group where it has one of its own, and
 * reaps it: when the loop has closed there is neither a child nor a zombie. A program that
 * cannot be started leaves nothing. */
#include "async/pipe.h"
#include "async/process.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const int none[] = {-1, -1, -1};

static FERRY_CO int spawn_and_free(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        const char *argv[] = {"sleep", "1000", NULL};
        ferry_process_opts o = {.path = "sleep",
                                .argv = argv,
                                .fds = none,
                                .nfds = 3,
                                .new_group = i % 3 == 1,
                                .new_session = i % 3 == 2};
        ferry_process *p = NULL;
        check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);
        check_eq(getpgid(ferry_process_pid(p)),
                 i % 3 ? ferry_process_pid(p) : getpgid(0));
        ferry_process_free(p); /* nobody waits for it */
    }
    ferry_process_free(NULL);
    return 0;
}

static void no_child_is_left(void **state)
{
    (void)state;
    assert_int_equal(run_on_uv(spawn_and_free, NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* The descendants hold the pipe's other end: it ends when the last of them has. */
static FERRY_CO int the_group_goes_too(void *arg)
{
    (void)arg;
    for (int session = 0; session < 2; session++) {
        int out[2];
        check_eq(pipe2(out, O_CLOEXEC), 0);
        const char *argv[] = {"sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait",
                              NULL};
        const int fds[] = {-1, out[1], -1};
        ferry_process_opts o = {.path = "sh",
                                .argv = argv,
                                .fds = fds,
                                .nfds = 3,
                                .new_group = !session,
                                .new_session = session};
        ferry_process *p = NULL;
        ferry_link *l = NULL;
        FERRY_AUTO(buf) ferry_buf *b = NULL;
        check_eq(ferry_buf_new(16, &b), 0);
        check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);
        close(out[1]);
        check_eq(ferry_pipe_open(ferry_self_loop(), out[0], FERRY_PIPE_READ, 0, &l), 0);
        check_eq(ferry_link_read(l, b), 3);
        ferry_process_free(p);
        check_eq(ferry_link_read(l, b), 0);
        ferry_link_close(l);
    }
    return 0;
}

static int try_start(const char *path)
{
    const char *argv[] = {"x", NULL};
    ferry_process_opts o = {.path = path, .argv = argv, .fds = none, .nfds = 3};
    ferry_process *p = NULL;
    int r = ferry_process_spawn(ferry_self_loop(), &o, &p);
    if (r == 0)
        ferry_process_free(p);
    else
        check(!p);
    return r;
}

static FERRY_CO int what_cannot_start_says_so(void *arg)
{
    (void)arg;
    check_eq(try_start("/nonexistent/program"), -ENOENT);
    check_eq(try_start("no-such-program-anywhere"), -ENOENT);
    check_eq(try_start("/"), -EACCES);

    char *dir = scratch_new(), path[4096];
    snprintf(path, sizeof path, "%s/script", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    check_eq(try_start(path), -EACCES);
    check_eq(fchmod(fd, 0700), 0);
    check_eq(write(fd, "no interpreter\n", 15), 15);
    check_eq(try_start(path), -ETXTBSY);
    close(fd);
    check_eq(try_start(path), -ENOEXEC);
    scratch_free(dir);

    const char *argv[] = {"true", NULL};
    const int bad[] = {-1, 9999, -1};
    ferry_process_opts o = {.path = "true", .argv = argv, .fds = bad, .nfds = 3};
    ferry_process *p = NULL;
    check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), -EBADF);
    check_eq(waitpid(-1, NULL, WNOHANG), -1);
    check_eq(errno, ECHILD);
    return 0;
}

/* Every limit from "not one more" upwards: an error each time until it starts. */
static FERRY_CO int few_descriptors_are_an_error(void *arg)
{
    struct rlimit before, low;
    int r = -1, failed = 0;
    (void)arg;
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    for (low.rlim_cur = 3; r < 0 && low.rlim_cur < 60; low.rlim_cur++) {
        setrlimit(RLIMIT_NOFILE, &low);
        r = try_start("true");
        failed += r < 0;
        check(r == 0 || r == -EMFILE);
    }
    setrlimit(RLIMIT_NOFILE, &before);
    check_eq(r, 0);
    check(failed > 3);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_child_is_left),
        TEST_ON_UV(the_group_goes_too),
        TEST_ON_UV(what_cannot_start_says_so),
        TEST_ON_UV(few_descriptors_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
