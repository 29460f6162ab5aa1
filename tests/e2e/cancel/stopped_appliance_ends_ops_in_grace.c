/* Nothing answers any more, and no descriptor says so: qemu is SIGSTOPped, or it is well and its
 * guest's CPU stands still, as that of a guest that spins with its interrupts off. A cancel still
 * ends its op (within grace_ms, after which the VM is dead with that reason), a pending call is
 * ended by the heartbeat, and what goes on in time is usable. */
#include "harness/vm.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

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

/* ---- two ways to stand still --------------------------------------------------------- */

struct way {
    void (*hold)(pid_t qemu);
    void (*let_go)(pid_t qemu);
    void (*killed)(void);
};

static void stop_qemu(pid_t qemu)
{
    stop_process(qemu);
}

static void continue_qemu(pid_t qemu)
{
    kill(qemu, SIGCONT);
}

static void nothing(void)
{
}

/* The thread that is the guest's CPU; 0: none. */
static pid_t vcpu_of(pid_t qemu)
{
    char path[64];
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)qemu);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; !found && (e = readdir(d));)
        if (e->d_name[0] != '.' &&
            strncmp(process_name((pid_t)atoi(e->d_name)), "CPU ", 4) == 0)
            found = (pid_t)atoi(e->d_name);
    closedir(d);
    return found;
}

static pid_t vcpu;

/* Held as a debugger holds it; the rest of qemu runs. */
static void hold_vcpu(pid_t qemu)
{
    vcpu = vcpu_of(qemu);
    assert_true(vcpu > 0);
    if (ptrace(PTRACE_SEIZE, vcpu, NULL, NULL) < 0)
        fail_msg("ptrace: %s", strerror(errno));
    assert_int_equal(ptrace(PTRACE_INTERRUPT, vcpu, NULL, NULL), 0);
    assert_int_equal(waitpid(vcpu, NULL, __WALL), vcpu);
}

static void let_vcpu_go(pid_t qemu)
{
    (void)qemu;
    assert_int_equal(ptrace(PTRACE_DETACH, vcpu, NULL, NULL), 0);
}

/* A process is not gone before whoever traces a thread of it has seen that thread's end. */
static void reap_vcpu(void)
{
    assert_int_equal(waitpid(vcpu, NULL, __WALL), vcpu);
}

static const struct way qemu_stops = {stop_qemu, continue_qemu, nothing};
static const struct way guest_stops = {hold_vcpu, let_vcpu_go, reap_vcpu};

static pid_t held_qemu(const struct way *way)
{
    pid_t qemu = vm_qemu();
    assert_true(qemu > 0); /* 0 would be all of us */
    way->hold(qemu);
    return qemu;
}

/* ---- what follows -------------------------------------------------------------------- */

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

static bool is_dead(void *arg)
{
    (void)arg;
    return ferry_vm_get_state(vm) == FERRY_VM_DEAD;
}

static void cancel_ends_in_grace_and_the_vm_is_dead(void **state)
{
    const struct way *way = *state;
    launch_with(300, UINT32_MAX);
    held_qemu(way);
    ferry_op *op = started_ping();
    ferry_op_cancel(op);
    assert_ends(op, FERRY_ECANCELED);
    ferry_op_free(op);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "cancel");
    way->killed();
    assert_true(eventually(is_dead, NULL));
    assert_ok(ferry_launch(vm, &err)); /* and a new one comes up in its place */
    assert_ok(ferry_ping(vm, &err));
}

static void continued_in_time_it_is_usable(void **state)
{
    const struct way *way = *state;
    launch_with(60000, UINT32_MAX);
    pid_t qemu = held_qemu(way);
    ferry_op *op = started_ping();
    ferry_op_cancel(op);
    assert_int_equal(ferry_op_wait(op, 50),
                     -FERRY_EAGAIN); /* it asks for the daemon's word */
    way->let_go(qemu);
    assert_int_equal(ferry_op_wait(op, 60000), 0);
    ferry_op_free(op);
    assert_ok(ferry_ping(vm, &err));
}

static void heartbeat_notices_the_silence(void **state)
{
    const struct way *way = *state;
    launch_with(300, 1500); /* a busy host stops a guest for a while, too */
    held_qemu(way);
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "does not answer");
    way->killed();
}

int main(void)
{
#define IN_WAY(test, way)                                                              \
    {                                                                                  \
#test ": " #way, test, NULL, NULL, (void *)(uintptr_t) & (way)                 \
    }
    // clang-format off
    const struct CMUnitTest tests[] = {
        IN_WAY(cancel_ends_in_grace_and_the_vm_is_dead, qemu_stops),
        IN_WAY(continued_in_time_it_is_usable, qemu_stops),
        IN_WAY(heartbeat_notices_the_silence, qemu_stops),
        IN_WAY(cancel_ends_in_grace_and_the_vm_is_dead, guest_stops),
        IN_WAY(continued_in_time_it_is_usable, guest_stops),
        IN_WAY(heartbeat_notices_the_silence, guest_stops),
    };
    // clang-format on
    return cmocka_run_group_tests(tests, stopped_setup, stopped_teardown);
}
