/* qemu dies in the middle of transfers: every op ends with the reason, later calls give
 * it too, and after a new launch the image holds what it held before. The guard dies:
 * so does qemu.
 *
 * All of it in a program that ignores SIGCHLD, as many daemons do: no exit status
 * may depend on it. */
#include "harness/vm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD "what was there before\n"

static int in[2], out[2]; /* pipes: nothing comes, nobody reads */

static int setup(void **state)
{
    assert_int_equal(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC), 0);
    vm_setup_ext4(state);
    assert_ok(ferry_upload_mem(vm, OLD, strlen(OLD), "/file", NULL, &err));
    assert_ok(ferry_sync(vm, &err));
    return 0;
}

/* host() needs the exit status of its commands: the signal is ignored inside of
 * tests only. */
static void ignore_children(bool ignored)
{
    signal(SIGCHLD, ignored ? SIG_IGN : SIG_DFL);
}

static bool has_moved(void *arg)
{
    ferry_progress now;
    ferry_op_poll(arg, &now);
    return now.bytes > MIB;
}

struct transfers {
    ferry_op *up, *down, *silent, *unread;
};

/* One each way that moves (and has far to go when it is looked at), and one each way that waits for
 * the host and would never hear of the appliance's end there. */
static void start(struct transfers *t)
{
    ferry_vm_set_rate_max(vm, 4 * SLOWLY);
    assert_ok(ferry_upload_start(vm, "/dev/zero", "/file", NULL, &t->up, &err));
    assert_ok(ferry_download_start(vm, "/dev/sda", "/dev/null", NULL, &t->down, &err));
    assert_ok(ferry_upload_fd_start(vm, in[0], "/new", NULL, &t->silent, &err));
    assert_ok(ferry_download_fd_start(vm, "/dev/sda", out[1], NULL, &t->unread, &err));
    assert_true(eventually(has_moved, t->up));
    assert_true(eventually(has_moved, t->down));
}

static void assert_dead(ferry_op *op, const char *call, const char *why)
{
    assert_ends(op, FERRY_EDEAD);
    assert_string_equal(err.where, call);
    assert_has(err.msg, why);
    ferry_op_free(op);
}

static void assert_all_dead(struct transfers *t, const char *why)
{
    assert_dead(t->up, "upload", why);
    assert_dead(t->down, "download", why);
    assert_dead(t->silent, "upload", why);
    assert_dead(t->unread, "download", why);
    assert_int_equal(ferry_vm_get_state(vm), FERRY_VM_DEAD);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, why);
    assert_fails(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err), FERRY_EDEAD, why);
    assert_fails(ferry_shutdown(vm, &err), FERRY_EDEAD, why);
}

static void relaunch(void)
{
    ignore_children(false);
    ferry_vm_set_rate_max(vm, 0);
    vm_leaves_nothing(NULL); /* no process of the dead one */
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_guest_is("/file", OLD, strlen(OLD));
    assert_guest_ls("/", "file");
}

static void qemu_is_killed(void **state)
{
    (void)state;
    struct transfers t;
    ignore_children(true);
    start(&t);
    pid_t qemu = vm_qemu();
    assert_true(qemu > 0);
    assert_has(process_name(qemu), "qemu");
    assert_int_equal(kill(qemu, SIGKILL), 0);
    assert_all_dead(&t, "killed by signal 9");
    relaunch();
}

static void guard_is_killed(void **state)
{
    (void)state;
    struct transfers t;
    pid_t guard = 0;
    ignore_children(true);
    start(&t);
    pid_t qemu = vm_qemu();
    assert_int_equal(count_children(&guard), 1);
    assert_int_equal(kill(guard, SIGKILL), 0);
    assert_all_dead(&t, "guard process was killed");
    assert_true(eventually(process_has_ended, &qemu)); /* it was taken along */
    relaunch();
}

static void caller_kills_it(void **state)
{
    (void)state;
    struct transfers t;
    ignore_children(true);
    start(&t);
    ferry_vm_kill(vm);
    ferry_vm_kill(vm);
    assert_all_dead(&t, "killed");
    relaunch();
}

/* SIGTERM, from somebody who tidies up: qemu ends in good order, but nobody of us
 * asked. */
static void qemu_leaves_unasked(void **state)
{
    (void)state;
    struct transfers t;
    ignore_children(true);
    start(&t);
    assert_int_equal(kill(vm_qemu(), SIGTERM), 0);
    assert_all_dead(&t, "signal 15");
    relaunch();
}

static void ignored_sigchld_changes_nothing(void **state)
{
    (void)state;
    ignore_children(true);
    assert_ok(ferry_shutdown(vm, &err));
    assert_ok(ferry_launch(vm, &err));
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_guest_is("/file", OLD, strlen(OLD));
    assert_ok(ferry_shutdown(vm, &err));
    ignore_children(false);
    host("e2fsck -fn '%s'", scratch("disk.img"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(qemu_is_killed),
        vm_test(guard_is_killed),
        vm_test(caller_kills_it),
        vm_test(qemu_leaves_unasked),
        vm_test(ignored_sigchld_changes_nothing),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
