/* An upload that is cancelled or fails at any point leaves what was there, whole,
 * and nothing beside it: no temporary, no lost space; and the VM goes on. */
#include "harness/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD "what was there before\n"
#define SMALL_DISK (24 * MIB)

static int setup(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    host("mkfs.ext4 -q -F -E lazy_itable_init=0 '%s'", vm_image("disk.img", GIB));
    assert_ok(ferry_add_drive_scratch(vm, SMALL_DISK, &err));
    assert_ok(ferry_add_drive_scratch(vm, SMALL_DISK, &err));
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdb", NULL, &err));
    assert_ok(ferry_mkfs(vm, "vfat", "/dev/sdc", NULL, &err)); /* has no unnamed files */
    assert_ok(ferry_mkdir(vm, "/full", NULL, &err));
    assert_ok(ferry_mkdir(vm, "/fat", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sdb", "/full", &err));
    assert_ok(ferry_mount(vm, "/dev/sdc", "/fat", &err));
    assert_ok(ferry_rm_rf(vm, "/full/lost+found", &err));
    assert_ok(ferry_mkdir(vm, "/d", NULL, &err));
    return 0;
}

static uint64_t free_bytes(const char *dir)
{
    ferry_statvfs_info info = {0};
    assert_ok(ferry_sync(vm, &err));
    assert_ok(ferry_statvfs(vm, dir, &info, &err));
    return info.bfree * info.frsize;
}

static void put_old(const char *path)
{
    assert_ok(ferry_upload_mem(vm, OLD, strlen(OLD), path, NULL, &err));
}

/* ---- cancelled ------------------------------------------------------------------ */

struct want {
    ferry_op *op;
    uint64_t bytes;
};

static bool has_moved(void *arg)
{
    const struct want *w = arg;
    ferry_progress now;
    ferry_op_poll(w->op, &now);
    return now.bytes >= w->bytes;
}

/* Feeds `len` bytes through a pipe that then stays open: the upload is at exactly
 * this point when the cancel comes. */
static void cancel_after(const char *path, const char *dir, const char *left, size_t len)
{
    char *data = filled(len, 1);
    int fds[2];
    struct want w = {.bytes = len > 4 * MIB ? len - 4 * MIB : 0};
    put_old(path);
    uint64_t before = free_bytes(dir);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_ok(ferry_upload_fd_start(vm, fds[0], path, NULL, &w.op, &err));
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fds[1], data + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    assert_true(eventually(has_moved, &w));
    ferry_op_cancel(w.op);
    ferry_op_cancel(w.op);
    assert_ends(w.op, FERRY_ECANCELED);
    ferry_op_free(w.op);
    close(fds[0]);
    close(fds[1]);
    free(data);

    assert_guest_is(path, OLD, strlen(OLD));
    assert_guest_ls(dir, left);
    assert_int_equal(free_bytes(dir), before);
}

static void cancelled_at_any_point(void **state)
{
    (void)state;
    static const size_t points[] = {0, 1, 100000, MIB, 3 * MIB + 1, 40 * MIB};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        cancel_after("/d/file", "/d", "file", points[i]);
    cancel_after("/fat/file", "/fat", "file", 0);
    cancel_after("/fat/file", "/fat", "file", 5 * MIB);
}

static void freed_while_pending(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    make_file(scratch("big"), 100 * MIB, 2);
    put_old("/d/file");
    ferry_vm_set_rate_max(vm, SLOWLY);
    assert_ok(ferry_upload_start(vm, scratch("big"), "/d/file", NULL, &op, &err));
    ferry_op_free(op);
    /* Nobody tells when it has ended; but what is mounted can be taken away then,
     * not before. */
    assert_guest_is("/d/file", OLD, strlen(OLD));
    vm_shutdown();
    ferry_vm_set_rate_max(vm, 0);
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_guest_is("/d/file", OLD, strlen(OLD));
    assert_guest_ls("/d", "file");
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdb", NULL,
                         &err)); /* scratch disks are new ones */
    assert_ok(ferry_mount(vm, "/dev/sdb", "/full", &err));
    assert_ok(ferry_rm_rf(vm, "/full/lost+found", &err));
}

