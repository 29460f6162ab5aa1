/* qemu is SIGSTOPped: nothing answers any more, and no descriptor says so. A cancel still ends
 * its op (within grace_ms, after which the VM is dead with that reason), a pending call is ended
 * by the heartbeat, and a SIGCONT in time leaves everything usable. */
#include "harness/vm.h"

#include <signal.h>
#include <string.h>

static void launch_with(uint32_t grace_ms, uint32_t heartbeat_ms)
{
    ferry_vm_opts o = {.size = sizeof o,
                       .accel = FERRY_ACCEL_TCG,
                       .grace_ms = grace_ms,
                       .heartbeat_ms = heartbeat_ms};
    ferry_vm_free(vm);
    assert_ok(ferry_vm_new(ctx, &o, &vm, &err));
    assert_ok(ferry_add_drive_scratch(vm, 64 * MIB, &err));
    assert_ok(ferry_launch(vm, &err));
}

static int stopped_setup(void **state)
{
    (void)state;
    vm_new();
    return 0;
}

static int stopped_teardown(void **state)
{
    (void)state;
    vm_free();
    return 0;
}

static pid_t stopped_qemu(void)
{
    pid_t qemu = vm_qemu();
    assert_true(qemu > 0); /* 0 would be all of us */
    kill(qemu, SIGSTOP);
    return qemu;
}

static bool is_running(void *op)
{
    ferry_progress p;
    ferry_op_poll(op, &p);
    return strcmp(p.phase, "ping") == 0;
}

/* A cancel before its first instruction would not need the appliance at all. */
static ferry_op *started_ping(void)
{
    ferry_op *op = NULL;
    assert_ok(ferry_ping_start(vm, &op, &err));
    assert_true(eventually(is_running, op));
    return op;
}

static void cancel_ends_in_grace_and_the_vm_is_dead(void **state)
{
    (void)state;
    launch_with(300, UINT32_MAX);
    stopped_qemu();
    ferry_op *op = started_ping();
    ferry_op_cancel(op);
    assert_int_equal(ferry_op_wait(op, 20000), 0);
    assert_int_equal(ferry_op_poll(op, NULL), FERRY_OP_CANCELLED);
    ferry_op_free(op);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "cancel");
    assert_ok(ferry_launch(vm, &err)); /* and a new one comes up in its place */
    assert_ok(ferry_ping(vm, &err));
}

static void continued_in_time_it_is_usable(void **state)
{
    (void)state;
    launch_with(60000, UINT32_MAX);
    pid_t qemu = stopped_qemu();
    ferry_op *op = started_ping();
    ferry_op_cancel(op);
    assert_int_equal(ferry_op_wait(op, 50),
                     -FERRY_EAGAIN); /* it asks for the daemon's word */
    kill(qemu, SIGCONT);
    assert_int_equal(ferry_op_wait(op, 60000), 0);
    ferry_op_free(op);
    assert_ok(ferry_ping(vm, &err));
}

static void heartbeat_notices_the_silence(void **state)
{
    (void)state;
    launch_with(300, 500);
    stopped_qemu();
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "does not answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_ends_in_grace_and_the_vm_is_dead),
        cmocka_unit_test(continued_in_time_it_is_usable),
        cmocka_unit_test(heartbeat_notices_the_silence),
    };
    return cmocka_run_group_tests(tests, stopped_setup, stopped_teardown);
}
