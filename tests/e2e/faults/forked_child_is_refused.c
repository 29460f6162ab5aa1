/* The host program forks without an exec - multiprocessing in Python, a server's workers - and the
 * child calls on, with what it has inherited: no loop, the parent's descriptors, and locks that
 * threads of the parent hold for ever. Its calls are refused, what it frees frees nothing, and its
 * exit ends nothing: to the parent's VM nothing has happened. What is there still works while the
 * child lives: death is noticed, shutdown is complete. A context of its own serves it well.
 *
 * A child forked while a launch made its sockets keeps copies of qemu's ends; once, the end of
 * such a qemu was noticed when the child ended, not before. */
#include "faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAYS "fork"
#define CHILD_S 240 /* SIGALRM ends a child that hangs; one of them launches a VM */
#define FORKS 100

static ferry_op *pending; /* an upload from a FIFO that nobody has opened */

/* ---- children ---------------------------------------------------------------------------- */

/* In a child: asserts would jump into the parent's test. Its exit status is the line. */
#define must(cond)                                                                     \
    do {                                                                               \
        if (!(cond)) {                                                                 \
            fprintf(stderr, "%s:%d: not so in the child: %s (%s)\n", __FILE__,         \
                    __LINE__, #cond, err.msg);                                         \
            return 1;                                                                  \
        }                                                                              \
    } while (0)

/* Of a call that filled err. */
static bool refused(int r)
{
    bool says_why = r == -FERRY_ESTATE && strstr(err.msg, SAYS);
    memset(&err, 0, sizeof err);
    return says_why;
}

/* exit(), not _exit(): once, with our requests in libuv's pool, that crashed in the destructor of
 * libuv 1.44, which joins threads that only the parent has. */
static pid_t forked(int (*child)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka would go on testing */
        alarm(CHILD_S);
        exit(child());
    }
    return pid;
}

static void assert_ends_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void never(ferry_op *op, void *user)
{
    (void)op;
    (void)user;
    fail_msg("a callback in the child");
}

static int calls(void)
{
    ferry_op *op = NULL;
    ferry_vm *another = NULL;
    must(refused(ferry_ping(vm, &err)));
    must(refused(ferry_upload(vm, "/etc/passwd", "/x", NULL, &err)));
    must(refused(ferry_download_start(vm, "/x", "/dev/null", NULL, &op, &err)));
    must(refused(ferry_launch(vm, &err)));
    must(refused(ferry_shutdown(vm, &err)));
    must(refused(ferry_add_drive(vm, scratch("disk.img"), NULL, &err)));
    must(refused(ferry_add_drive_scratch(vm, MIB, &err)));
    must(refused(ferry_vm_new(ctx, NULL, &another, &err)));
    must(!op && !another);
    return 0;
}

static int waits(void)
{
    char *text = NULL;
    ferry_launch_times times;
    must(ferry_op_wait(pending, -1) == -FERRY_ESTATE);
    must(ferry_op_on_done(pending, never, NULL) == -FERRY_ESTATE);
    must(ferry_vm_get_console(vm, &text) == -FERRY_ESTATE);
    must(ferry_vm_get_launch_times(vm, &times) == -FERRY_ESTATE);
    must(ferry_ctx_fd(ctx) == -FERRY_ESTATE);
    must(ferry_ctx_dispatch(ctx) == 0);
    return 0;
}

static int ends(void)
{
    ferry_op_timeout(pending, 1);
    ferry_op_cancel(pending);
    ferry_ctx_cancel(ctx, ferry_op_get_token(pending));
    ferry_vm_cancel_all(vm);
    ferry_vm_kill(vm);
    ferry_op_free(pending);
    ferry_vm_free(vm);
    ferry_ctx_close(ctx, NULL, NULL);
    return 0;
}

static int own_context(void)
{
    ferry_ctx *own = NULL;
    ferry_vm *v = NULL;
    must(ferry_ctx_new(&own, &err) == 0);
    must(ferry_vm_new(own, NULL, &v, &err) == 0);
    must(ferry_add_drive_scratch(v, 64 * MIB, &err) == 0);
    must(ferry_launch(v, &err) == 0);
    must(ferry_mkfs(v, "ext4", "/dev/sda", NULL, &err) == 0);
    must(ferry_mount(v, "/dev/sda", "/", &err) == 0);
    must(ferry_upload(v, "/etc/passwd", "/x", NULL, &err) == 0);
    must(ferry_shutdown(v, &err) == 0);
    ferry_vm_free(v);
    ferry_ctx_free(own);
    return 0;
}

/* Lives, with all it has inherited, until the parent says so. */
static int linger_fds[2];

static int linger(void)
{
    char byte;
    close(linger_fds[1]);
    must(read(linger_fds[0], &byte, 1) == 0);
    return 0;
}

static void end_lingering(pid_t pid)
{
    close(linger_fds[0]);
    close(linger_fds[1]);
    assert_ends_well(pid);
}

/* ---- a fork while a launch makes its sockets ------------------------------------------------- */

