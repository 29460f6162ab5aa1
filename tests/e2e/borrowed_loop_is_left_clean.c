/* A whole life on the caller's own uv loop and thread: launch, mount, transfers with
 * progress and cancel, shutdown, close; and afterwards the loop holds nothing of
 * ours, so that uv_loop_close() returns 0. Blocking calls are refused, because they
 * would stop the loop they wait for. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LEN (20 * MIB)

static uv_loop_t loop;
static unsigned closed;

static void on_closed(void *user)
{
    assert_ptr_equal(user, &closed);
    closed++;
}

static void note_end(ferry_op *op, void *user)
{
    assert_int_not_equal(ferry_op_poll(op, NULL), FERRY_OP_PENDING);
    ++*(int *)user;
}

/* Runs the loop until it has nothing to do: an op keeps it alive, an idle VM does
 * not. */
static int run_to_end(int r, ferry_op **op)
{
    int ends = 0;
    assert_ok(r);
    assert_int_equal(ferry_op_on_done(*op, note_end, &ends), 0);
    assert_int_equal(ends, 0); /* never from inside the call */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ends, 1);
    r = ferry_op_error(*op, &err);
    ferry_op_free(*op);
    *op = NULL;
    return r;
}

static void new_vm_on_loop(void)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_ok(ferry_ctx_new_on_loop(&loop, &ctx, &err));
    assert_ok(ferry_vm_new(ctx, NULL, &vm, &err));
    assert_ok(ferry_add_drive(vm, scratch("disk.img"), NULL, &err));
    closed = 0;
}

static void close_all(void)
{
    ferry_vm_free(vm);
    ferry_ctx_close(ctx, on_closed, &closed);
    assert_int_equal(closed, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(closed, 1);
    vm = NULL;
    ctx = NULL;
    int r = uv_loop_close(&loop);
    if (r != 0)
        uv_print_all_handles(&loop, stderr);
    assert_int_equal(r, 0);
}

static int fds_at_start;

static int setup(void **state)
{
    scratch_setup(state);
    assert_int_equal(uv_loop_init(&loop), 0); /* libuv's own two descriptors, for good */
    assert_int_equal(uv_loop_close(&loop), 0);
    fds_at_start = count_fds();
    host("truncate -s 256M '%s' && mkfs.ext4 -q -F '%s'", scratch("disk.img"),
         scratch("disk.img"));
    return 0;
}

static int leaves_nothing(void **state)
{
    vm_leaves_nothing(state);
    assert_fds(fds_at_start);
    return 0;
}

/* ---- the tests ------------------------------------------------------------------ */

static void whole_life(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    void *data = filled(LEN, 1), *got = NULL;
    size_t len = 0;
    new_vm_on_loop();
    assert_ok(run_to_end(ferry_launch_start(vm, &op, &err), &op));
    assert_int_equal(ferry_vm_get_state(vm), FERRY_VM_UP);
    assert_ok(run_to_end(ferry_mount_start(vm, "/dev/sda", "/", &op, &err), &op));
    assert_ok(
        run_to_end(ferry_upload_mem_start(vm, data, LEN, "/f", NULL, &op, &err), &op));

    int ends = 0;
    assert_ok(ferry_download_mem_start(vm, "/f", NULL, &op, &err));
    assert_int_equal(ferry_op_on_done(op, note_end, &ends), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_ok(ferry_download_mem_result(op, &got, &len, &err));
    assert_int_equal(len, LEN);
    assert_memory_equal(got, data, LEN);
    ferry_op_free(op);

    assert_ok(run_to_end(ferry_shutdown_start(vm, &op, &err), &op));
    close_all();
    host("e2fsck -fn '%s'", scratch("disk.img"));
    host("debugfs -R 'dump /f %s' '%s'", scratch("dumped"), scratch("disk.img"));
    assert_file_is(scratch("dumped"), data, LEN);
    free(data);
    free(got);
}

/* A timer of the caller's looks at the progress and cancels when there is some. */
static uv_timer_t timer;
static unsigned looks;

static void on_timer(uv_timer_t *t)
{
    ferry_progress now;
    looks++;
    if (ferry_op_poll(t->data, &now) == FERRY_OP_PENDING && now.bytes == 0)
        return;
    ferry_op_cancel(t->data);
    uv_close((uv_handle_t *)t, NULL);
}

static void timer_cancels(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    new_vm_on_loop();
    assert_ok(run_to_end(ferry_launch_start(vm, &op, &err), &op));
    assert_ok(run_to_end(ferry_mount_start(vm, "/dev/sda", "/", &op, &err), &op));
    ferry_vm_set_rate_max(vm, SLOWLY); /* or a full disk would be its end */
    assert_ok(ferry_upload_start(vm, "/dev/zero", "/big", NULL, &op, &err));
    uv_timer_init(&loop, &timer);
    timer.data = op;
    uv_timer_start(&timer, on_timer, 5, 5);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(looks > 0);
    assert_int_equal(ferry_op_poll(op, NULL), FERRY_OP_CANCELLED);
    ferry_op_free(op);
    char **names = NULL;
    assert_ok(ferry_ls_start(vm, "/", &op, &err));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_ok(ferry_ls_result(op, &names, &err));
    assert_string_equal(names[0], "f");
    assert_string_equal(names[1], "lost+found");
    assert_null(names[2]);
    ferry_strings_free(names);
    ferry_op_free(op);
    close_all(); /* without a shutdown: qemu is killed */
}

static void blocking_calls_are_refused(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    new_vm_on_loop();
    assert_fails(ferry_launch(vm, &err), FERRY_ESTATE, "ferry_launch_start()");
    uv_run(&loop, UV_RUN_DEFAULT); /* what it had started ends */
    assert_int_not_equal(ferry_vm_get_state(vm), FERRY_VM_UP);
    assert_ok(run_to_end(ferry_launch_start(vm, &op, &err), &op));
    assert_fails(ferry_ping(vm, &err), FERRY_ESTATE, "ferry_ping_start()");
    assert_fails(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err), FERRY_ESTATE,
                 "ferry_upload_start()");
    assert_ok(ferry_ping_start(vm, &op, &err));
    assert_int_equal(ferry_op_wait(op, 10), -FERRY_ESTATE);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ferry_op_error(op, &err), 0);
    ferry_op_free(op);
    assert_int_equal(ferry_ctx_fd(ctx), -FERRY_ESTATE);
    close_all();
}

