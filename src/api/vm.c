/* VMs: what their owner does with them from any thread. The life of a launched one is
 * keeper.c's, launch and shutdown are ops of their own. See guestferry/vm.h. */
#include "api/internal.h"
#include "api/opts.h"
#include "base/auto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Defaults and limits of ferry_vm_opts. */
#define MEMORY_MIB 512     /* mkfs.xfs and ntfs-3g of a TB disk stay below it */
#define MEMORY_MIB_MIN 256 /* the initramfs is unpacked into it */
#define MEMORY_MIB_MAX (1024 * 1024)
#define GRACE_MS 2000      /* what a person bears between ^C and the prompt */
#define HEARTBEAT_MS 15000 /* a busy host without KVM stops a guest for seconds */
#define CPUS_MAX 255
#define LAUNCH_TIMEOUT_MS                                                              \
    120000 /* a loaded machine without KVM: 10 times what it takes */

/* ---- life -------------------------------------------------------------------------- */

ferry_vm *ferry_vm_ref(ferry_vm *vm)
{
    atomic_fetch_add(&vm->refs, 1);
    return vm;
}

void ferry_vm_unref(ferry_vm *vm)
{
    if (atomic_fetch_sub(&vm->refs, 1) > 1)
        return;
    for (unsigned i = 0; i < vm->spec.ndrives; i++)
        ferry_drive_done(&vm->spec.drives[i]);
    free(vm->spec.drives);
    free(vm->spec.appliance);
    free(vm->spec.qemu);
    free(vm->spec.backend);
    free(vm->console);
    free(vm->no_kvm);
    pthread_mutex_destroy(&vm->lock);
    ferry_ctx_unref(vm->ctx);
    free(vm);
}

static void reap(ferry_post *p)
{
    ferry_vm *vm = ferry_container(p, ferry_vm, reap_post);
    ferry_ctx *ctx = vm->ctx;
    ferry_scope_done(&vm->scope);
    ferry_list_remove(&vm->link);
    ferry_loop_release(ctx->loop);
    ferry_ctx_maybe_close(ctx);
    ferry_vm_unref(vm);
}

/* By way of the mailbox: the last task is still on its stack when its scope is empty. */
static void reap_soon(ferry_vm *vm)
{
    if (vm->reaping)
        return;
    vm->reaping = true;
    vm->reap_post.run = reap;
    ferry_loop_post(vm->ctx->loop, &vm->reap_post);
}

static void on_scope_empty(ferry_scope *s)
{
    ferry_vm *vm = ferry_container(s, ferry_vm, scope);
    if (vm->freed)
        reap_soon(vm);
}

void ferry_vm_release(ferry_vm *vm)
{
    if (vm->freed)
        return;
    vm->freed = true;
    ferry_loop_hold(vm->ctx->loop); /* until it is reaped */
    ferry_scope_cancel(&vm->scope, -FERRY_ECANCELED);
    if (ferry_list_empty(&vm->scope.tasks))
        reap_soon(vm);
}

static void adopt(ferry_post *p)
{
    ferry_vm *vm = ferry_container(p, ferry_vm, adopt_post);
    ferry_ctx *ctx = vm->ctx;
    ferry_scope_open_root(&vm->scope, ctx->loop, &ctx->root, FERRY_SCOPE_SUPERVISE);
    vm->scope.empty = on_scope_empty;
    ferry_list_append(&ctx->vms, &vm->link);
}

void ferry_vm_disown(ferry_vm *vm)
{
    if (!atomic_exchange(&vm->disowned, true))
        ferry_vm_unref(vm);
}

static void release_posted(ferry_post *p)
{
    ferry_vm *vm = ferry_container(p, ferry_vm, free_post);
    ferry_vm_release(vm);
    ferry_vm_disown(vm);
}

static void run_on_loop(ferry_ctx *ctx, ferry_post *p, void (*run)(ferry_post *))
{
    p->run = run;
    if (ctx->thread)
        ferry_loop_post(ctx->loop, p);
    else
        run(p);
}

