/* The appliance of a test program: see vm.h. */
#include "harness/vm.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than anything a test waits for on a machine that others use too; a call
 * that hangs fails with a sentence instead of the whole program's timeout. */
#define CALL_TIMEOUT_MS 120000
/* Who does not test it must not meet it: a guest that gets no CPU for the default of 2 s is not
 * dead, only slow. */
#define GRACE_MS 60000

ferry_ctx *ctx;
ferry_vm *vm;
ferry_error err;
ferry_vm_opts vm_opts;

static int fds_before; /* there is a context */
static int fds_idle;   /* with the VM as it is now, and no op */

/* ---- asserts -------------------------------------------------------------------- */

/* What an earlier call has left in err is not this one's. */
static void show(int r, const char *call, const char *file, int line)
{
    bool told = err.code == r && err.msg[0];
    print_error("%s:%d: %s\n    is %d (%s), \"%s\": %s\n", file, line, call, r,
                ferry_strerror(r), told ? err.where : "", told ? err.msg : "(no words)");
}

void assert_ok_or_at(int r, int code, const char *call, const char *file, int line)
{
    if (r != 0 && r != -code) {
        show(r, call, file, line);
        _fail(file, line);
    }
    if (r == 0)
        memset(&err, 0, sizeof err);
}

static void wait_for(ferry_op *op, unsigned ms, const char *name, const char *file,
                     int line)
{
    ferry_progress now = {0};
    int r;
    while ((r = ferry_op_wait(op, (int)ms)) == -FERRY_EINTR)
        ;
    if (r == 0)
        return;
    ferry_op_poll(op, &now);
    print_error(
        "%s:%d: %s: waiting for its end, up to %u ms, is %d (%s); it is \"%s\"\n", file,
        line, name, ms, r, ferry_strerror(r), now.phase);
    _fail(file, line);
}

void assert_ends_at(ferry_op *op, unsigned ms, int code, const char *name,
                    const char *file, int line)
{
    ferry_op_state wanted = code == 0                 ? FERRY_OP_OK
                            : code == FERRY_ECANCELED ? FERRY_OP_CANCELLED
                                                      : FERRY_OP_FAILED;
    wait_for(op, ms, name, file, line);
    memset(&err, 0, sizeof err);
    int r = ferry_op_error(op, &err);
    ferry_op_state state = ferry_op_poll(op, NULL);
    if (r == -code && state == wanted)
        return;
    show(r, name, file, line);
    print_error("    in state %d; wanted %d (%s), state %d\n", (int)state, -code,
                ferry_strerror(-code), (int)wanted);
    _fail(file, line);
}

void assert_fails_at(int r, int code, const char *part, const char *call,
                     const char *file, int line)
{
    if (r == -code && err.code == r && err.where[0] && strstr(err.msg, part))
        return;
    print_error(
        "%s:%d: %s\n    is %d, not %d; err says %d, \"%s\": \"%s\", wanted \"%s\"\n",
        file, line, call, r, -code, err.code, err.where, err.msg, part);
    _fail(file, line);
}

/* ---- life ----------------------------------------------------------------------- */

/* The first loop of a process gives libuv two descriptors for good (its signal
 * pipe). */
static void count_before(void)
{
    assert_ok(ferry_ctx_new(&ctx, &err));
    ferry_ctx_free(ctx);
    fds_before = count_fds();
}

/* The accelerator is named: a verdict on kvm must not come from what is no qemu. */
static void take_bare(ferry_vm_opts *opts, char *qemu, size_t size)
{
    const char *dir = getenv("FERRY_BARE");
    snprintf(qemu, size, "%s/ferryd-bare", dir);
    opts->qemu = qemu;
    opts->appliance = dir;
    opts->accel = FERRY_ACCEL_TCG;
}

void vm_new(void)
{
    char qemu[PATH_MAX];
    ferry_vm_opts opts = vm_opts;
    opts.size = sizeof opts;
    if (!opts.call_timeout_ms)
        opts.call_timeout_ms = CALL_TIMEOUT_MS;
    if (!opts.grace_ms)
        opts.grace_ms = GRACE_MS;
    if (vm_is_bare())
        take_bare(&opts, qemu, sizeof qemu);
    count_before();
    assert_ok(ferry_ctx_new(&ctx, &err));
    assert_ok(ferry_vm_new(ctx, &opts, &vm, &err));
    fds_idle = count_fds();
}

const char *vm_image(const char *name, uint64_t bytes)
{
    const char *path = scratch("%s", name);
    const char *extension = strrchr(name, '.') + 1;
    if (strcmp(extension, "img") == 0)
        extension = "raw";
    host("qemu-img create -q -f %s '%s' %llu", extension, path,
         (unsigned long long)bytes);
    assert_ok(ferry_add_drive(vm, path, NULL, &err));
    return path;
}

void vm_launch(void)
{
    int r = ferry_launch(vm, &err);
    if (r < 0 && vm_is_bare() && strstr(err.msg, "cannot be confined"))
        skip_all("%s", err.msg);
    assert_ok(r);
    assert_ok(ferry_ping(vm, &err)); /* the connection's tasks have begun */
    fds_idle = count_fds();
}