/* Everything at once: nothing has been run when the close comes. */
static void closed_with_ops_in_flight(void **state)
{
    (void)state;
    ferry_op *launch = NULL, *ops[20];
    int ends = 0;
    void *data = filled(LEN, 2);
    new_vm_on_loop();
    assert_ok(ferry_launch_start(vm, &launch, &err));
    assert_int_equal(ferry_op_on_done(launch, note_end, &ends), 0);
    close_all();
    assert_int_equal(ends, 1);
    assert_int_equal(ferry_op_poll(launch, NULL), FERRY_OP_CANCELLED);
    ferry_op_free(launch);

    new_vm_on_loop();
    assert_ok(run_to_end(ferry_launch_start(vm, &launch, &err), &launch));
    assert_ok(run_to_end(ferry_mount_start(vm, "/dev/sda", "/", &launch, &err), &launch));
    ends = 0;
    for (int i = 0; i < 20; i++) {
        if (i % 2)
            assert_ok(
                ferry_download_start(vm, "/f", scratch("%d", i), NULL, &ops[i], &err));
        else
            assert_ok(ferry_upload_mem_start(vm, data, LEN, "/g", NULL, &ops[i], &err));
        assert_int_equal(ferry_op_on_done(ops[i], note_end, &ends), 0);
    }
    uv_run(&loop, UV_RUN_ONCE);
    close_all();
    assert_int_equal(ends, 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ferry_op_poll(ops[i], NULL), FERRY_OP_CANCELLED);
        ferry_op_free(ops[i]); /* they outlive their context */
    }
    free(data);
}

#define loop_test(f) cmocka_unit_test_teardown(f, leaves_nothing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(whole_life),
        loop_test(timer_cancels),
        loop_test(blocking_calls_are_refused),
        loop_test(closed_with_ops_in_flight),
    };
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
