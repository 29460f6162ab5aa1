/* qemu gets SIGKILL - the host's OOM killer, an impatient admin - at the start, in the middle and
 * just before the end of a transfer, and while it boots. Each op that was pending ends once and
 * says so, the VM is dead with that reason, the old file is still there, and the same handle can
 * be launched again.
 *
 * Once, an upload whose source was silent, and a download that nobody took in, went on waiting for
 * the host's side when there was no appliance any more: for ever.
 *
 * Transfers stand still when the kill comes, at exactly the position: their other end is a pipe
 * that is fed, or drained, so far and no further. */
#include "faults.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN (32 * MIB)
#define SAYS "appliance killed by signal 9"
#define OLD "what was there before\n"
#define END_MS PATIENCE_MS /* the end itself comes at once */

static const unsigned percents[] = {0, 1, 50, 99};
#define NPERCENTS (sizeof percents / sizeof *percents)

static char *content;

static int setup(void **state)
{
    faults_setup(state);
    content = filled(LEN, 1);
    faults_up();
    assert_ok(ferry_upload_mem(vm, OLD, strlen(OLD), "/target", NULL, &err));
    assert_ok(ferry_upload_mem(vm, content, LEN, "/big", NULL, &err));
    faults_down();
    return 0;
}

static int teardown(void **state)
{
    free(content);
    return faults_teardown(state);
}

/* ---- transfers ---------------------------------------------------------------------------- */

static void feed(int fd, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, content + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

static void drain(int fd, size_t len)
{
    static char buf[64 * 1024];
    for (size_t done = 0; done < len;) {
        size_t want = len - done < sizeof buf ? len - done : sizeof buf;
        ssize_t n = read(fd, buf, want);
        assert_true(n > 0);
        assert_memory_equal(buf, content + done, (size_t)n);
        done += (size_t)n;
    }
}

/* What had been sent before the kill is not lost: nearly at its end, all of a download may be here
 * already, and is then a success as soon as it is taken. */
static int take_the_rest(struct once *transfer, int fd, size_t done)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    for (bool ended = false; !ended;) {
        static char buf[64 * 1024];
        ended =
            ferry_op_wait(transfer->op, 1) == 0; /* then what is in the pipe is all */
        for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0; done += (size_t)n)
            assert_memory_equal(buf, content + done, (size_t)n);
    }
    return done == LEN && ferry_op_poll(transfer->op, NULL) == FERRY_OP_OK ? 0
                                                                           : FERRY_EDEAD;
}

/* Kills qemu under the op, and one more that waits for nothing but a source. fd: of a download
 * that is nearly at its end, or -1. */
static void kill_under(struct once *transfer, int fd, size_t done)
{
    struct once other;
    ferry_op *op = NULL;
    const char *fifo = scratch("fifo");
    host("rm -f '%s' && mkfifo '%s'", fifo, fifo);
    assert_ok(ferry_upload_start(vm, fifo, "/other", NULL, &op, &err));
    once_watch(&other, op);

    kill(faults_qemu(), SIGKILL);
    int code = fd < 0 ? FERRY_EDEAD : take_the_rest(transfer, fd, done);
    once_ends(transfer, END_MS, code, code ? SAYS : "");
    once_ends(&other, END_MS, FERRY_EDEAD, SAYS);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, SAYS);
    assert_int_equal(ferry_vm_get_state(vm), FERRY_VM_DEAD);
}

static void in_an_upload(void **state)
{
    (void)state;
    for (size_t i = 0; i < NPERCENTS; i++) {
        ferry_upload_opts o = {.size = sizeof o, .total = LEN};
        struct once w;
        ferry_op *op = NULL;
        int fds[2];
        faults_up();
        assert_guest_is("/target", OLD, strlen(OLD)); /* the last round has left it */
        assert_guest_ls("/", "big lost+found target");
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_ok(ferry_upload_fd_start(vm, fds[0], "/target", &o, &op, &err));
        once_watch(&w, op);
        feed(fds[1], LEN / 100 * percents[i]);
        kill_under(&w, -1, 0);
        close(fds[0]);
        close(fds[1]);
        assert_nothing_left();
    }
}

static void in_a_download(void **state)
{
    (void)state;
    for (size_t i = 0; i < NPERCENTS; i++) {
        struct once w;
        ferry_op *op = NULL;
        int fds[2];
        faults_up();
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_ok(ferry_download_fd_start(vm, "/big", fds[1], NULL, &op, &err));
        once_watch(&w, op);
        size_t done = LEN / 100 * percents[i];
        drain(fds[0], done);
        kill_under(&w, percents[i] == 99 ? fds[0] : -1, done);
        close(fds[0]);
        close(fds[1]);
        assert_nothing_left();
    }
}

/* ---- launch ------------------------------------------------------------------------------- */

struct phase {
    ferry_op *op;
    const char *name;
};

static bool has_entered(void *arg)
{
    const struct phase *p = arg;
    ferry_progress now;
    return ferry_op_poll(p->op, &now) != FERRY_OP_PENDING ||
           strcmp(now.phase, p->name) == 0;
}

static void killed_in(const char *qemu, const char *name)
{
    ferry_vm_opts o = {.size = sizeof o, .qemu = qemu, .accel = FERRY_ACCEL_TCG};
    ferry_vm *half = NULL;
    struct once w;
    struct phase phase = {.name = name};
    assert_ok(ferry_vm_new(ctx, &o, &half, &err));
    assert_ok(ferry_launch_start(half, &phase.op, &err));
    once_watch(&w, phase.op);
    assert_true(eventually(has_entered, &phase));
    kill(faults_qemu(), SIGKILL);
    once_ends(&w, END_MS, FERRY_ELAUNCH, SAYS);
    assert_nothing_left();
    ferry_vm_free(half);
}

/* It stands still there, or a fast one would be up before the kill. */
static void in_the_boot(void **state)
{
    (void)state;
    setenv("FERRY_TEMPLATE", "never", 1); /* here and in what follows */
    killed_in(still_qemu(), "booting");
}

/* The greeting is over in a millisecond. A "qemu" that sends the first byte of one and no more
 * stands still in it; all else - guard, sockets, the library - is the real thing. */
static void in_the_greeting(void **state)
{
    (void)state;
    const char *script = scratch("qemu");
    host("printf '#!/bin/sh\\nprintf \"\\\\000\" >&4\\nexec sleep 1000\\n' > '%s' && "
         "chmod +x '%s'",
         script, script);
    killed_in(script, "greeting");
}

static void and_then_it_works(void **state)
{
    (void)state;
    faults_up();
    assert_guest_is("/target", OLD, strlen(OLD));
    assert_guest_is("/big", content, LEN);
    assert_ok(ferry_upload_mem(vm, "new", 3, "/target", NULL, &err));
    assert_guest_is("/target", "new", 3);
    faults_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_an_upload),      cmocka_unit_test(in_a_download),
        cmocka_unit_test(in_the_boot),       cmocka_unit_test(in_the_greeting),
        cmocka_unit_test(and_then_it_works),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
