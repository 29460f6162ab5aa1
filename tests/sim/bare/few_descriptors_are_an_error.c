/* RLIMIT_NOFILE, from nothing to enough: a session under each limit works or says that there are too
 * many open files; none aborts or hangs, and none leaves a process. Once, libuv aborted when it
 * did not get the last descriptors of its loop.
 *
 * Each session is a process of its own: the limit is one's for good. */
#include "harness/host.h"
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MAX 200 /* a session needs some 40 */
#define SESSION_S 100

static bool may(int code)
{
    return code == -FERRY_EMFILE;
}

static int under(rlim_t limit)
{
    ferry_error e = {0};
    struct rlimit few;
    alarm(SESSION_S);
    getrlimit(RLIMIT_NOFILE, &few);
    few.rlim_cur = limit;
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return 2;
    if (session(may, &e) == 0)
        return 0;
    return strstr(e.msg, "too many open files") ? 1 : 2;
}

/* What the session says; and that all it started has ended, which this process adopts. */
static int session_under(rlim_t limit)
{
    fflush(NULL);
    pid_t pid = fork();
    int status, its = -1;
    if (pid == 0)
        _exit(under(limit));
    for (pid_t ended; (ended = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
        if (ended == pid)
            its = status;
    if (!WIFEXITED(its) || WEXITSTATUS(its) > 1)
        fail_msg("under a limit of %d descriptors: status %x", (int)limit,
                 (unsigned)its);
    return WEXITSTATUS(its);
}

static void every_limit(void **state)
{
    (void)state;
    int failed = 0, worked = 0;
    for (rlim_t limit = 3; worked < 3 && limit < LIMIT_MAX; limit++)
        if (session_under(limit) == 0)
            worked++;
        else
            failed++;
    print_message("%d limits were too low\n", failed);
    assert_int_equal(worked, 3);
    assert_true(failed > 10);
}

static int setup(void **state)
{
    scratch_setup(state);
    session_files(scratch("."));
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit),
    };
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
