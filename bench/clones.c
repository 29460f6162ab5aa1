/* The worker's commands about templates: one is made, and many VMs are launched from it. */
#include "worker.h"

#include <stdlib.h>

#define CLONES_MAX 64

static ferry_vm *vms[CLONES_MAX];

/* template: made where $XDG_CACHE_HOME says. */
int cmd_template(struct worker *w)
{
    const ferry_vm_opts opts = {.size = sizeof opts, .accel = FERRY_ACCEL_TCG};
    ferry_vm *vm = NULL;
    int r = ferry_vm_new(w->ctx, &opts, &vm, &w->e);
    if (r == 0)
        r = ferry_template_build(vm, &w->e);
    ferry_vm_free(vm);
    return r == -FERRY_EEXIST ? 0 : r;
}

static int start(struct worker *w, ferry_vm **ret_vm, ferry_op **ret_op)
{
    const ferry_vm_opts opts = {.size = sizeof opts,
                                .accel = FERRY_ACCEL_TCG,
                                .templates = FERRY_TEMPLATE_REQUIRE};
    int r = ferry_vm_new(w->ctx, &opts, ret_vm, &w->e);
    if (r == 0)
        r = ferry_add_drive_scratch(*ret_vm, 64 << 20, &w->e);
    return r == 0 ? ferry_launch_start(*ret_vm, ret_op, &w->e) : r;
}

/* clones COUNT: launched together, each with a disk; until the last has it. */
int cmd_clones(struct worker *w)
{
    ferry_op *ops[CLONES_MAX] = {0};
    int n = number(w, 1) < CLONES_MAX ? number(w, 1) : CLONES_MAX, r = 0;
    for (int i = 0; i < n && r == 0; i++)
        r = start(w, &vms[i], &ops[i]);
    for (int i = 0; i < n && ops[i]; i++) {
        while (ferry_op_wait(ops[i], -1) == -FERRY_EINTR)
            ;
        if (r == 0)
            r = ferry_op_error(ops[i], &w->e);
        ferry_op_free(ops[i]);
    }
    return r;
}

/* end_clones: killed, as ferry_vm_free() does. */
int cmd_end_clones(struct worker *w)
{
    (void)w;
    for (int i = 0; i < CLONES_MAX; i++) {
        ferry_vm_free(vms[i]);
        vms[i] = NULL;
    }
    return 0;
}
