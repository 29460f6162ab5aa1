/* The keeper: one task for each launched VM, the only one that ends machine and connection,
 * and knows why they ended.
 *
 *      conn ends -------.
 *      machine ends -----+--> wait for the other, briefly --> DEAD, with the reason
 *      VM freed --------'
 *      shutdown asks (vm->quit) ----> quit qemu in good order --> DOWN, with what it said
 */
#include "api/heartbeat.h"
#include "api/internal.h"
#include "api/lane.h"
#include "base/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When the connection breaks, qemu is about to end, or was ended: so long it has to say how. */
#define LAST_WORDS_MS 1000

/* A dying VM's calls wait at most this long for its reason of death. */
#define REASON_MS 5000

#define CONSOLE_TAIL 4096

/* qemu's own end, after the guest has flushed: its last flush of the image files may meet a
 * slow disk. */
#define QUIT_MS 30000

struct keeper {
    ferry_vm *vm;
    bool conn_over, machine_over;
    int conn_code;
    ferry_error death; /* the machine's */
};

static FERRY_CO int run_conn(void *arg)
{
    struct keeper *k = arg;
    k->conn_code = ferry_conn_run(k->vm->conn);
    k->conn_over = true;
    FERRY_TRACE(api, "connection over: %s", ferry_strerror(k->conn_code));
    ferry_cond_wake(&k->vm->changed);
    return 0;
}

static FERRY_CO int run_machine(void *arg)
{
    struct keeper *k = arg;
    int r = ferry_machine_wait(k->vm->machine, &k->death);
    if (r == 0 || k->death.code)
        k->machine_over = true;
    FERRY_TRACE(api, "machine over: %s", r ? k->death.msg : "as asked");
    ferry_cond_wake(&k->vm->changed);
    return 0;
}

static FERRY_CO void wait_for_the_end(struct keeper *k)
{
    while (!k->conn_over && !k->machine_over && !k->vm->quit)
        if (ferry_cond_wait(&k->vm->changed) < 0)
            return; /* the VM was freed */

    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, LAST_WORDS_MS);
    while (!k->machine_over && !k->vm->quit)
        if (ferry_cond_wait(&k->vm->changed) < 0)
            break;
    ferry_scope_join(&s);
}

/* The daemon has unmounted and flushed. */
static FERRY_CO void quit(ferry_vm *vm)
{
    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, QUIT_MS);
    vm->quit_code = ferry_machine_quit(vm->machine, &vm->quit_error);
    ferry_scope_join(&s);
}

static void find_reason(struct keeper *k)
{
    ferry_vm *vm = k->vm;
    if (vm->death.code)
        return; /* condemned: that is the reason */
    if (k->conn_code == -FERRY_EPROTO)
        ferry_fail(&vm->death, -FERRY_EPROTO, "vm", "the daemon broke the protocol: %s",
                   ferry_conn_error_text(vm->conn));
    else if (k->machine_over && k->death.code)
        vm->death = k->death;
    else
        ferry_fail(&vm->death, -FERRY_EDEAD, "vm",
                   "the connection to the appliance was lost: %s; launch again",
                   ferry_strerror(k->conn_code));
}

static void keep_console(ferry_vm *vm)
{
    char tail[CONSOLE_TAIL];
    ferry_machine_console(vm->machine, tail, sizeof tail);
    char *copy = strdup(tail);
    pthread_mutex_lock(&vm->lock);
    free(vm->console);
    vm->console = copy;
    pthread_mutex_unlock(&vm->lock);
}

static FERRY_CO void watch(struct keeper *k)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SUPERVISE);
    int r = ferry_spawn(&s, "connection", run_conn, k);
    if (r == 0)
        r = ferry_spawn(&s, "machine", run_machine, k);
    if (r == 0)
        r = ferry_spawn(&s, "heartbeat", ferry_heartbeat, k->vm);
    if (r == 0)
        wait_for_the_end(k);
    else
        k->conn_code = r;
    if (!k->vm->quit)
        find_reason(k);
    ferry_scope_cancel(&s, -FERRY_EDEAD);
    ferry_scope_join(&s);
}

/* Those inside the machine come out of it when qemu has ended, which may need a push. */
static FERRY_CO void let_go(ferry_vm *vm)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    while (vm->machine_users > 0) {
        ferry_machine_kill(vm->machine);
        if (ferry_cond_wait(&vm->changed) < 0)
            break;
    }
    ferry_scope_join(&s);
}

int ferry_vm_keep(void *arg)
{
    ferry_vm *vm = arg;
    struct keeper k = {.vm = vm};

    watch(&k);
    bool orderly = vm->quit && !k.machine_over;
    if (orderly)
        quit(vm);
    else if (vm->quit)
        find_reason(&k); /* it died before it could be asked to */

    keep_console(vm);
    let_go(vm);
    ferry_machine *m = vm->machine;
    vm->machine = NULL;
    ferry_conn_free(vm->conn);
    vm->conn = NULL;
    ferry_lane_drop(vm);
    ferry_machine_free(m);
    ferry_vm_set_state(vm, orderly ? FERRY_VM_DOWN : FERRY_VM_DEAD);
    return 0;
}

void ferry_vm_condemn(ferry_vm *vm, const char *why)
{
    if (!vm->death.code)
        ferry_fail(&vm->death, -FERRY_EDEAD, "vm", "%s", why);
    if (vm->machine)
        ferry_machine_kill(vm->machine);
}

int ferry_vm_failed(ferry_vm *vm, int r, const char *where, ferry_error *e)
{
    int code = ferry_cancelled();
    if (code < 0 && r == code)
        return code;

    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, REASON_MS);
    while (ferry_vm_get_state(vm) != FERRY_VM_DEAD &&
           ferry_vm_get_state(vm) != FERRY_VM_DOWN)
        if (ferry_cond_wait(&vm->changed) < 0)
            break;
    ferry_scope_join(&s);

    if (!vm->death.code)
        return ferry_fail(e, -FERRY_EDEAD, where, "the appliance is gone: %s",
                          ferry_strerror(r));
    if (e) {
        *e = vm->death;
        snprintf(e->where, sizeof e->where, "%s", where);
    }
    return vm->death.code;
}