static bool as_many_fds(void *arg)
{
    return count_fds() == *(const int *)arg;
}

void assert_fds(int expected)
{
    if (!eventually(as_many_fds, &expected)) {
        const char *said;
        host_status(&said, "cd /proc/%d/fd && for f in *; do readlink $f; done | xargs",
                    (int)getpid());
        fail_msg("%d descriptors, not %d: %s", count_fds(), expected, said);
    }
}

static bool no_child(void *arg)
{
    (void)arg;
    return count_children(NULL) == 0;
}

static void assert_no_child(void)
{
    pid_t pid = 0;
    if (!eventually(no_child, NULL)) {
        int n = count_children(&pid);
        fail_msg("%d children are left; %d is \"%s\"", n, (int)pid, process_name(pid));
    }
}

void vm_shutdown(void)
{
    assert_ok(ferry_shutdown(vm, &err));
    assert_no_child();
}

void vm_free(void)
{
    ferry_vm_free(vm);
    ferry_ctx_free(ctx);
    vm = NULL;
    ctx = NULL;
    assert_no_child();
    assert_fds(fds_before);
}

/* ---- a launch half-way ------------------------------------------------------------ */

const char *still_qemu(void)
{
    const char *path = scratch("still-qemu");
    host("echo '#!/bin/sh\nexec qemu-system-$(uname -m) -S \"$@\"' >'%s' && chmod 755 "
         "'%s'",
         path, path);
    return path;
}

static size_t phase_of(ferry_op *op)
{
    static const char *const phases[] = {"waiting", "starting qemu", "booting"};
    ferry_progress now = {.phase = ""};
    size_t i = 0;
    ferry_op_poll(op, &now);
    while (i < 3 && strcmp(now.phase, phases[i]) != 0)
        i++;
    return i;
}

void launch_comes_to(ferry_op *op, const char *phase)
{
    size_t wanted = strcmp(phase, "booting") == 0 ? 2 : strcmp(phase, "waiting") != 0;
    uint64_t end = now_ms() + PATIENCE_MS;
    while (phase_of(op) < wanted)
        assert_in_range(now_ms(), 0, end);
}

/* ---- fixtures for cmocka -------------------------------------------------------- */

int vm_setup_ext4(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    const char *disk = vm_image("disk.img", 2 * GIB);
    host("mkfs.ext4 -q -F -E lazy_itable_init=0 '%s'", disk);
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_rm_rf(vm, "/lost+found", &err));
    return 0;
}

bool vm_is_bare(void)
{
    return getenv("FERRY_BARE");
}

int vm_setup(void **state)
{
    if (!vm_is_bare())
        return vm_setup_ext4(state);
    scratch_make();
    vm_new();
    vm_launch();
    return 0;
}

int vm_teardown(void **state)
{
    (void)state;
    if (vm && ferry_vm_get_state(vm) == FERRY_VM_UP)
        vm_shutdown();
    if (ctx)
        vm_free();
    scratch_remove();
    return 0;
}

int vm_leaves_nothing(void **state)
{
    (void)state;
    const char *said;
    if (host_status(&said, "find '%s' -name '*.ferry-*' | grep .", scratch(".")) == 0)
        fail_msg("temporaries are left on the host: %s", said);
    if (!vm || ferry_vm_get_state(vm) != FERRY_VM_UP) {
        assert_no_child();
        return 0;
    }
    pid_t guard = 0;
    assert_int_equal(count_children(&guard), 1);
    assert_string_equal(process_name(guard), "gferry-guard");
    assert_fds(fds_idle);
    return 0;
}

/* ---- the guest ------------------------------------------------------------------ */

pid_t vm_qemu(void)
{
    pid_t guard = 0;
    count_children(&guard);
    return guard ? child_of(guard) : 0;
}

void assert_guest_is(const char *path, const void *data, size_t len)
{
    void *got = NULL;
    size_t got_len = 0;
    assert_ok(ferry_download_mem(vm, path, NULL, &got, &got_len, &err));
    if (got_len != len)
        fail_msg("%s: %zu bytes, not %zu", path, got_len, len);
    for (size_t i = 0; memcmp(got, data, len) != 0 && i < len; i++)
        if (((uint8_t *)got)[i] != ((const uint8_t *)data)[i])
            fail_msg("%s: byte %zu of %zu is %02x, not %02x", path, i, len,
                     ((uint8_t *)got)[i], ((const uint8_t *)data)[i]);
    free(got);
}

void assert_guest_ls(const char *dir, const char *names)
{
    char **list = NULL;
    char joined[4096] = "";
    size_t n = 0;
    assert_ok(ferry_ls(vm, dir, &list, &err));
    for (char **name = list; *name && n < sizeof joined; name++)
        n += (size_t)snprintf(joined + n, sizeof joined - n, "%s%s", n ? " " : "",
                              *name);
    ferry_strings_free(list);
    if (strcmp(joined, names) != 0)
        fail_msg("%s holds \"%s\", not \"%s\"", dir, joined, names);
}

ferry_stat_info guest_stat(const char *path)
{
    ferry_stat_info st = {0};
    assert_ok(ferry_lstat(vm, path, &st, &err));
    return st;
}
