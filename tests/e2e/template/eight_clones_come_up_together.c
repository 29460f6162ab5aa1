/* Eight VMs of one template on one context: no more launches go on at once than were allowed, one
 * that waits its turn can be cancelled there, all others come up and work, each with the drive that is
 * its own; and what they have not changed they share. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VMS 8
#define AT_ONCE 3
/* Of one clone's own memory, qemu included; 35 MiB when this was written. */
#define PSS_MIB 60

static ferry_vm *vms[VMS];
static ferry_op *ops[VMS];

static int build(void **state)
{
    (void)state;
    scratch_make();
    host("mkdir -m 700 '%s'", scratch("cache"));
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    setenv("FERRY_TEMPLATE", "require", 1);
    vm_new();
    assert_ok(ferry_template_build(vm, &err));
    ferry_ctx_set_launches_max(ctx, AT_ONCE);
    for (int i = 0; i < VMS; i++) {
        assert_ok(ferry_vm_new(ctx, NULL, &vms[i], &err));
        assert_ok(ferry_add_drive_scratch(vms[i], (uint64_t)(16 + i) * MIB, &err));
    }
    return 0;
}

static int drop(void **state)
{
    for (int i = 0; i < VMS; i++) {
        ferry_op_free(ops[i]);
        ferry_vm_free(vms[i]);
    }
    return vm_teardown(state);
}

static const char *phase_of(ferry_op *op)
{
    static ferry_progress p;
    return ferry_op_poll(op, &p) == FERRY_OP_PENDING ? p.phase : "";
}

/* Neither over nor waiting. */
static bool is_on_its_way(ferry_op *op)
{
    const char *phase = phase_of(op);
    return *phase && strncmp(phase, "waiting", 7) != 0;
}

/* How many are on their way at once: those that were when all had been looked at, and still are.
 * One look would count one that ends behind it, and the next one, which begins before it. */
static int on_their_way(void)
{
    bool before[VMS];
    int n = 0;
    for (int i = 0; i < VMS; i++)
        before[i] = is_on_its_way(ops[i]);
    for (int i = 0; i < VMS; i++)
        n += before[i] && is_on_its_way(ops[i]);
    return n;
}

static bool waits_for_others(void *op)
{
    return strcmp(phase_of(op), "waiting for other launches") == 0;
}

/* Memory of a process that nobody else has, and its share of the rest. */
static unsigned pss_mib(pid_t pid)
{
    const char *said =
        host("awk '/^Pss:/ { print $2 }' /proc/%d/smaps_rollup", (int)pid);
    return (unsigned)(strtoul(said, NULL, 10) / 1024);
}

static void all_but_the_cancelled_one(void **state)
{
    (void)state;
    for (int i = 0; i < VMS; i++)
        assert_ok(ferry_launch_start(vms[i], &ops[i], &err));
    assert_true(eventually(waits_for_others, ops[VMS - 1]));
    ferry_op_cancel(ops[VMS - 1]);
    assert_ends(ops[VMS - 1], FERRY_ECANCELED);

    for (int i = 0; i < VMS - 1; i++) {
        while (ferry_op_wait(ops[i], 20) == -FERRY_EAGAIN)
            assert_in_range(on_their_way(), 0, AT_ONCE);
        assert_ok(ferry_op_error(ops[i], &err));
    }
    assert_int_equal(ferry_vm_get_state(vms[VMS - 1]), FERRY_VM_NEW);
}

static void each_has_its_own_drive(void **state)
{
    (void)state;
    for (int i = 0; i < VMS - 1; i++) {
        ferry_launch_times times;
        uint64_t bytes = 0;
        assert_int_equal(ferry_vm_get_launch_times(vms[i], &times), 0);
        assert_int_equal(times.restored, 1);
        assert_ok(ferry_blockdev_getsize64(vms[i], "/dev/sda", &bytes, &err));
        assert_int_equal(bytes, (uint64_t)(16 + i) * MIB);
    }
}

static void unchanged_pages_are_shared(void **state)
{
    (void)state;
    const char *said = host("pgrep -P %d -x gferry-guard", (int)getpid());
    char *list = strdup(said), *at = list;
    int n = 0;
    for (pid_t guard; (guard = (pid_t)strtol(at, &at, 10)) > 0; n++) {
        unsigned mib = pss_mib(child_of(guard));
        if (mib > PSS_MIB)
            fail_msg("a clone has %u MiB for itself, more than %d", mib, PSS_MIB);
    }
    free(list);
    assert_int_equal(n, VMS - 1);
}

static void all_go_down(void **state)
{
    (void)state;
    for (int i = 0; i < VMS - 1; i++)
        assert_ok(ferry_shutdown(vms[i], &err));
    assert_ok(ferry_launch(vms[VMS - 1], &err));
    assert_ok(ferry_shutdown(vms[VMS - 1], &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_but_the_cancelled_one),
        cmocka_unit_test(each_has_its_own_drive),
        cmocka_unit_test(unchanged_pages_are_shared),
        cmocka_unit_test(all_go_down),
    };
    return cmocka_run_group_tests(tests, build, drop);
}
