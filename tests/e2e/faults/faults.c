/* See faults.h. */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ferry_vm *bystander;
static pid_t bystander_guard;
static int fds_alone; /* with the bystander up and vm down */

/* ---- fixtures ------------------------------------------------------------------------- */

int faults_setup(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    host("mkfs.ext4 -q -F -E lazy_itable_init=0 '%s'", vm_image("disk.img", GIB));

    ferry_vm_opts o = {.size = sizeof o,
                       .call_timeout_ms = 120000,
                       .grace_ms = PATIENCE_MS};
    assert_ok(ferry_vm_new(ctx, &o, &bystander, &err));
    assert_ok(ferry_add_drive_scratch(bystander, 64 * MIB, &err));
    assert_ok(ferry_launch(bystander, &err));
    assert_ok(ferry_ping(bystander, &err));
    assert_int_equal(count_children(&bystander_guard), 1);
    fds_alone = count_fds();
    return 0;
}

int faults_teardown(void **state)
{
    if (bystander) {
        ferry_shutdown(bystander, NULL);
        ferry_vm_free(bystander);
        bystander = NULL;
    }
    return vm_teardown(state);
}

void faults_up(void)
{
    assert_ok(ferry_launch(vm, &err));
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
}

void faults_down(void)
{
    assert_ok(ferry_shutdown(vm, &err));
    assert_nothing_left();
    host("e2fsck -fn '%s'", scratch("disk.img"));
}

pid_t faults_qemu(void)
{
    const char *said = host("pgrep -P %d -x gferry-guard", (int)getpid());
    for (char *at = (char *)said; *at;) {
        pid_t guard = (pid_t)strtol(at, &at, 10);
        at += *at == '\n';
        pid_t qemu = guard == bystander_guard ? 0 : child_of(guard);
        if (qemu > 0)
            return qemu;
    }
    fail_msg("vm has no qemu; guards are %s", said);
    return -1;
}

/* ---- what is left ----------------------------------------------------------------------- */

static bool only_the_bystander(void *arg)
{
    (void)arg;
    return count_children(NULL) == 1 && count_fds() == fds_alone;
}

void assert_bystander_works(void)
{
    char **list = NULL;
    assert_ok(ferry_list_devices(bystander, &list, &err));
    assert_string_equal(list[0], "/dev/sda");
    ferry_strings_free(list);
}

void assert_nothing_left(void)
{
    pid_t pid = 0;
    bool gone = eventually(only_the_bystander, NULL);
    int n = count_children(&pid);
    if (!gone)
        fail_msg("%d children (one is %s), %d descriptors, not %d", n,
                 process_name(pid), count_fds(), fds_alone);
    assert_int_equal(pid, bystander_guard);

    const char *said;
    if (host_status(&said, "find '%s' -name '*.ferry-*' | grep .", scratch(".")) == 0)
        fail_msg("temporaries are left on the host: %s", said);
    assert_bystander_works();
}

/* ---- ops that end once ------------------------------------------------------------------ */

static void count(ferry_op *op, void *user)
{
    (void)op;
    ((struct once *)user)->calls++;
}

void once_watch(struct once *o, ferry_op *op)
{
    *o = (struct once){.op = op};
    assert_int_equal(ferry_op_on_done(op, count, o), 0);
}

static bool is_told(void *arg)
{
    ferry_ctx_dispatch(ctx);
    return ((const struct once *)arg)->calls > 0;
}

void once_ends(struct once *o, unsigned ms, int code, const char *part)
{
    assert_ends_at(o->op, ms, code, "the op", __FILE__, __LINE__);
    assert_has(err.msg, part);
    assert_true(eventually(is_told, o));
    ferry_op_free(o->op);
    ferry_ctx_dispatch(ctx);
    assert_int_equal(o->calls, 1);
}
