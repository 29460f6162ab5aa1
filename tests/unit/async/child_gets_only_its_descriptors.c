/* A child has exactly the descriptors it was given, each in its place, whatever numbers they
 * have here: crossed, the same twice, holes, and none of ours that was left inheritable. Its
 * signals are as at birth. */
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
#include <sys/wait.h>
#include <unistd.h>

/* What a program writes to the pipe whose reading end is `in`, as a string. */
static FERRY_CO int output_of(const char *const *argv, const int *fds, size_t nfds,
                              int in, char *ret, size_t size)
{
    ferry_process_opts o = {.path = argv[0], .argv = argv, .fds = fds, .nfds = nfds};
    ferry_process *p = NULL;
    ferry_link *l = NULL;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int status = -1;
    check_eq(ferry_buf_new(size, &b), 0);
    check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);
    for (size_t i = 0; i < nfds; i++)
        if (fds[i] >= 0 && fcntl(fds[i], F_GETFD) >= 0)
            close(fds[i]); /* the same one twice: once */
    check_eq(ferry_pipe_open(ferry_self_loop(), in, FERRY_PIPE_READ, 0, &l), 0);
    ssize_t n;
    while ((n = ferry_link_read(l, b)) > 0)
        ;
    check_eq(n, 0);
    ferry_link_close(l);
    memcpy(ret, b->data, b->len);
    ret[b->len] = '\0';
    check_eq(ferry_process_wait(p, &status), 0);
    ferry_process_free(p);
    return status;
}

#define SCRIPT(text) ((const char *[]){"sh", "-c", (text), NULL})

static bool same(const char *got, const char *expected)
{
    if (strcmp(got, expected) == 0)
        return true;
    print_error("got:\n%sexpected:\n%s", got, expected);
    return false;
}

/* ls itself has one more open, the directory: the shell's test has none. */
#define LIST                                                                           \
    "for i in 0 1 2 3 4 5 6 7 8 9 20 63 64 65 66 100 200; do "                         \
    "[ -e /proc/$$/fd/$i ] && echo $i; done; true"

static FERRY_CO int those_and_no_others(void *arg)
{
    char got[4096];
    int out[2], stray = open("/dev/null", O_RDONLY), high = dup2(stray, 200);
    (void)arg;
    check_eq(pipe2(out, O_CLOEXEC), 0);
    const int plain[] = {-1, out[1], -1};
    check_eq(output_of(SCRIPT(LIST), plain, 3, out[0], got, sizeof got), 0);
    check(same(got, "0\n1\n2\n"));

    check_eq(pipe2(out, O_CLOEXEC), 0);
    const int holes[] = {-1, out[1], -1, -1, out[1], -1, stray};
    check_eq(output_of(SCRIPT(LIST), holes, 7, out[0], got, sizeof got), 0);
    check(same(got, "0\n1\n2\n4\n6\n"));
    close(high);
    return 0;
}

/* Three files as the child's 3 to 19, each many times and crossed with the numbers they have
 * here: placing one must not overwrite another that is still to be placed. */
static FERRY_CO int crossed(void *arg)
{
    enum { N = 20 };
    char got[4096], *dir = scratch_new(), path[4096], expected[N - 2] = "";
    int out[2], f[3], fds[N] = {-1, -1, -1};
    (void)arg;
    check_eq(pipe2(out, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%c", dir, 'a' + i);
        f[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        check_eq(write(f[i], &"abc"[i], 1), 1);
        check(f[i] < N);
    }
    fds[1] = out[1];
    for (int i = 3; i < N; i++) {
        fds[i] = f[i % 3];
        expected[i - 3] = "abc"[i % 3];
    }
    check_eq(output_of(SCRIPT("i=3; while [ $i -lt 20 ]; do cat /proc/$$/fd/$i; "
                              "i=$((i+1)); done"),
                       fds, N, out[0], got, sizeof got),
             0);
    check(same(got, expected));
    scratch_free(dir);
    return 0;
}

/* Whatever the program blocked or ignores, the child does not. */
static FERRY_CO int signals_are_as_at_birth(void *arg)
{
    char got[4096];
    int out[2];
    sigset_t all, before;
    (void)arg;
    check_eq(pipe2(out, O_CLOEXEC), 0);
    sigfillset(&all);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int fds[] = {-1, out[1], -1};
    /* Not by way of a shell, which sets its own mask. */
    const char *argv[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
    output_of(argv, fds, 3, out[0], got, sizeof got);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    unsigned long long blocked = ~0ull, ignored = ~0ull;
    check_eq(sscanf(got, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    check_eq(blocked, 0);
    check_eq(ignored & ~(3ull << 31), 0); /* 32 and 33 are glibc's own */
    return 0;
}

static FERRY_CO int the_environment_is_the_one_given(void *arg)
{
    char got[4096];
    int out[2];
    (void)arg;
    check_eq(pipe2(out, O_CLOEXEC), 0);
    const char *argv[] = {"env", NULL}, *envp[] = {"A=1", "B=two words", NULL};
    const int fds[] = {-1, out[1], -1};
    ferry_process_opts o = {.path = "env",
                            .argv = argv,
                            .envp = envp,
                            .fds = fds,
                            .nfds = 3};
    ferry_process *p = NULL;
    check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);
    int status = -1;
    check_eq(ferry_process_wait(p, &status), 0);
    check_eq(status, 0);
    ferry_process_free(p);
    close(out[1]);
    ssize_t n = read(out[0], got, sizeof got - 1);
    got[n > 0 ? n : 0] = '\0';
    check(same(got, "A=1\nB=two words\n"));
    close(out[0]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(those_and_no_others),
        TEST_ON_UV(crossed),
        TEST_ON_UV(signals_are_as_at_birth),
        TEST_ON_UV(the_environment_is_the_one_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