static void timed_out(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    int fds[2];
    put_old("/d/file");
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], "new", 3), 3);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/d/file", NULL, &op, &err));
    ferry_op_timeout(op, 100);
    assert_ends(op, FERRY_ETIMEDOUT);
    assert_string_equal(err.where, "upload");
    ferry_op_free(op);
    close(fds[0]);
    close(fds[1]);
    assert_guest_is("/d/file", OLD, strlen(OLD));
    assert_guest_ls("/d", "file");
}

/* ---- failed --------------------------------------------------------------------- */

static void source_becomes_shorter(void **state)
{
    (void)state;
    struct want w = {.bytes = 1};
    const char *big = scratch("big");
    make_file(big, 300 * MIB, 2);
    put_old("/d/file");
    ferry_vm_set_rate_max(vm,
                          SLOWLY); /* once it was over, now and then, before it was cut */
    assert_ok(ferry_upload_start(vm, big, "/d/file", NULL, &w.op, &err));
    assert_true(eventually(has_moved, &w));
    assert_int_equal(truncate(big, MIB), 0);
    ferry_vm_set_rate_max(vm, 0);
    assert_ends(w.op, FERRY_ECHANGED);
    assert_has(err.msg, big);
    assert_has(err.msg, "shorter");
    ferry_op_free(w.op);
    assert_guest_is("/d/file", OLD, strlen(OLD));
    assert_guest_ls("/d", "file");
}

/* A log that is written to: what there was at the start is what goes. */
static void source_becomes_longer(void **state)
{
    (void)state;
    struct want w = {.bytes = 1};
    const char *big = scratch("growing");
    make_file(big, 64 * MIB, 4);
    ferry_vm_set_rate_max(vm, SLOWLY);
    assert_ok(ferry_upload_start(vm, big, "/d/longer", NULL, &w.op, &err));
    assert_true(eventually(has_moved, &w));
    put_bytes(big, 64 * MIB, MIB, 5);
    ferry_vm_set_rate_max(vm, 0);
    assert_ends(w.op, 0);
    ferry_op_free(w.op);
    assert_int_equal(guest_stat("/d/longer").size, 64 * MIB);
    assert_int_equal(truncate(big, 64 * MIB), 0);
    assert_ok(ferry_download(vm, "/d/longer", scratch("returned"), NULL, &err));
    assert_same_file(big, scratch("returned"));
    assert_ok(ferry_rm(vm, "/d/longer", &err));
}

static void disk_is_full(void **state)
{
    (void)state;
    char *data = filled(64 * MIB, 3);
    put_old("/full/file");
    uint64_t before = free_bytes("/full");
    assert_fails(ferry_upload_mem(vm, data, 64 * MIB, "/full/file", NULL, &err),
                 FERRY_ENOSPC, "/full/file");
    /* Endless: ENOSPC comes when the disk is full, not when the source has ended. */
    assert_fails(ferry_upload(vm, "/dev/zero", "/full/file", NULL, &err), FERRY_ENOSPC,
                 "/full/file");
    assert_guest_is("/full/file", OLD, strlen(OLD));
    assert_guest_ls("/full", "file");
    assert_int_equal(free_bytes("/full"), before);
    assert_ok(ferry_upload_mem(vm, data, MIB, "/full/other", NULL, &err)); /* goes on */
    free(data);
}

/* A pipe that nobody closes, and that falls silent with the byte that is one too
 * many: the full disk is told even then. */
static void full_disk_is_told_while_the_source_is_silent(void **state)
{
    (void)state;
    char *data = filled(MIB, 4);
    ferry_op *op = NULL;
    int fds[2];
    size_t sent = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/full/file", NULL, &op, &err));
    while (ferry_op_poll(op, NULL) == FERRY_OP_PENDING && sent < SMALL_DISK) {
        ssize_t n = write(fds[1], data, MIB);
        if (n > 0)
            sent += (size_t)n;
        else
            ferry_op_wait(op, 1);
    }
    assert_ends(op, FERRY_ENOSPC);
    ferry_op_free(op);
    close(fds[0]);
    close(fds[1]);
    free(data);
    assert_guest_is("/full/file", OLD, strlen(OLD));
}

