/* Drives: added before a launch, plugged into and removed from a VM that is up. See
 * guestferry/vm.h.
 *
 *      plug     qemu opens the image -> the guest looks at the target -> the VM's list
 *      remove   the guest flushes and lets go -> qemu closes the image -> off the list
 *
 * The list is what the next launch starts with. A target is a drive's number in qemu and in
 * the guest; it is given out here. */
#include "api/drives.h"

#include "api/opts.h"
#include "api/settle.h"
#include "base/auto.h"

#include "api_calls.h"
#include "ferry_xdr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Once the guest has let go of a drive, a cancel does not keep qemu from closing it. */
#define CLOSE_MS 30000

/* ---- the list (under vm->lock) ----------------------------------------------------- */

static bool target_taken(const ferry_vm *vm, unsigned target)
{
    for (unsigned i = 0; i < vm->spec.ndrives; i++)
        if (vm->spec.drives[i].target == target)
            return true;
    return false;
}

static int check_room(const ferry_vm *vm, const ferry_drive *d, const char *where,
                      ferry_error *e)
{
    if (vm->spec.ndrives == FERRY_VM_DRIVES)
        return ferry_fail(e, -FERRY_EINVAL, where, "more than %d drives",
                          FERRY_VM_DRIVES);
    for (unsigned i = 0; d->label && i < vm->spec.ndrives; i++)
        if (vm->spec.drives[i].label && strcmp(vm->spec.drives[i].label, d->label) == 0)
            return ferry_fail(e, -FERRY_EEXIST, where,
                              "another drive has the label \"%s\"", d->label);
    return 0;
}

/* Takes over d. */
static void append(ferry_vm *vm, ferry_drive *d)
{
    vm->spec.drives[vm->spec.ndrives++] = *d;
    *d = (ferry_drive){0};
}

void ferry_vm_number_drives(ferry_vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->spec.ndrives; i++)
        vm->spec.drives[i].target = i;
    pthread_mutex_unlock(&vm->lock);
}

/* ---- before a launch ----------------------------------------------------------------- */

int ferry_vm_add_drives(ferry_vm *vm, ferry_drive *drives, unsigned n,
                        const char *where, ferry_error *e)
{
    int r = 0;
    if (ferry_ctx_is_forked(vm->ctx))
        return ferry_ctx_refuse(vm->ctx, where, e);
    pthread_mutex_lock(&vm->lock);
    int state = atomic_load(&vm->state);
    if (state == FERRY_VM_LAUNCHING || state == FERRY_VM_UP || state == FERRY_VM_CLOSING)
        r = ferry_fail(e, -FERRY_ESTATE, where,
                       "the VM is launched already: ferry_plug_drive() adds to one "
                       "that is up");
    unsigned before = vm->spec.ndrives;
    for (unsigned i = 0; i < n && r == 0; i++) {
        r = check_room(vm, &drives[i], where, e);
        if (r == 0)
            append(vm, &drives[i]);
    }
    while (r < 0 && vm->spec.ndrives > before)
        ferry_drive_done(&vm->spec.drives[--vm->spec.ndrives]);
    pthread_mutex_unlock(&vm->lock);
    return r;
}

static int add(ferry_vm *vm, ferry_drive *d, ferry_error *e)
{
    int r = ferry_vm_add_drives(vm, d, 1, "add_drive", e);
    ferry_drive_done(d);
    return r;
}

static int take_drive(const char *where, const char *path, const ferry_drive_opts *opts,
                      ferry_drive *ret, ferry_error *e)
{
    ferry_drive_opts o = {0};
    if (!path)
        return ferry_fail(e, -FERRY_EINVAL, where, "path is NULL");
    int r = ferry_opts_take(where, "ferry_drive_opts", opts, &o, sizeof o, e);
    return r < 0 ? r : ferry_drive_check(path, &o, ret, e);
}

int ferry_add_drive(ferry_vm *vm, const char *path, const ferry_drive_opts *opts,
                    ferry_error *reterr)
{
    ferry_drive d = {0};
    int r = take_drive("add_drive", path, opts, &d, reterr);
    return r < 0 ? r : add(vm, &d, reterr);
}

int ferry_add_drive_scratch(ferry_vm *vm, uint64_t bytes, ferry_error *reterr)
{
    ferry_drive d = {0};
    int r = ferry_drive_scratch(bytes, NULL, &d, reterr);
    return r < 0 ? r : add(vm, &d, reterr);
}

/* ---- plug ---------------------------------------------------------------------------- */

struct plug {
    ferry_drive drive;
    char *device; /* the result */
};

static void plug_free(void *arg)
{
    struct plug *p = arg;
    ferry_drive_done(&p->drive);
    free(p->device);
    free(p);
}

/* One that is free in qemu and in the guest. */
static int choose_target(ferry_vm *vm, ferry_drive *d, ferry_error *e)
{
    pthread_mutex_lock(&vm->lock);
    int r = check_room(vm, d, "plug_drive", e);
    for (d->target = 0; r == 0 && target_taken(vm, d->target);)
        d->target++;
    pthread_mutex_unlock(&vm->lock);
    return r;
}

/* The guest does not have it, or not any more: qemu closes the image, whatever was
 * cancelled. */
static FERRY_CO int close_image(ferry_vm *vm, unsigned target, ferry_error *e)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, CLOSE_MS);
    int r = ferry_machine_unplug(vm->machine, target, e);
    ferry_scope_join(&s);
    return r;
}

