/* A context that is closed with everything still running ends it all: 64 ops in
 * flight, a launch half-way. Each op ends once, each callback is called once, and no
 * process, descriptor or temporary is left. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 64
#define LEN (10 * MIB)

static int in[2], out[2]; /* pipes: nothing comes, nobody reads */

static int setup(void **state)
{
    (void)state;
    scratch_make();
    assert_int_equal(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC), 0);
    host("truncate -s 16G '%s' && mkfs.ext4 -q -F '%s'", scratch("disk.img"),
         scratch("disk.img"));
    make_file(scratch("src"), LEN, 1);
    return 0;
}

static void new_vm(void)
{
    vm_new();
    assert_ok(ferry_add_drive(vm, scratch("disk.img"), NULL, &err));
}

static void launch(void)
{
    new_vm();
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_upload(vm, scratch("src"), "/file", NULL, &err));
}

static unsigned called[COUNT];

static void count_call(ferry_op *op, void *user)
{
    ferry_error e = {0};
    if (ferry_op_error(op, &e) != -FERRY_ECANCELED)
        fail_msg("an op ended with %d: %s", e.code, e.msg);
    ++*(unsigned *)user;
}

/* Transfers that do not end by themselves: half of them are moving, half stand
 * still. */
static void start_all(ferry_op **ops)
{
    for (int i = 0; i < COUNT; i++) {
        if (i % 2)
            assert_ok(ferry_upload_start(vm, "/dev/zero", "/up", NULL, &ops[i], &err));
        else if (i % 4)
            assert_ok(ferry_upload_fd_start(vm, in[0], "/in", NULL, &ops[i], &err));
        else
            assert_ok(ferry_download_fd_start(vm, "/file", out[1], NULL, &ops[i], &err));
        called[i] = 0;
        assert_int_equal(ferry_op_on_done(ops[i], count_call, &called[i]), 0);
    }
}

static void assert_all_cancelled(ferry_op **ops)
{
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(ferry_op_poll(ops[i], NULL), FERRY_OP_CANCELLED);
        assert_fails(ferry_op_error(ops[i], &err), FERRY_ECANCELED, "");
        assert_int_equal(called[i], 1);
        ferry_op_free(ops[i]);
    }
}

static void context_with_64_ops(void **state)
{
    (void)state;
    ferry_op *ops[COUNT];
    launch();
    start_all(ops);
    ferry_ctx_free(ctx); /* and with it the VM */
    ctx = NULL;
    vm = NULL;
    vm_free(); /* looks for processes and descriptors: there must be none while ops are left */
    assert_all_cancelled(ops);
    host("e2fsck -fp '%s'; test $? -le 1",
         scratch("disk.img")); /* its journal is enough */
}

static void vm_with_64_ops(void **state)
{
    (void)state;
    ferry_op *ops[COUNT];
    launch();
    start_all(ops);
    ferry_vm_free(vm);
    vm = NULL;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(ferry_op_wait(ops[i], PATIENCE_MS), 0);
    for (int called_now = 0; called_now < COUNT;)
        called_now += ferry_ctx_dispatch(ctx);
    assert_all_cancelled(ops);
    vm_free(); /* looks for processes and descriptors */
}

/* The ops are the loop's only: nobody holds them any more. */
static void ops_that_were_given_back(void **state)
{
    (void)state;
    ferry_op *ops[COUNT];
    launch();
    start_all(ops);
    for (int i = 0; i < COUNT; i++)
        ferry_op_free(ops[i]);
    vm_free();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(called[i], 0);
}

/* Of a qemu that stands still: once "starting qemu" was waited for by name, which a busy machine
 * could miss, and the launch was done. */
static void launch_half_way(void **state)
{
    (void)state;
    static const char *const phases[] = {"waiting", "starting qemu", "booting"};
    vm_opts.qemu = still_qemu();
    vm_opts.accel = FERRY_ACCEL_TCG;
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        ferry_op *op = NULL;
        new_vm();
        assert_ok(ferry_launch_start(vm, &op, &err));
        launch_comes_to(op, phases[i]);
        vm_free();
        assert_int_equal(ferry_op_poll(op, NULL), FERRY_OP_CANCELLED);
        ferry_op_free(op);
    }
    vm_opts = (ferry_vm_opts){0};
}

static void nothing_at_all(void **state)
{
    (void)state;
    vm_new();
    vm_free();
    ferry_vm_free(NULL);
    ferry_ctx_free(NULL);
    ferry_op_free(NULL);
}

static void shutdown_cancels_what_is_pending(void **state)
{
    (void)state;
    ferry_op *ops[COUNT];
    launch();
    start_all(ops);
    vm_shutdown();
    for (int called_now = 0; called_now < COUNT;)
        called_now += ferry_ctx_dispatch(ctx);
    assert_all_cancelled(ops);
    assert_fails(ferry_ping(vm, &err), FERRY_ESTATE, "shut down");
    vm_free();
    host("e2fsck -fn '%s'", scratch("disk.img")); /* unmounted, every temporary gone */
    const char *said = host("debugfs -R 'ls -p /' '%s'", scratch("disk.img"));
    assert_has(said, "file");
    assert_null(strstr(said, "/up"));
    assert_null(strstr(said, ".ferry"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(context_with_64_ops),      vm_test(vm_with_64_ops),
        vm_test(ops_that_were_given_back), vm_test(launch_half_way),
        vm_test(nothing_at_all),           vm_test(shutdown_cancels_what_is_pending),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
