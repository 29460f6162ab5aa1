/* An appliance that is up and dies: by whose hand is said, and it dies with its host. */
#include "launcher.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static FERRY_CO bool up(struct launch *l)
{
    l->spec.accel = FERRY_ACCEL_TCG;
    if (check_eq(launch_start(l), 0))
        return true;
    fprintf(stderr, "%s\n", l->e.msg);
    return false;
}

static FERRY_CO int signals_body(void *arg)
{
    (void)arg;
    static const struct {
        int signo;
        const char *words;
    } cases[] = {
        {SIGKILL, "appliance killed by signal 9"},
        {SIGTERM, "terminating on signal 15"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct launch l = {0};
        if (up(&l)) {
            kill(ferry_machine_pid(l.m), cases[i].signo);
            check_eq(ferry_machine_wait(l.m, &l.e), -FERRY_EDEAD);
            check_has(l.e.msg, cases[i].words);
            ferry_machine_kill(l.m); /* harmless later */
        }
        launch_done(&l);
    }
    return 0;
}

static ferry_machine *victim;

static void on_signal(int signo)
{
    (void)signo;
    ferry_machine_kill(victim); // NOLINT(bugprone-signal-handler): its contract
}

static void *kill_thread(void *arg)
{
    ferry_machine_kill(arg);
    return NULL;
}

static FERRY_CO int from_anywhere_body(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct launch l = {0};
        if (up(&l)) {
            pthread_t thread;
            victim = l.m;
            if (i == 0) {
                signal(SIGUSR1, on_signal);
                raise(SIGUSR1);
            } else if (check_eq(pthread_create(&thread, NULL, kill_thread, l.m), 0)) {
                pthread_join(thread, NULL);
            }
            check_eq(ferry_machine_wait(l.m, &l.e), -FERRY_EDEAD);
            check_has(l.e.msg, "killed by signal 9");
        }
        launch_done(&l);
    }
    return 0;
}

/* A quit that finds it dead says so; one whose time is up kills. */
static FERRY_CO int quit_body(void *arg)
{
    (void)arg;
    struct launch l = {0};
    if (up(&l)) {
        kill(ferry_machine_pid(l.m), SIGKILL);
        check_eq(ferry_machine_quit(l.m, &l.e), -FERRY_EDEAD);
        check_has(l.e.msg, "killed by signal 9");
    }
    launch_done(&l);

    struct launch stuck = {0};
    if (up(&stuck)) {
        int pid = ferry_machine_pid(stuck.m);
        kill(pid, SIGSTOP);
        ferry_scope s;
        ferry_scope_open(&s, 0);
        ferry_scope_deadline(&s, 100);
        check_eq(ferry_machine_quit(stuck.m, &stuck.e), -FERRY_ETIMEDOUT);
        ferry_scope_join(&s);
        check_eq(ferry_machine_wait(stuck.m, &stuck.e), -FERRY_EDEAD);
        check_eq(wait_gone(pid, 0), 0);
    }
    launch_done(&stuck);
    return 0;
}

/* In a process of its own: launches, says which pids there are, and waits to be killed. */
static int told_fd;

static FERRY_CO int host_body(void *arg)
{
    (void)arg;
    struct launch l = {0};
    int pid = up(&l) ? ferry_machine_pid(l.m) : 0;
    if (write(told_fd, &pid, sizeof pid) < 0)
        return 0;
    for (;;)
        ferry_sleep(1000);
}

static void a_killed_host(void **state)
{
    (void)state;
    int told[2], pid = 0;
    assert_int_equal(pipe(told), 0);
    pid_t host = fork();
    if (host == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(told[0]);
        told_fd = told[1];
        run_on_uv(host_body, NULL);
        _exit(1);
    }
    close(told[1]);
    assert_int_equal(read(told[0], &pid, sizeof pid), sizeof pid);
    close(told[0]);
    assert_true(pid > 0);
    assert_int_equal(kill(pid, 0), 0);
    kill(host, SIGKILL);
    assert_int_equal(waitpid(host, NULL, 0), host);
    assert_int_equal(wait_gone(pid, PATIENCE_MS), 0);
}

static void signals(void **state)
{
    (void)state;
    run_on_uv(signals_body, NULL);
}

static void from_anywhere(void **state)
{
    (void)state;
    run_on_uv(from_anywhere_body, NULL);
}

static void a_quit_too_late(void **state)
{
    (void)state;
    run_on_uv(quit_body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals),
        cmocka_unit_test(from_anywhere),
        cmocka_unit_test(a_quit_too_late),
        cmocka_unit_test(a_killed_host),
    };
    return run_launch_tests(tests);
}