static FERRY_CO int plug(ferry_op *op, struct plug *p, ferry_error *e)
{
    ferry_vm *vm = op->vm;
    int r = choose_target(vm, &p->drive, e);
    if (r < 0)
        return r;
    ferry_op_phase(op, "plugging");
    r = ferry_machine_plug(vm->machine, &p->drive, e);
    if (r < 0)
        return r;
    r = ferry_attach_drive(op, p->drive.target, p->drive.label, &p->device, e);
    if (r < 0) {
        close_image(vm, p->drive.target, NULL);
        return r;
    }
    pthread_mutex_lock(&vm->lock);
    append(vm, &p->drive);
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

/* Runs fn with the machine held: the keeper does not free it meanwhile. One at a time. */
static FERRY_CO int with_machine(ferry_op *op,
                                 FERRY_CO int (*fn)(ferry_op *, ferry_error *),
                                 ferry_error *e)
{
    ferry_vm *vm = op->vm;
    int r = ferry_sem_get(&vm->plugging);
    if (r < 0)
        return r;
    r = ferry_vm_check_up(vm, op->name, e);
    if (r == 0 && !vm->machine)
        r = ferry_vm_failed(vm, -FERRY_EPIPE, op->name, e);
    if (r == 0) {
        vm->machine_users++;
        r = fn(op, e);
        vm->machine_users--;
        ferry_cond_wake(&vm->changed);
    }
    ferry_sem_put(&vm->plugging);
    return r;
}

static FERRY_CO int do_plug(ferry_op *op, ferry_error *e)
{
    return plug(op, op->body, e);
}

static FERRY_CO int run_plug(ferry_op *op, ferry_error *e)
{
    return with_machine(op, do_plug, e);
}

static int start_plug(ferry_vm *vm, ferry_drive *d, ferry_op **ret_op, ferry_error *e)
{
    struct plug *p = calloc(1, sizeof *p);
    if (!p) {
        ferry_drive_done(d);
        return ferry_fail(e, -FERRY_ENOMEM, "plug_drive", "out of memory");
    }
    p->drive = *d;
    ferry_op *op = NULL;
    int r = ferry_op_new(vm, "plug_drive", run_plug, p, plug_free, &op, e);
    return r < 0 ? r : ferry_op_submit(op, ret_op, e);
}

int ferry_plug_drive_start(ferry_vm *vm, const char *path, const ferry_drive_opts *opts,
                           ferry_op **ret_op, ferry_error *reterr)
{
    ferry_drive d = {0};
    int r = take_drive("plug_drive", path, opts, &d, reterr);
    return r < 0 ? r : start_plug(vm, &d, ret_op, reterr);
}

int ferry_plug_scratch_start(ferry_vm *vm, uint64_t bytes, const char *label,
                             ferry_op **ret_op, ferry_error *reterr)
{
    ferry_drive d = {0};
    int r = ferry_drive_scratch(bytes, label, &d, reterr);
    return r < 0 ? r : start_plug(vm, &d, ret_op, reterr);
}

int ferry_plug_drive_result(ferry_op *op, char **ret_device, ferry_error *reterr)
{
    struct plug *p = op->body;
    if (op->run != run_plug)
        return ferry_fail(reterr, -FERRY_EINVAL, "plug_drive",
                          "the op is of another call: %s", op->name);
    int r = ferry_op_error(op, reterr);
    if (r < 0)
        return r;
    char *copy = strdup(p->device);
    if (!copy)
        return ferry_fail(reterr, -FERRY_ENOMEM, "plug_drive", "out of memory");
    *ret_device = copy;
    return 0;
}

/* ---- remove -------------------------------------------------------------------------- */

static void forget(ferry_vm *vm, unsigned target)
{
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->spec.ndrives; i++) {
        ferry_drive *d = &vm->spec.drives[i];
        if (d->target != target)
            continue;
        ferry_drive_done(d);
        memmove(d, d + 1, (--vm->spec.ndrives - i) * sizeof *d);
        break;
    }
    pthread_mutex_unlock(&vm->lock);
}

static FERRY_CO int do_remove(ferry_op *op, ferry_error *e)
{
    fx_detach_drive_args args = {.device = op->body};
    fx_detach_drive_ret ret = {0};
    ferry_op_phase(op, "flushing");
    int r = ferry_call_now(op, &ferry_desc_detach_drive, &args, &ret, e);
    if (r < 0)
        return r;
    r = close_image(op->vm, ret.value, e);
    if (r == 0)
        forget(op->vm, ret.value);
    return r;
}

static FERRY_CO int run_remove(ferry_op *op, ferry_error *e)
{
    return with_machine(op, do_remove, e);
}

int ferry_remove_drive_start(ferry_vm *vm, const char *device, ferry_op **ret_op,
                             ferry_error *reterr)
{
    if (!device || !*device)
        return ferry_fail(reterr, -FERRY_EINVAL, "remove_drive", "device is empty");
    char *copy = strdup(device);
    if (!copy)
        return ferry_fail(reterr, -FERRY_ENOMEM, "remove_drive", "out of memory");
    ferry_op *op = NULL;
    int r = ferry_op_new(vm, "remove_drive", run_remove, copy, free, &op, reterr);
    return r < 0 ? r : ferry_op_submit(op, ret_op, reterr);
}
