/* Launch and shutdown as ops. What ends a launched VM otherwise is keeper.c. */
#include "api/drives.h"
#include "api/greet.h"
#include "api/lane.h"
#include "api/settle.h"
#include "api/template.h"
#include "api/warning.h"
#include "base/auto.h"
#include "base/trace.h"

#include "api_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- launch ------------------------------------------------------------------------ */

static FERRY_CO int greet(void *arg, ferry_link *channel, bool restored, ferry_error *e)
{
    ferry_op *op = arg;
    ferry_conn *conn = NULL;
    int r = ferry_greet_open(op->vm, channel, restored, &conn, e);
    if (r == 0)
        r = ferry_greet_hello(conn, e);
    if (r < 0) {
        ferry_conn_free(conn);
        return r;
    }
    op->vm->conn = conn;
    return 0;
}

static void on_warning(void *arg, const ferry_error *what)
{
    ferry_op *op = arg;
    ferry_ctx_warn(op->ctx, what);
}

static void on_phase(void *arg, const char *phase)
{
    ferry_op_phase(arg, phase);
}

static int may_launch(ferry_vm *vm, ferry_error *e)
{
    switch (ferry_vm_get_state(vm)) {
    case FERRY_VM_NEW:
    case FERRY_VM_DOWN:
    case FERRY_VM_DEAD: return 0;
    default:
        return ferry_fail(e, -FERRY_ESTATE, "launch", "the VM is launched already");
    }
}

static void remember(ferry_vm *vm, uint32_t settle_ms)
{
    ferry_accel accel = ferry_machine_accel(vm->machine);
    atomic_store(&vm->accel, accel == FERRY_ACCEL_KVM ? "kvm" : "tcg");
    pthread_mutex_lock(&vm->lock);
    vm->times = ferry_machine_times(vm->machine);
    free(vm->no_kvm);
    vm->no_kvm = strdup(ferry_machine_no_kvm(vm->machine));
    vm->times.settle_ms = settle_ms;
    vm->times.total_ms += settle_ms;
    ferry_template_use use = ferry_machine_template_use(vm->machine);
    vm->times.restored = use == FERRY_TEMPLATE_USED;
    vm->times.template_missing =
        use == FERRY_TEMPLATE_MISSING || use == FERRY_TEMPLATE_REFUSED;
    pthread_mutex_unlock(&vm->lock);
}

/* The environment decides for whoever has not. */
static ferry_machine_template choose_template(const ferry_vm *vm)
{
    const char *env = secure_getenv("FERRY_TEMPLATE");
    ferry_template_mode mode = vm->templates;
    bool free_to = mode == FERRY_TEMPLATE_AUTO || mode == FERRY_TEMPLATE_MAKE;
    if (free_to && env && (strcmp(env, "never") == 0 || strcmp(env, "0") == 0))
        mode = FERRY_TEMPLATE_NEVER;
    else if (mode == FERRY_TEMPLATE_AUTO && env && strcmp(env, "require") == 0)
        mode = FERRY_TEMPLATE_REQUIRE;
    return mode == FERRY_TEMPLATE_NEVER     ? FERRY_MACHINE_TEMPLATE_NEVER
           : mode == FERRY_TEMPLATE_REQUIRE ? FERRY_MACHINE_TEMPLATE_REQUIRE
                                            : FERRY_MACHINE_TEMPLATE_AUTO;
}

static FERRY_CO int start_machine(ferry_op *op, ferry_error *e)
{
    ferry_vm *vm = op->vm;
    ferry_machine_hooks hooks = {.greet = greet,
                                 .phase = on_phase,
                                 .warn = on_warning,
                                 .arg = op};
    ferry_scope s;

    ferry_lane_make(vm);
    vm->spec.template = choose_template(vm);
    vm->spec.build = ferry_greet_build();
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, vm->launch_timeout_ms);
    int r = ferry_machine_start(&vm->spec, &hooks, &vm->machine, e);
    ferry_scope_join(&s);
    ferry_lane_made(vm, r == 0 && ferry_machine_lane(vm->machine));
    if (r == 0)
        return 0;
    if (vm->conn) {
        ferry_conn_free(vm->conn);
        vm->conn = NULL;
    }
    if (r == -FERRY_EDEAD && op->kills != atomic_load(&vm->kills))
        ferry_fail(e, r, "launch", "killed while it started; launch again");
    if (r == -FERRY_ETIMEDOUT && e->code != r)
        ferry_fail(
            e, r, "launch",
            "the appliance was not up after %u s; allow it more time, or see its "
            "console with FERRY_TRACE=console",
            vm->launch_timeout_ms / 1000);
    return r;
}

/* Nothing of a launch that failed this late is left, and the VM may be launched again. */
static FERRY_CO void tear_down(ferry_vm *vm)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    if (vm->machine)
        ferry_machine_kill(vm->machine);
    while (ferry_vm_get_state(vm) != FERRY_VM_DEAD)
        if (ferry_cond_wait(&vm->changed) < 0)
            break;
    ferry_scope_join(&s);
}

/* The machine answers: its keeper takes it over, and the daemon is told what it needs to
 * know. */
static FERRY_CO int take_over(ferry_op *op, ferry_error *e)
{
    ferry_vm *vm = op->vm;
    if (op->kills != atomic_load(&vm->kills))
        ferry_machine_kill(vm->machine); /* too late to stop the launch: it dies at once */
    int r = ferry_spawn(&vm->scope, "keeper", ferry_vm_keep, vm);
    if (r < 0) {
        ferry_machine *m = vm->machine;
        vm->machine = NULL;
        ferry_conn_free(vm->conn);
        vm->conn = NULL;
        ferry_lane_drop(vm);
        ferry_machine_free(m);
        return r;
    }
    r = ferry_settle(op, e);
    if (r < 0)
        tear_down(vm);
    return r;
}

