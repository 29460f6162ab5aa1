/* A download that is cancelled or fails leaves the file of the host that was there,
 * whole, and no temporary beside it (vm_leaves_nothing looks for one after each
 * test). */
#include "harness/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN (200 * MIB)
#define OLD_LEN 12345

static int setup(void **state)
{
    vm_setup_ext4(state);
    void *data = filled(LEN, 1);
    assert_ok(ferry_mkdir(vm, "/dir", NULL, &err));
    assert_ok(ferry_upload_mem(vm, data, LEN, "/file", NULL, &err));
    free(data);
    return 0;
}

static void put_old(const char *path)
{
    make_file(path, OLD_LEN, 9);
}

static void assert_old(const char *path)
{
    void *data = filled(OLD_LEN, 9);
    assert_file_is(path, data, OLD_LEN);
    free(data);
}

/* ---- cancelled ------------------------------------------------------------------ */

struct want {
    ferry_op *op;
    uint64_t bytes;
};

static bool has_moved_or_ended(void *arg)
{
    const struct want *w = arg;
    ferry_progress now;
    return ferry_op_poll(w->op, &now) != FERRY_OP_PENDING || now.bytes >= w->bytes;
}

/* A fast machine may be through before the cancel: then the file is the new one,
 * whole. The first one is held up. */
static void cancelled_at_any_point(void **state)
{
    (void)state;
    const char *path = scratch("target");
    unsigned cancelled = 0;
    for (uint64_t bytes = 0; bytes <= 100 * MIB; bytes += 25 * MIB) {
        struct want w = {.bytes = bytes};
        put_old(path);
        ferry_vm_set_rate_max(vm, bytes ? 0 : SLOWLY);
        assert_ok(ferry_download_start(vm, "/file", path, NULL, &w.op, &err));
        assert_true(eventually(has_moved_or_ended, &w));
        ferry_op_cancel(w.op);
        assert_int_equal(ferry_op_wait(w.op, PATIENCE_MS), 0);
        if (ferry_op_poll(w.op, NULL) == FERRY_OP_CANCELLED) {
            assert_old(path);
            cancelled++;
        } else {
            assert_ok(ferry_op_error(w.op, &err));
            assert_int_equal(file_size(path), LEN);
        }
        ferry_op_free(w.op);
    }
    assert_in_range(cancelled, 1, 5);
}

static void all_at_once(void **state)
{
    (void)state;
    ferry_op *ops[8];
    ferry_vm_set_rate_max(vm, SLOWLY); /* none is through before the last has started */
    for (int i = 0; i < 8; i++) {
        put_old(scratch("t%d", i));
        assert_ok(
            ferry_download_start(vm, "/file", scratch("t%d", i), NULL, &ops[i], &err));
    }
    ferry_vm_cancel_all(vm);
    for (int i = 0; i < 8; i++) {
        assert_ends(ops[i], FERRY_ECANCELED);
        ferry_op_free(ops[i]);
        assert_old(scratch("t%d", i));
    }
    ferry_vm_set_rate_max(vm, 0);
    assert_ok(ferry_ping(vm, &err)); /* later ones start afresh */
}

/* ---- failed --------------------------------------------------------------------- */

static void source_cannot_be(void **state)
{
    (void)state;
    const char *path = scratch("target");
    put_old(path);
    assert_ok(ferry_ln_s(vm, "loop", "/loop", &err));
    assert_fails(ferry_download(vm, "/dir", path, NULL, &err), FERRY_EISDIR, "/dir");
    assert_fails(ferry_download(vm, "/none", path, NULL, &err), FERRY_ENOENT, "/none");
    assert_fails(ferry_download(vm, "/file/x", path, NULL, &err), FERRY_ENOTDIR,
                 "/file/x");
    assert_fails(ferry_download(vm, "/loop", path, NULL, &err), FERRY_ELOOP, "/loop");
    assert_fails(ferry_download(vm, "file", path, NULL, &err), FERRY_EINVAL, "file");
    assert_fails(ferry_download(vm, NULL, path, NULL, &err), FERRY_EINVAL, "src");
    assert_fails(ferry_download(vm, "/file", NULL, NULL, &err), FERRY_EINVAL, "dst");
    assert_old(path);
    unlink(path);
    assert_fails(ferry_download(vm, "/none", path, NULL, &err), FERRY_ENOENT, "/none");
    assert_int_equal(access(path, F_OK), -1);
}

static void target_cannot_be(void **state)
{
    (void)state;
    put_old(scratch("target"));
    assert_int_equal(mkdir(scratch("d"), 0755), 0);
    assert_fails(ferry_download(vm, "/file", scratch("d"), NULL, &err), FERRY_EISDIR,
                 scratch("d"));
    assert_fails(ferry_download(vm, "/file", scratch("none/x"), NULL, &err),
                 FERRY_ENOENT, scratch("none/x"));
    assert_fails(ferry_download(vm, "/file", scratch("target/x"), NULL, &err),
                 FERRY_ENOTDIR, scratch("target/x"));
    assert_fails(ferry_download(vm, "/file", scratch("new/"), NULL, &err), FERRY_EISDIR,
                 scratch("new/"));
    assert_old(scratch("target"));
}

static void host_disk_is_full(void **state)
{
    (void)state;
    const char *dir = scratch("small"), *path = scratch("small/target");
    assert_int_equal(mkdir(dir, 0755), 0);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0) {
        print_message("not checked: a full tmpfs (mount: %s)\n", strerror(errno));
        skip();
    }
    put_old(path);
    int r = ferry_download(vm, "/file", path, NULL, &err);
    bool intact = file_size(path) == OLD_LEN;
    const char *said;
    int left = host_status(&said, "ls -A '%s' | grep -v '^target$'", dir);
    char copy[256];
    snprintf(copy, sizeof copy, "%s", said);
    host("cmp '%s' '%s' 2>&1 || :; umount '%s'", path, path, dir);
    assert_int_equal(r, -FERRY_ENOSPC);
    assert_has(err.msg, path);
    assert_true(intact);
    if (left == 0)
        fail_msg("left behind: %s", copy);
}

/* A directory where nothing may be made, and a file that may not be written: for
 * users who are not root, whom the kernel refuses nothing. */
static void host_refuses(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message(
            "not checked as root: directories and files without permission\n");
        skip();
    }
    assert_int_equal(mkdir(scratch("closed"), 0555), 0);
    assert_fails(ferry_download(vm, "/file", scratch("closed/x"), NULL, &err),
                 FERRY_EACCES, scratch("closed/x"));
    put_old(scratch("target"));
    assert_int_equal(chmod(scratch("target"), 0444), 0);
    assert_fails(ferry_download(vm, "/file", scratch("target"), NULL, &err),
                 FERRY_EACCES, scratch("target"));
    assert_old(scratch("target"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(cancelled_at_any_point), vm_test(all_at_once),
        vm_test(source_cannot_be),       vm_test(target_cannot_be),
        vm_test(host_disk_is_full),      vm_test(host_refuses),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