static void target_cannot_be(void **state)
{
    (void)state;
    put_old("/d/file");
    char long_name[400] = "/d/";
    memset(long_name + 3, 'x', 300);
    assert_fails(ferry_upload_mem(vm, "x", 1, "/d", NULL, &err), FERRY_EISDIR, "/d");
    assert_fails(ferry_upload_mem(vm, "x", 1, "/", NULL, &err), FERRY_EISDIR, "/");
    assert_fails(ferry_upload_mem(vm, "x", 1, "/d/new/", NULL, &err), FERRY_EISDIR,
                 "/d/new/");
    assert_fails(ferry_upload_mem(vm, "x", 1, "/none/x", NULL, &err), FERRY_ENOENT,
                 "/none");
    assert_fails(ferry_upload_mem(vm, "x", 1, "/d/file/x", NULL, &err), FERRY_ENOTDIR,
                 "/d/file");
    assert_fails(ferry_upload_mem(vm, "x", 1, long_name, NULL, &err),
                 FERRY_ENAMETOOLONG, "");
    assert_fails(ferry_upload_mem(vm, "x", 1, "relative", NULL, &err), FERRY_EINVAL,
                 "relative");
    assert_fails(ferry_upload_mem(vm, "x", 1, NULL, NULL, &err), FERRY_EINVAL, "dst");
    assert_fails(ferry_upload_mem(vm, NULL, 1, "/d/file", NULL, &err), FERRY_EINVAL,
                 "data");
    assert_guest_is("/d/file", OLD, strlen(OLD));
    assert_guest_ls("/d", "file");
}

static void source_cannot_be(void **state)
{
    (void)state;
    assert_fails(ferry_upload(vm, scratch("none"), "/d/file", NULL, &err), FERRY_ENOENT,
                 scratch("none"));
    assert_fails(ferry_upload(vm, scratch("."), "/d/file", NULL, &err), FERRY_EISDIR,
                 scratch("."));
    assert_fails(ferry_upload(vm, "", "/d/file", NULL, &err), FERRY_ENOENT, "");
    if (geteuid() != 0) {
        make_file(scratch("secret"), 1, 1);
        chmod(scratch("secret"), 0);
        assert_fails(ferry_upload(vm, scratch("secret"), "/d/file", NULL, &err),
                     FERRY_EACCES, scratch("secret"));
    }
    assert_guest_is("/d/file", OLD, strlen(OLD));
}

static void mounted_for_reading_only(void **state)
{
    (void)state;
    assert_ok(ferry_umount(vm, "/full", &err));
    assert_ok(ferry_mount_ro(vm, "/dev/sdb", "/full", &err));
    assert_fails(ferry_upload_mem(vm, "x", 1, "/full/file", NULL, &err), FERRY_EROFS,
                 "/full/file");
    assert_fails(ferry_upload(vm, "/dev/zero", "/full/new", NULL, &err), FERRY_EROFS,
                 "/full/new");
    assert_guest_is("/full/file", OLD, strlen(OLD));
}

static void nothing_mounted_or_launched(void **state)
{
    (void)state;
    assert_ok(ferry_umount_all(vm, &err));
    assert_fails(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err), FERRY_ESTATE, "mount");
    vm_shutdown();
    assert_fails(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err), FERRY_ESTATE,
                 "shut down");
    host("e2fsck -fn '%s'", scratch("disk.img"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(cancelled_at_any_point),
        vm_test(freed_while_pending),
        vm_test(timed_out),
        vm_test(source_becomes_shorter),
        vm_test(source_becomes_longer),
        vm_test(disk_is_full),
        vm_test(full_disk_is_told_while_the_source_is_silent),
        vm_test(target_cannot_be),
        vm_test(source_cannot_be),
        vm_test(mounted_for_reading_only),
        vm_test(nothing_mounted_or_launched),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