static pid_t forked_in_launch;
static atomic_bool fork_in_launch;

/* What the library calls to start the guard: nothing else can be between sockets and spawn. */
__attribute__((visibility("default"))) int posix_spawnp(
    pid_t *pid, const char *file, const posix_spawn_file_actions_t *file_actions,
    const posix_spawnattr_t *attrp, char *const argv[], char *const envp[])
{
    int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *,
                const posix_spawnattr_t *, char *const[], char *const[]);
    *(void **)&real = dlsym(RTLD_NEXT, "posix_spawnp");
    if (atomic_exchange(&fork_in_launch, false)) {
        forked_in_launch = fork();
        if (forked_in_launch == 0)
            _exit(linger());
    }
    return real(pid, file, file_actions, attrp, argv, envp);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static pid_t qemu;

static int setup(void **state)
{
    faults_setup(state);
    host("mkfifo '%s'", scratch("fifo"));
    faults_up();
    qemu = faults_qemu();
    assert_ok(ferry_upload_start(vm, scratch("fifo"), "/late", NULL, &pending, &err));
    return 0;
}

static void assert_unharmed(void)
{
    assert_ok(ferry_ping(vm, &err));
    assert_int_equal(ferry_op_wait(pending, 0), -FERRY_EAGAIN);
    assert_int_equal(faults_qemu(), qemu);
}

static void its_calls_are_refused(void **state)
{
    (void)state;
    assert_ends_well(forked(calls));
    assert_ends_well(forked(waits));
    assert_unharmed();
}

static void its_ends_end_nothing(void **state)
{
    (void)state;
    assert_ends_well(forked(ends));
    assert_unharmed();
}

static void it_takes_no_callback_away(void **state)
{
    (void)state;
    struct once w;
    ferry_op *op = NULL;
    assert_ok(ferry_ping_start(vm, &op, &err));
    once_watch(&w, op);
    struct pollfd door = {.fd = ferry_ctx_fd(ctx), .events = POLLIN};
    assert_int_equal(poll(&door, 1, 60000), 1);
    assert_ends_well(forked(waits));
    assert_int_equal(poll(&door, 1, 0), 1);
    once_ends(&w, 60000, 0, "");
    assert_unharmed();
}

static atomic_bool busy;

static void *call_on(void *arg)
{
    ferry_error e;
    (void)arg;
    while (atomic_load(&busy))
        if (ferry_ping(vm, &e) < 0)
            return vm; /* not NULL */
    return NULL;
}

/* Forks that come while other threads are in the middle of anything, locks included. */
static void forks_of_a_busy_program(void **state)
{
    (void)state;
    pthread_t threads[2];
    void *went_wrong;
    atomic_store(&busy, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, NULL), 0);
    int (*const child[])(void) = {calls, waits, ends};
    for (int i = 0; i < FORKS; i++)
        assert_ends_well(forked(child[i % 3]));
    atomic_store(&busy, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &went_wrong), 0);
        assert_null(went_wrong);
    }
    assert_unharmed();
}

static void its_own_context_works(void **state)
{
    (void)state;
    assert_ends_well(forked(own_context));
    assert_unharmed();
}

/* The op that was pending under all this takes what it waited for. */
static void end_is_complete_while_it_lives(void **state)
{
    (void)state;
    assert_int_equal(pipe2(linger_fds, O_CLOEXEC), 0);
    pid_t child = forked(linger);
    host("printf content > '%s'", scratch("fifo"));
    assert_ends(pending, 0);
    ferry_op_free(pending);
    assert_guest_is("/late", "content", 7);
    assert_ok(ferry_shutdown(vm, &err));
    host("e2fsck -fn '%s'", scratch("disk.img"));
    faults_up();
    kill(faults_qemu(), SIGKILL);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "signal 9");
    end_lingering(child);
    assert_nothing_left();
}

static void death_is_noticed_whatever_it_holds(void **state)
{
    (void)state;
    assert_int_equal(pipe2(linger_fds, O_CLOEXEC), 0);
    atomic_store(&fork_in_launch, true);
    faults_up();
    assert_true(forked_in_launch > 0);
    pid_t guard = (pid_t)atoi(host("ps -o ppid= -p %d", (int)faults_qemu()));
    kill(guard, SIGKILL); /* which takes qemu along, and has nobody left to report it */
    while (ferry_ping(vm, &err) == 0)
        ; /* qemu gets its signal a moment after the guard has gone */
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "");
    end_lingering(forked_in_launch);
    assert_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_calls_are_refused),
        cmocka_unit_test(its_ends_end_nothing),
        cmocka_unit_test(it_takes_no_callback_away),
        cmocka_unit_test(forks_of_a_busy_program),
        cmocka_unit_test(its_own_context_works),
        cmocka_unit_test(end_is_complete_while_it_lives),
        cmocka_unit_test(death_is_noticed_whatever_it_holds),
    };
    return cmocka_run_group_tests(tests, setup, faults_teardown);
}