void ferry_vm_free(ferry_vm *vm)
{
    if (!vm || ferry_ctx_is_forked(vm->ctx))
        return;
    ferry_ctx *ctx = vm->ctx;
    if (!ferry_ctx_enter(ctx)) {
        ferry_vm_disown(vm); /* from a callback: the closing context does the rest */
        return;
    }
    run_on_loop(ctx, &vm->free_post, release_posted); /* hands the owner's reference on */
    ferry_ctx_leave(ctx);
}

/* ---- making one -------------------------------------------------------------------- */

static int check_opts(const ferry_vm_opts *o, ferry_error *e)
{
    if (o->memory_mib &&
        (o->memory_mib < MEMORY_MIB_MIN || o->memory_mib > MEMORY_MIB_MAX))
        return ferry_fail(e, -FERRY_EINVAL, "vm_new",
                          "memory_mib is %u; it must be 0 (default) or %d to %d",
                          o->memory_mib, MEMORY_MIB_MIN, MEMORY_MIB_MAX);
    if (o->cpus > CPUS_MAX)
        return ferry_fail(e, -FERRY_EINVAL, "vm_new", "cpus is %u; at most %d", o->cpus,
                          CPUS_MAX);
    if ((unsigned)o->accel > FERRY_ACCEL_TCG)
        return ferry_fail(e, -FERRY_EINVAL, "vm_new",
                          "accel is %d; see enum ferry_accel", (int)o->accel);
    if (o->backend && !ferry_backend_known(o->backend))
        return ferry_fail(e, -FERRY_EINVAL, "vm_new",
                          "backend is %s; it must be direct, libvirt or libvirt:URI",
                          o->backend);
    if ((unsigned)o->templates > FERRY_TEMPLATE_MAKE)
        return ferry_fail(e, -FERRY_EINVAL, "vm_new",
                          "templates is %d; see enum ferry_template_mode",
                          (int)o->templates);
    return 0;
}

