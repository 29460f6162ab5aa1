/* Templates as the public interface has them; see guestferry/template.h. What they are is
 * src/launch/template.h's business. */
#include "api/template.h"

#include "api/greet.h"
#include "api/lane.h"
#include "api/warning.h"
#include "base/auto.h"
#include "launch/template.h"

#include <guestferry/template.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- build --------------------------------------------------------------------------- */

struct build {
    ferry_vm *vm;
    ferry_op *op;     /* NULL: in the background */
    ferry_conn *conn; /* open until the state is saved: its end would be the daemon's */
};

/* Hears the daemon's HELLO and does not answer: whoever goes on from here does that. */
static FERRY_CO int hear_hello(void *arg, ferry_link *channel, bool restored,
                               ferry_error *e)
{
    struct build *b = arg;
    (void)restored;
    ferry_conn_free(ferry_take(&b->conn)); /* a first accelerator's */
    int r = ferry_greet_open(b->vm, channel, false, &b->conn, e);
    return r < 0 ? r : ferry_greet_listen(b->conn, e);
}

static void on_phase(void *arg, const char *phase)
{
    const struct build *b = arg;
    if (b->op)
        ferry_op_phase(b->op, phase);
}

/* A machine of its own, like the VM's but for the drives, which it must never see. The lane's
 * memory is another, too: what a launch puts there is its own. */
static FERRY_CO int build(ferry_vm *vm, ferry_op *op, ferry_error *e)
{
    struct build b = {.vm = vm, .op = op};
    ferry_machine_hooks hooks = {.greet = hear_hello, .phase = on_phase, .arg = &b};
    ferry_machine_spec spec = vm->spec;
    ferry_machine *m = NULL;
    spec.drives = NULL;
    spec.ndrives = 0;
    spec.template = FERRY_MACHINE_TEMPLATE_MAKE;
    spec.build = ferry_greet_build();
    FERRY_AUTO(fd) int lane = -1;
    if (ferry_lane_memory(&lane, &spec.lane_bytes) < 0)
        spec.lane_bytes = 0; /* as a launch does */
    spec.lane_fd = lane;

    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, vm->launch_timeout_ms);
    int r = ferry_machine_start(&spec, &hooks, &m, e);
    if (r == 0) {
        on_phase(&b, "saving");
        r = ferry_machine_save(m, e);
    }
    ferry_conn_free(b.conn);
    ferry_machine_free(m);
    ferry_scope_join(&s);
    return r;
}

/* ---- in the background --------------------------------------------------------------- */

FERRY_CO int ferry_template_make(void *arg)
{
    ferry_vm *vm = arg;
    ferry_error e = {0};
    int r = build(vm, NULL, &e);
    if (r < 0 && r != -FERRY_EEXIST && r != -FERRY_EBUSY && !ferry_cancelled())
        ferry_ctx_warn(vm->ctx, &e);
    return 0;
}

/* ---- as an op ------------------------------------------------------------------------ */

static FERRY_CO int run_build(ferry_op *op, ferry_error *e)
{
    return build(op->vm, op, e);
}

int ferry_template_build_start(ferry_vm *vm, ferry_op **ret_op, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_op_new(vm, "template_build", run_build, NULL, NULL, &op, reterr);
    if (r < 0)
        return r;
    ferry_op_timeout(op, 0); /* launch_timeout_ms is its limit */
    return ferry_op_submit(op, ret_op, reterr);
}

/* ---- list and clear ------------------------------------------------------------------ */

struct list {
    ferry_template_info *at;
    size_t len;
    bool no_memory;
};

/* The value of a qemu argument in a key: "arg -m\narg 512\n". */
static void find_arg(const char *key, const char *name, char *buf, size_t size)
{
    char mark[32];
    snprintf(mark, sizeof mark, "\narg %s\narg ", name);
    const char *at = strstr(key, mark);
    at = at ? at + strlen(mark) : "?";
    snprintf(buf, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void add(const ferry_template_entry *entry, void *arg)
{
    struct list *l = arg;
    ferry_template_info *more = realloc(l->at, (l->len + 1) * sizeof *more);
    if (!more) {
        l->no_memory = true;
        return;
    }
    l->at = more;
    ferry_template_info *info = &more[l->len++];
    *info = (ferry_template_info){.made = entry->made, .disk_bytes = entry->disk_bytes};
    snprintf(info->name, sizeof info->name, "%s", entry->name);

    char accel[16], memory[16], cpus[16];
    find_arg(entry->what, "-accel", accel, sizeof accel);
    find_arg(entry->what, "-m", memory, sizeof memory);
    find_arg(entry->what, "-smp", cpus, sizeof cpus);
    memory[strcspn(memory, ",")] = '\0'; /* room for a lane */
    if (*entry->what)
        snprintf(info->what, sizeof info->what, "%s, %s MiB, %s CPU%s", accel, memory,
                 cpus, strcmp(cpus, "1") == 0 ? "" : "s");
}

int ferry_template_list(ferry_template_info **ret_list, size_t *ret_len,
                        ferry_error *reterr)
{
    struct list l = {0};
    int r = ferry_template_each(add, &l, reterr);
    if (r == 0 && l.no_memory)
        r = ferry_fail(reterr, -FERRY_ENOMEM, "template_list", "out of memory");
    if (r < 0) {
        free(l.at);
        return r;
    }
    *ret_list = l.at;
    *ret_len = l.len;
    return 0;
}

int ferry_templates_clear(size_t *ret_removed, ferry_error *reterr)
{
    unsigned removed = 0;
    int r = ferry_template_clear(&removed, reterr);
    if (r == 0 && ret_removed)
        *ret_removed = removed;
    return r;
}
