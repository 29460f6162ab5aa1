/* The object that runs one qemu, with a shell in qemu's place: whatever its end, and
 * whenever a cancel comes, processes and descriptors are gone when free returns. */
#include "launch/qemu.h"

#include "harness/real.h"

#include "base/auto.h"
#include "launch/appliance.h"
#include "launch/argv.h"
#include "launch/direct.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const ferry_machine_spec no_drives;

/* Descriptors open once libuv has had a turn: it closes a handle in the next one. */
static FERRY_CO int settled_fds(void)
{
    ferry_sleep(1);
    return count_fds();
}

static FERRY_CO int spawn(const char *guard, char *const *argv,
                          const ferry_drive *drives, unsigned n, ferry_qemu **ret,
                          ferry_error *e)
{
    ferry_watcher *watcher = NULL;
    int r = ferry_direct_new(guard, argv, -1, drives, n, &watcher, e);
    return r < 0 ? r : ferry_qemu_spawn(ferry_self_loop(), watcher, ret, e);
}

static FERRY_CO int spawn_shell(const char *script, const ferry_drive *drives,
                                unsigned n, ferry_qemu **ret)
{
    FERRY_AUTO(mem) char *guard = NULL;
    ferry_error e = {0};
    int r = ferry_guard_find(&guard, &e);
    char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t)script, NULL};
    if (r == 0)
        r = spawn(guard, argv, drives, n, ret, &e);
    if (r < 0)
        fprintf(stderr, "%s\n", e.msg);
    return r;
}

/* Runs the script to its end; the evidence is what is checked. */
static FERRY_CO void run_shell(const char *script, int status, const char *words)
{
    ferry_qemu *q = NULL;
    char buf[4096];
    if (!check_eq(spawn_shell(script, NULL, 0, &q), 0))
        return;
    check_eq(ferry_qemu_wait(q), 0);
    ferry_evidence ev = {.spec = &no_drives, .qemu = "/bin/sh"};
    ferry_qemu_evidence(q, buf, sizeof buf, &ev);
    check_eq(ev.status, status);
    check_eq(ev.exec_errno, 0);
    check(strcmp(ev.words, words) == 0 || !fprintf(stderr, "it said: %s\n", ev.words));
    check(ferry_qemu_pid(q) > 0);
    ferry_qemu_free(q);
}

static FERRY_CO int ends_body(void *arg)
{
    (void)arg;
    run_shell("exit 0", 0, ""); /* a loop's first stream opens a spare descriptor */
    int before = settled_fds();
    run_shell("exit 3", W_EXITCODE(3, 0), "");
    run_shell("echo one >&2; echo two; kill -SEGV $$", W_EXITCODE(0, SIGSEGV),
              "one\ntwo\n");
    /* Last words are never lost, however many and however late. */
    run_shell(
        "i=0; while [ $i -lt 300 ]; do echo word $i; i=$((i+1)); done | tail -n 2;"
        "exit 1",
        W_EXITCODE(1, 0), "word 298\nword 299\n");
    check_eq(settled_fds(), before);
    return 0;
}

/* In its place qemu finds: signals at their defaults, its descriptors and no others, a
 * session of the guard's. */
static FERRY_CO int surroundings_body(void *arg)
{
    (void)arg;
    ferry_drive scratch = {.scratch_bytes = 8192};
    ferry_qemu *q = NULL;
    char buf[4096];
    int r = spawn_shell("grep -E 'Sig(Blk|Ign)' /proc/$$/status | tr -d '\\n';"
                        "for i in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$i ] && "
                        "echo -n \" $i\"; done;"
                        "stat -L -c ' %s %h %a' /proc/$$/fd/7;"
                        "[ $(ps -o sid= -p $$) = $PPID ] && echo guard leads;",
                        &scratch, 1, &q);
    if (!check_eq(r, 0))
        return 0;
    check_eq(ferry_qemu_wait(q), 0);
    ferry_evidence ev;
    ferry_qemu_evidence(q, buf, sizeof buf, &ev);
    check_has(ev.words, "SigBlk:");
    check_has(ev.words, "SigIgn:");
    check_has(ev.words, "0000000000000000");
    check(!strstr(ev.words, "1000") && !strstr(ev.words, "4000"));
    check_has(ev.words,
              " 0 1 2 4 5 6 7 8192 0 600\n"); /* a size, no name, our eyes only */
    check_has(ev.words, "guard leads");
    ferry_qemu_free(q);
    return 0;
}

static FERRY_CO int kill_body(void *arg)
{
    (void)arg;
    ferry_qemu *q = NULL;
    run_shell("exit 0", 0, "");
    int before = settled_fds();
    if (!check_eq(spawn_shell("exec sleep 1000", NULL, 0, &q), 0))
        return 0;
    check_eq(ferry_qemu_started(q), 0);
    pid_t pid = ferry_qemu_pid(q);
    check_eq(kill(pid, 0), 0);
    ferry_qemu_kill(q);
    ferry_qemu_kill(q);
    check_eq(ferry_qemu_wait(q), 0);
    ferry_qemu_kill(q); /* harmless later */
    char buf[64];
    ferry_evidence ev;
    ferry_qemu_evidence(q, buf, sizeof buf, &ev);
    check_eq(ev.status, SIGKILL);
    check_eq(wait_gone(pid, 0), 0);
    ferry_qemu_free(q);
    check_eq(settled_fds(), before);
    return 0;
}

