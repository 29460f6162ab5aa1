/* A launch is cancelled at random moments between its first instruction and its end, most of them
 * early; half by ferry_vm_cancel_all(), as a ^C handler has it. It ends CANCELLED, or OK if it was
 * faster, and then no process, descriptor, temporary or lock is left; the last one of all is let
 * through and works.
 *
 * FERRY_ROUNDS; FERRY_SEED repeats the moments. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANG_MS 60000

static unsigned dice;
static const char *disk;

static int setup(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    disk = vm_image("disk.qcow2", 64 * MIB); /* qcow2: its lock is looked at below */
    return 0;
}

static uint64_t ms_of_a_launch(void)
{
    uint64_t start = now_ms();
    vm_launch();
    uint64_t took = now_ms() - start;
    vm_shutdown();
    return took;
}

/* 0 .. most ms, the first eighth as likely as all the rest: that is where most happens, and what
 * is cancelled early costs little. */
static int moment(uint64_t most)
{
    double u = (double)rand_r(&dice) / RAND_MAX;
    return (int)(u * u * u * (double)most);
}

static bool one(int ms, bool all)
{
    ferry_op *op = NULL;
    assert_ok(ferry_launch_start(vm, &op, &err));
    ferry_op_wait(op, ms); /* the moment is the test's input */
    if (all)
        ferry_vm_cancel_all(vm);
    else
        ferry_op_cancel(op);
    if (ferry_op_wait(op, HANG_MS) != 0)
        fail_msg("cancelled after %d ms, the launch hangs", ms);
    int r = ferry_op_error(op, &err);
    ferry_op_free(op);
    if (r != 0 && r != -FERRY_ECANCELED)
        fail_msg("cancelled after %d ms: %d, %s", ms, r, err.msg);
    if (r == 0)
        vm_shutdown();
    else
        assert_int_not_equal(ferry_vm_get_state(vm), FERRY_VM_UP);
    vm_leaves_nothing(NULL);
    host("qemu-img check -q '%s'", disk); /* takes its lock */
    return r == 0;
}

static void at_random_moments(void **state)
{
    (void)state;
    unsigned rounds = from_env("FERRY_ROUNDS", 21), up = 0;
    dice = seed_for_chance();
    uint64_t whole = ms_of_a_launch();
    one(0, false);
    for (unsigned i = 0; i < rounds; i++)
        up += one(moment(whole + whole / 8), i % 2);
    print_message("    %u moments of %d ms; %u launches were faster\n", rounds,
                  (int)whole, up);
    assert_true(up < rounds);
}

static void and_then_it_works(void **state)
{
    (void)state;
    vm_launch();
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sda", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err));
    assert_guest_is("/x", "x", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(at_random_moments),
        vm_test(and_then_it_works),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
