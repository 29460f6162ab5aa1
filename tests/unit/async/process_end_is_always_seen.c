/* A child's end is told, with its status where that can be known: exit codes and signals;
 * to several waiters, and to one that asks late; with SIGCHLD ignored, or reaped by the host
 * program's waitpid(-1), as "ended", and not as a hang; and a child that was gone before we
 * could watch it has ended too. */
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

static const int none[] = {-1, -1, -1};

static ferry_process *start(const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    ferry_process_opts o = {.path = "/bin/sh", .argv = argv, .fds = none, .nfds = 3};
    ferry_process *p = NULL;
    check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);
    return p;
}

static FERRY_CO int statuses(void *arg)
{
    static const struct {
        const char *script, *text;
    } cases[] = {
        {"exit 0", "exited with status 0"},
        {"exit 3", "exited with status 3"},
        {"exit 255", "exited with status 255"},
        {"kill -9 $$", "killed by signal 9 (Killed)"},
        {"kill -TERM $$", "killed by signal 15 (Terminated)"},
        {"kill -34 $$", "killed by signal 34 (a real-time signal)"},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FERRY_AUTO(process) ferry_process *p = start(cases[i].script);
        char text[64];
        int status = -2;
        check_eq(ferry_process_wait(p, &status), 0);
        ferry_process_describe(status, text, sizeof text);
        if (!check(strcmp(text, cases[i].text) == 0))
            print_error("%s: %s\n", cases[i].script, text);
        ferry_process_kill(p, SIGKILL); /* long after: nobody is hit */
        status = -2;
        check_eq(ferry_process_wait(p, &status), 0); /* told again */
        check(status >= 0);
    }
    return 0;
}

struct waiter {
    ferry_process *p;
    int status;
};

static FERRY_CO int waits(void *arg)
{
    struct waiter *w = arg;
    return ferry_process_wait(w->p, &w->status);
}

static FERRY_CO int all_waiters_are_told(void *arg)
{
    struct waiter w[5];
    ferry_process *p = start("read line");
    ferry_scope s;
    (void)arg;
    ferry_scope_open(&s, 0);
    for (int i = 0; i < 5; i++) {
        w[i] = (struct waiter){p, -2};
        check_eq(ferry_spawn(&s, "waits", waits, &w[i]), 0);
    }
    check_eq(ferry_scope_join(&s), 0);
    for (int i = 0; i < 5; i++)
        check(WIFEXITED(w[i].status));
    ferry_process_free(p);
    return 0;
}

static FERRY_CO int with_sigchld_ignored(void *arg)
{
    (void)arg;
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 20; i++) {
        FERRY_AUTO(process) ferry_process *p = start(i % 2 ? "exit 3" : "sleep 1000");
        int status = -2;
        char text[80];
        if (i % 2 == 0)
            ferry_process_kill(p, SIGKILL);
        check_eq(ferry_process_wait(p, &status), 0);
        check_eq(status, -1);
        ferry_process_describe(status, text, sizeof text);
        check(strstr(text, "status unknown"));
        ferry_process_kill(p, SIGKILL);
    }
    signal(SIGCHLD, SIG_DFL);
    return 0;
}

static FERRY_CO int with_a_host_that_reaps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        FERRY_AUTO(process) ferry_process *p = start("exit 3");
        int status = -2, stolen;
        check_eq(waitpid(-1, &stolen, 0), ferry_process_pid(p));
        check_eq(WEXITSTATUS(stolen), 3);
        check_eq(ferry_process_wait(p, &status), 0);
        check_eq(status, -1);
    }
    return 0;
}

/* The worst moment: a handler that reaps everything, between the spawn and the watch. With
 * the child gone before ferry_process_spawn looks, its number may be anybody's. */
static void reap_all(int sig)
{
    int saved = errno;
    (void)sig;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static FERRY_CO int with_a_handler_that_reaps(void *arg)
{
    struct sigaction sa = {.sa_handler = reap_all, .sa_flags = SA_RESTART}, before;
    (void)arg;
    sigaction(SIGCHLD, &sa, &before);
    for (int i = 0; i < 50; i++) {
        const char *argv[] = {"true", NULL};
        ferry_process_opts o = {.path = "true", .argv = argv, .fds = none, .nfds = 3};
        ferry_process *p = NULL;
        int status = -2;
        check_eq(ferry_process_spawn(ferry_self_loop(), &o, &p), 0);
        check_eq(ferry_process_wait(p, &status), 0);
        check(status == -1 || WEXITSTATUS(status) == 0);
        ferry_process_free(p);
    }
    sigaction(SIGCHLD, &before, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(statuses),
        TEST_ON_UV(all_waiters_are_told),
        TEST_ON_UV(with_sigchld_ignored),
        TEST_ON_UV(with_a_host_that_reaps),
        TEST_ON_UV(with_a_handler_that_reaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