/* A turn among the context's launches. */
static FERRY_CO int wait_for_turn(ferry_op *op, ferry_error *e)
{
    ferry_ctx *ctx = op->ctx;
    while (ctx->launches >= atomic_load(&ctx->launches_max)) {
        ferry_op_phase(op, "waiting for other launches");
        int r = ferry_cond_wait(&ctx->launch_over);
        if (r < 0)
            return ferry_fail(e, r, "launch", "%s while waiting for other launches",
                              ferry_strerror(r));
    }
    ctx->launches++;
    return 0;
}

static void end_turn(ferry_ctx *ctx)
{
    ctx->launches--;
    ferry_cond_wake(&ctx->launch_over);
}

static FERRY_CO int run_launch(ferry_op *op, ferry_error *e)
{
    ferry_vm *vm = op->vm;
    int r = may_launch(vm, e);
    if (r < 0)
        return r;

    ferry_vm_set_state(vm, FERRY_VM_LAUNCHING);
    ferry_vm_number_drives(vm);
    vm->launch_kills = op->kills;
    ferry_op_look(op); /* a kill since it was asked for counts */
    vm->launches++;
    vm->quit = false;
    vm->death = vm->quit_error = (ferry_error){0};
    r = wait_for_turn(op, e);
    bool turn = r == 0;
    if (r == 0)
        r = start_machine(op, e);
    uint64_t up = ferry_loop_now(op->ctx->loop);
    if (r == 0)
        r = take_over(op, e);
    if (r == 0)
        remember(vm, (uint32_t)(ferry_loop_now(op->ctx->loop) - up));
    if (turn)
        end_turn(op->ctx);
    ferry_vm_set_state(vm, r < 0 ? FERRY_VM_NEW : FERRY_VM_UP);
    if (r == 0 && vm->templates == FERRY_TEMPLATE_MAKE && vm->times.template_missing)
        ferry_spawn(&vm->scope, "template", ferry_template_make, vm); /* or never mind */
    return r;
}

int ferry_launch_start(ferry_vm *vm, ferry_op **ret_op, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_op_new(vm, "launch", run_launch, NULL, NULL, &op, reterr);
    if (r < 0)
        return r;
    ferry_op_timeout(op, 0); /* launch_timeout_ms is its limit, not call_timeout_ms */
    return ferry_op_submit(op, ret_op, reterr);
}

/* ---- shutdown ---------------------------------------------------------------------- */

/* The others' calls are ended first: their files must be closed to be unmounted. */
static void cancel_others(ferry_op *self)
{
    ferry_list_each (ferry_op, op, &self->ctx->ops, link)
        if (op->vm == self->vm && op != self) {
            ferry_op_cancel(op);
            ferry_op_look(op); /* now, not at the next kick: it may be about to run */
        }
}

static bool others_left(ferry_op *self)
{
    ferry_list_each (ferry_op, op, &self->ctx->ops, link)
        if (op->vm == self->vm && op != self)
            return true;
    return false;
}

static FERRY_CO int wait_for_others(ferry_op *op)
{
    cancel_others(op);
    while (others_left(op)) {
        int r = ferry_cond_wait(&op->vm->changed); /* every op's end is a change */
        if (r < 0)
            return r;
    }
    return 0;
}

/* Unmount and flush, in the appliance. */
static FERRY_CO int flush(ferry_op *op, ferry_error *e)
{
    ferry_op_phase(op, "flushing");
    return ferry_call_now(op, &ferry_desc_shutdown, NULL, NULL, e);
}

static FERRY_CO int end_machine(ferry_op *op, ferry_error *e)
{
    ferry_vm *vm = op->vm;
    ferry_op_phase(op, "closing");
    vm->quit = true;
    ferry_cond_wake(&vm->changed);
    for (unsigned ours = vm->launches;;) {
        ferry_vm_state state = ferry_vm_get_state(vm);
        if (state == FERRY_VM_DOWN || vm->launches != ours) {
            if (vm->quit_code < 0)
                *e = vm->quit_error;
            return vm->quit_code;
        }
        if (state == FERRY_VM_DEAD) {
            *e = vm->death;
            return vm->death.code;
        }
        int r = ferry_cond_wait(&vm->changed);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int run_shutdown(ferry_op *op, ferry_error *e)
{
    int r = ferry_vm_check_up(op->vm, "shutdown", e);
    if (r < 0)
        return r;
    ferry_vm_set_state(op->vm, FERRY_VM_CLOSING);
    r = wait_for_others(op);
    if (r == 0)
        r = flush(op, e);
    ferry_error later = {0};
    int r2 = end_machine(op, &later);
    if (r == 0 && r2 < 0) {
        *e = later;
        r = r2;
    }
    ferry_op_leave(op, r < 0 ? FERRY_LEFT_UNKNOWN : FERRY_LEFT_NOTHING, 0, NULL);
    return r;
}

int ferry_shutdown_start(ferry_vm *vm, ferry_op **ret_op, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_op_new(vm, "shutdown", run_shutdown, NULL, NULL, &op, reterr);
    return r < 0 ? r : ferry_op_submit(op, ret_op, reterr);
}