static int copy_string(const char *s, char **ret)
{
    if (!s)
        return 0;
    char *copy = strdup(s);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

static int fill(ferry_vm *vm, const ferry_vm_opts *o)
{
    vm->spec.accel = o->accel;
    vm->spec.memory_mib = o->memory_mib ? o->memory_mib : MEMORY_MIB;
    vm->spec.cpus = o->cpus ? o->cpus : 1;
    vm->launch_timeout_ms =
        o->launch_timeout_ms ? o->launch_timeout_ms : LAUNCH_TIMEOUT_MS;
    vm->templates = o->templates;
    vm->call_timeout_ms = o->call_timeout_ms;
    vm->grace_ms = o->grace_ms ? o->grace_ms : GRACE_MS;
    vm->heartbeat_ms = o->heartbeat_ms ? o->heartbeat_ms : HEARTBEAT_MS;
    vm->spec.drives = calloc(FERRY_VM_DRIVES, sizeof *vm->spec.drives);
    if (!vm->spec.drives)
        return -ENOMEM;
    int r = copy_string(o->appliance, &vm->spec.appliance);
    if (r == 0)
        r = copy_string(o->backend, &vm->spec.backend);
    return r < 0 ? r : copy_string(o->qemu, &vm->spec.qemu);
}

int ferry_vm_new(ferry_ctx *ctx, const ferry_vm_opts *opts, ferry_vm **ret_vm,
                 ferry_error *reterr)
{
    ferry_vm_opts o = {0};
    int r = ferry_opts_take("vm_new", "ferry_vm_opts", opts, &o, sizeof o, reterr);
    if (r == 0)
        r = check_opts(&o, reterr);
    if (r < 0)
        return r;

    ferry_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return ferry_fail(reterr, -FERRY_ENOMEM, "vm_new", "out of memory");
    atomic_init(&vm->refs, 2); /* the owner's, and the loop's until it is reaped */
    vm->ctx = ferry_ctx_ref(ctx);
    pthread_mutex_init(&vm->lock, NULL);
    ferry_cond_init(&vm->changed);
    ferry_sem_init(&vm->plugging, 1);
    ferry_list_init(&vm->link);
    r = fill(vm, &o);
    if (r < 0)
        ferry_fail(reterr, r, "vm_new", "%s", ferry_strerror(r));
    else if (!ferry_ctx_enter(ctx))
        r = ferry_ctx_refuse(ctx, "vm_new", reterr);
    if (r < 0) {
        ferry_vm_unref(vm);
        ferry_vm_unref(vm);
        return r;
    }
    run_on_loop(ctx, &vm->adopt_post, adopt);
    ferry_ctx_leave(ctx);
    *ret_vm = vm;
    return 0;
}

/* ---- what it is doing -------------------------------------------------------------- */

void ferry_vm_set_state(ferry_vm *vm, ferry_vm_state state)
{
    pthread_mutex_lock(&vm->lock); /* against ferry_add_drive */
    atomic_store(&vm->state, (int)state);
    pthread_mutex_unlock(&vm->lock);
    ferry_cond_wake(&vm->changed);
}

ferry_vm_state ferry_vm_get_state(ferry_vm *vm)
{
    return (ferry_vm_state)atomic_load(&vm->state);
}

const char *ferry_vm_get_accel(ferry_vm *vm)
{
    return atomic_load(&vm->accel);
}

void ferry_vm_set_rate_max(ferry_vm *vm, uint64_t bytes_per_second)
{
    atomic_store(&vm->pace.rate, bytes_per_second);
}

const char *ferry_vm_get_lane(ferry_vm *vm)
{
    return atomic_load(&vm->lane_text);
}

int ferry_vm_get_launch_times(ferry_vm *vm, ferry_launch_times *ret_times)
{
    if (ferry_ctx_is_forked(vm->ctx))
        return -FERRY_ESTATE;
    pthread_mutex_lock(&vm->lock);
    *ret_times = vm->times;
    pthread_mutex_unlock(&vm->lock);
    return ret_times->total_ms ? 0 : -FERRY_ESTATE;
}

int ferry_vm_get_accel_reason(ferry_vm *vm, char **ret_text)
{
    if (ferry_ctx_is_forked(vm->ctx) || !ferry_vm_get_accel(vm))
        return -FERRY_ESTATE;
    pthread_mutex_lock(&vm->lock);
    char *copy = vm->no_kvm ? strdup(vm->no_kvm) : NULL;
    pthread_mutex_unlock(&vm->lock);
    if (!copy)
        return -FERRY_ENOMEM;
    *ret_text = copy;
    return 0;
}

int ferry_vm_get_console(ferry_vm *vm, char **ret_text)
{
    if (ferry_ctx_is_forked(vm->ctx))
        return -FERRY_ESTATE;
    pthread_mutex_lock(&vm->lock);
    char *copy = strdup(vm->console ? vm->console : "");
    pthread_mutex_unlock(&vm->lock);
    if (!copy)
        return -FERRY_ENOMEM;
    *ret_text = copy;
    return 0;
}

void ferry_vm_cancel_all(ferry_vm *vm)
{
    atomic_fetch_add(&vm->cancel_epoch, 1);
    ferry_ctx_kick(vm->ctx);
}

void ferry_vm_kill(ferry_vm *vm)
{
    atomic_fetch_add(&vm->kills, 1);
    ferry_ctx_kick(vm->ctx);
}

int ferry_vm_check_up(ferry_vm *vm, const char *where, ferry_error *e)
{
    switch (ferry_vm_get_state(vm)) {
    case FERRY_VM_UP: return 0;
    case FERRY_VM_DEAD:
        if (e)
            *e = vm->death;
        return vm->death.code;
    case FERRY_VM_NEW:
    case FERRY_VM_LAUNCHING:
        return ferry_fail(e, -FERRY_ESTATE, where,
                          "the VM is not launched yet: call ferry_launch() first");
    default: return ferry_fail(e, -FERRY_ESTATE, where, "the VM is shut down");
    }
}