/* Freed at once, and freed a little later each time, while everything is still starting. */
static FERRY_CO int early_free_body(void *arg)
{
    (void)arg;
    run_shell("exit 0", 0, "");
    int before = settled_fds();
    for (int turns = 0; turns < 40; turns++) {
        ferry_qemu *q = NULL;
        if (!check_eq(spawn_shell("exec sleep 1000", NULL, 0, &q), 0))
            return 0;
        for (int i = 0; i < turns; i++)
            ferry_yield();
        ferry_qemu_free(q);
    }
    check_eq(settled_fds(), before);
    return 0;
}

/* The free itself is shielded: in a cancelled scope it still waits. */
static FERRY_CO int cancelled_free_body(void *arg)
{
    (void)arg;
    ferry_qemu *q = NULL;
    if (!check_eq(spawn_shell("exec sleep 1000", NULL, 0, &q), 0))
        return 0;
    check_eq(ferry_qemu_started(q), 0);
    pid_t pid = ferry_qemu_pid(q);
    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_qemu_wait(q), -FERRY_ECANCELED);
    ferry_qemu_free(q);
    check_eq(wait_gone(pid, 0), 0);
    ferry_scope_join(&s);
    return 0;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[128] = "";
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f) && strncmp(line, "PPid:", 5) != 0)
        ;
    if (f)
        fclose(f);
    return (pid_t)strtol(line + 5, NULL, 10);
}

static FERRY_CO int lost_guard_body(void *arg)
{
    (void)arg;
    ferry_qemu *q = NULL;
    char buf[256];
    if (!check_eq(spawn_shell("exec sleep 1000", NULL, 0, &q), 0))
        return 0;
    check_eq(ferry_qemu_started(q), 0);
    pid_t pid = ferry_qemu_pid(q), guard = parent_of(pid);
    if (!check(guard > 1))
        return 0;
    kill(guard, SIGKILL);
    check_eq(ferry_qemu_wait(q), 0);

    ferry_evidence ev = {.qemu = "/bin/sh", .spec = &no_drives};
    ferry_error e;
    ferry_qemu_evidence(q, buf, sizeof buf, &ev);
    check_eq(ev.status, -1);
    check_eq(ferry_blame(&ev, -FERRY_EDEAD, &e), -FERRY_EDEAD);
    check_has(e.msg, "guard");
    ferry_qemu_free(q);
    check_eq(wait_gone(pid, 20000), 0);
    return 0;
}

static FERRY_CO int not_a_program_body(void *arg)
{
    (void)arg;
    FERRY_AUTO(mem) char *guard = NULL;
    ferry_error e = {0};
    check_eq(ferry_guard_find(&guard, &e), 0);
    char *argv[] = {(char *)(uintptr_t) "/etc/passwd", NULL};
    ferry_qemu *q = NULL;
    char buf[64];
    check_eq(spawn(guard, argv, NULL, 0, &q, &e), 0);
    check_eq(ferry_qemu_started(q), -FERRY_EDEAD);
    ferry_evidence ev;
    ferry_qemu_evidence(q, buf, sizeof buf, &ev);
    check_eq(ev.exec_errno, EACCES);
    ferry_qemu_free(q);

    int before = settled_fds();
    check_eq(spawn("/no/guard", argv, NULL, 0, &q, &e), -FERRY_ENOENT);
    check_has(e.msg, "/no/guard");
    check_eq(settled_fds(), before);
    return 0;
}

static void ends(void **state)
{
    (void)state;
    run_on_uv(ends_body, NULL);
}

/* A host that ignores SIGCHLD has its children reaped by the kernel: only the guard can
 * tell how qemu ended. */
static void ends_with_sigchld_ignored(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    run_on_uv(ends_body, NULL);
    run_on_uv(kill_body, NULL);
    signal(SIGCHLD, SIG_DFL);
}

static void surroundings(void **state)
{
    (void)state;
    sigset_t all, before;
    sigfillset(&all);
    signal(SIGTERM, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* as the private thread does */
    run_on_uv(surroundings_body, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGTERM, SIG_DFL);
}

static void kills(void **state)
{
    (void)state;
    run_on_uv(kill_body, NULL);
    run_on_uv(early_free_body, NULL);
    run_on_uv(cancelled_free_body, NULL);
    run_on_uv(lost_guard_body, NULL);
}

static void not_a_program(void **state)
{
    (void)state;
    run_on_uv(not_a_program_body, NULL);
}

/* Nothing of the tests above is left: this process has no children. */
static void no_children(void **state)
{
    (void)state;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends),          cmocka_unit_test(ends_with_sigchld_ignored),
        cmocka_unit_test(surroundings),  cmocka_unit_test(kills),
        cmocka_unit_test(not_a_program), cmocka_unit_test(no_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
