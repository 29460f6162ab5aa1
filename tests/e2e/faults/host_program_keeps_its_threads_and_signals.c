/* What the program around the library does with its threads and children is its own affair: the
 * thread that launched may end (PR_SET_PDEATHSIG, which others use, would take qemu along),
 * SIGCHLD may be ignored, and somebody may reap every child there is. qemu's death is noticed all
 * the same. */
#include "faults.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAYS "appliance killed by signal 9"

static void *launch(void *ret)
{
    *(int *)ret = ferry_launch(vm, &err);
    return NULL;
}

static void killed_is_noticed(void)
{
    struct once w;
    ferry_op *op = NULL;
    const char *fifo = scratch("fifo");
    assert_ok(ferry_upload_start(vm, fifo, "/other", NULL, &op, &err));
    once_watch(&w, op);
    kill(faults_qemu(), SIGKILL);
    once_ends(&w, PATIENCE_MS, FERRY_EDEAD, SAYS);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, SAYS);
    assert_nothing_left();
}

static void launching_thread_ends(void **state)
{
    (void)state;
    pthread_t thread;
    int r = -1;
    assert_int_equal(pthread_create(&thread, NULL, launch, &r), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(r);
    pid_t qemu = faults_qemu();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err));
    assert_guest_is("/x", "x", 1);
    assert_int_equal(faults_qemu(), qemu);
    faults_down();
}

/* popen() and its like need SIGCHLD: it is ignored only around what is tested. */
static void sigchld_is_ignored(void **state)
{
    (void)state;
    host("mkfifo '%s'", scratch("fifo"));
    signal(SIGCHLD, SIG_IGN);
    int r = ferry_launch(vm, &err);
    signal(SIGCHLD, SIG_DFL);
    assert_ok(r);
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    pid_t qemu = faults_qemu();

    struct once w;
    ferry_op *op = NULL;
    assert_ok(ferry_upload_start(vm, scratch("fifo"), "/other", NULL, &op, &err));
    once_watch(&w, op);
    signal(SIGCHLD, SIG_IGN);
    kill(qemu, SIGKILL);
    once_ends(&w, PATIENCE_MS, FERRY_EDEAD, SAYS);
    signal(SIGCHLD, SIG_DFL);
    assert_nothing_left();
}

static atomic_bool reaping;

/* A host program that reaps whatever ends. Nothing waits for this pause: without children
 * waitpid returns at once, and the thread would only take a core from qemu. */
static void *reap_all(void *arg)
{
    (void)arg;
    while (atomic_load(&reaping)) {
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(100);
    }
    return NULL;
}

static void somebody_reaps_every_child(void **state)
{
    (void)state;
    pthread_t reaper;
    faults_up();
    pid_t qemu = faults_qemu();
    struct once w;
    ferry_op *op = NULL;
    assert_ok(ferry_upload_start(vm, scratch("fifo"), "/other", NULL, &op, &err));
    once_watch(&w, op);
    atomic_store(&reaping, true);
    assert_int_equal(pthread_create(&reaper, NULL, reap_all, NULL), 0);
    kill(qemu, SIGKILL);
    once_ends(&w, PATIENCE_MS, FERRY_EDEAD, SAYS);
    atomic_store(&reaping, false);
    pthread_join(reaper, NULL);
    assert_nothing_left();
    faults_up(); /* as ever */
    killed_is_noticed();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launching_thread_ends),
        cmocka_unit_test(sigchld_is_ignored),
        cmocka_unit_test(somebody_reaps_every_child),
    };
    return cmocka_run_group_tests(tests, faults_setup, faults_teardown);
}
