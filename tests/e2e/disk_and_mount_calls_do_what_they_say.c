/* Every call on disks, file systems and mounts, as it should go and as it should
 * not. File systems of each type are in each_filesystem_is_read_by_others. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NDISKS 28 /* the last are sdaa and sdab */

static int launch_with_disks(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    vm_image("a.img", 64 * MIB);
    for (int i = 1; i < NDISKS; i++)
        assert_ok(ferry_add_drive_scratch(vm, (uint64_t)(i + 15) * MIB, &err));
    vm_launch();
    return 0;
}

static void unmount(void)
{
    assert_ok(ferry_umount_all(vm, &err));
}

static void assert_list(char **list, const char *joined)
{
    char got[1024] = "";
    size_t n = 0;
    for (char **s = list; *s; s++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%s", n ? " " : "", *s);
    ferry_strings_free(list);
    assert_string_equal(got, joined);
}

/* ---- disks ---------------------------------------------------------------------- */

/* In the order in which they were added, by their sizes; 26 letters are not the end. */
static void devices_are_in_order(void **state)
{
    (void)state;
    char **list = NULL;
    uint64_t bytes = 0;
    assert_ok(ferry_list_devices(vm, &list, &err));
    for (int i = 0; i < NDISKS; i++) {
        char name[16] = "/dev/sda";
        snprintf(name + 7, 4, "%s%c", i < 26 ? "" : "a", 'a' + i % 26);
        assert_string_equal(list[i], name);
        assert_ok(ferry_blockdev_getsize64(vm, name, &bytes, &err));
        assert_int_equal(bytes, i ? (uint64_t)(i + 15) * MIB : 64 * MIB);
    }
    assert_null(list[NDISKS]);
    ferry_strings_free(list);
    assert_fails(ferry_blockdev_getsize64(vm, "/dev/sdzz", &bytes, &err), FERRY_ENODEV,
                 "/dev/sdzz");
    assert_fails(ferry_blockdev_getsize64(vm, "/etc/passwd", &bytes, &err),
                 FERRY_ENODEV, "/etc/passwd");
}

static void partitions_are_made(void **state)
{
    (void)state;
    static const char *const types[] = {"mbr", "msdos", "dos", "gpt", "efi"};
    char **list = NULL;
    assert_ok(ferry_list_partitions(vm, &list, &err));
    assert_list(list, "");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_ok(ferry_part_disk(vm, "/dev/sda", types[i], &err));
        assert_ok(ferry_list_partitions(vm, &list, &err));
        assert_list(list, "/dev/sda1");
        const char *said = host("sfdisk -d '%s'", scratch("a.img"));
        assert_has(said, i < 3 ? "label: dos" : "label: gpt");
        assert_has(said, "start=        2048");
    }
    assert_ok(ferry_part_disk(vm, "/dev/sdab", "mbr", &err));
    assert_ok(ferry_list_partitions(vm, &list, &err));
    assert_list(list, "/dev/sda1 /dev/sdab1");
}

static void part_disk_fails(void **state)
{
    (void)state;
    assert_fails(ferry_part_disk(vm, "/dev/sda", "amiga", &err), FERRY_EINVAL, "amiga");
    assert_fails(ferry_part_disk(vm, "/dev/sda1", "gpt", &err), FERRY_EINVAL,
                 "/dev/sda1");
    assert_fails(ferry_part_disk(vm, "/dev/none", "gpt", &err), FERRY_ENODEV,
                 "/dev/none");
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sda1", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sda1", "/", &err));
    assert_fails(ferry_part_disk(vm, "/dev/sda", "gpt", &err), FERRY_EBUSY, "/dev/sda");
    unmount();
}

static void mkfs_fails(void **state)
{
    (void)state;
    ferry_mkfs_opts opts = {.size = sizeof opts, .blocksize = 1000};
    assert_fails(ferry_mkfs(vm, "zfs", "/dev/sdb", NULL, &err), FERRY_EINVAL, "zfs");
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/none", NULL, &err), FERRY_ENODEV,
                 "/dev/none");
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/sdb", &opts, &err), FERRY_EINVAL, "1000");
    opts = (ferry_mkfs_opts){.size = sizeof opts, .label = "seventeen letters"};
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/sdb", &opts, &err), FERRY_EINVAL, "label");
    assert_fails(ferry_mkfs(vm, "xfs", "/dev/sdb", NULL, &err), FERRY_ENOSPC, "300MB");
    assert_fails(ferry_mkfs(vm, "btrfs", "/dev/sdb", NULL, &err), FERRY_ENOSPC,
                 "minimum");
    assert_ok(ferry_mount(vm, "/dev/sda1", "/", &err));
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/sda1", NULL, &err), FERRY_EBUSY,
                 "/dev/sda1");
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/sda", NULL, &err), FERRY_EBUSY,
                 "/dev/sda");
    unmount();
}

/* Of an old file system nothing may shine through a new one of another type. */
static void mkfs_over_mkfs_is_the_new_one(void **state)
{
    (void)state;
    static const char *const types[] = {"ext4", "vfat", "ntfs", "ext2"};
    char *type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_ok(ferry_mkfs(vm, types[i], "/dev/sdc", NULL, &err));
        assert_ok(ferry_vfs_type(vm, "/dev/sdc", &type, &err));
        assert_string_equal(type, types[i]);
        free(type);
    }
}

static void vfs_calls_of_nothing(void **state)
{
    (void)state;
    char *value = NULL;
    assert_ok(ferry_vfs_type(vm, "/dev/sdd", &value, &err));
    assert_string_equal(value, "");
    free(value);
    assert_ok(ferry_vfs_label(vm, "/dev/sdd", &value, &err));
    assert_string_equal(value, "");
    free(value);
    assert_ok(ferry_vfs_uuid(vm, "/dev/sdd", &value, &err));
    assert_string_equal(value, "");
    free(value);
    value = NULL;
    assert_fails(ferry_vfs_type(vm, "/dev/none", &value, &err), FERRY_ENODEV,
                 "/dev/none");
    assert_fails(ferry_vfs_label(vm, "/dev/none", &value, &err), FERRY_ENODEV,
                 "/dev/none");
    assert_fails(ferry_vfs_uuid(vm, "/dev/none", &value, &err), FERRY_ENODEV,
                 "/dev/none");
    assert_null(value);
}

/* ---- mounts --------------------------------------------------------------------- */

static void mount_fails(void **state)
{
    (void)state;
    assert_fails(ferry_mount(vm, "/dev/none", "/", &err), FERRY_ENODEV, "/dev/none");
    assert_fails(ferry_mount(vm, "/dev/sdd", "/", &err), FERRY_ENODEV, "/dev/sdd");
    assert_fails(ferry_mount(vm, "/dev/sda", "/", &err), FERRY_ENODEV,
                 "partition table");
    assert_fails(ferry_mount(vm, "/dev/sda1", "/boot", &err), FERRY_ESTATE, "mount");
    assert_fails(ferry_mount(vm, "/dev/sda1", "boot", &err), FERRY_EINVAL, "boot");

    assert_ok(ferry_mount(vm, "/dev/sda1", "/", &err));
    assert_fails(ferry_mount(vm, "/dev/sdc", "/none", &err), FERRY_ENOENT, "/none");
    assert_ok(ferry_touch(vm, "/file", &err));
    assert_fails(ferry_mount(vm, "/dev/sdc", "/file", &err), FERRY_ENOTDIR, "/file");
    assert_fails(ferry_mount(vm, "/dev/sda1", "/", &err), FERRY_EBUSY, "/dev/sda1");
    assert_fails(ferry_mount(vm, "/dev/sdc", "/", &err), FERRY_EBUSY, "/dev/sda1");
    unmount();
}

static void damaged_file_system_is_told(void **state)
{
    (void)state;
    ferry_upload_opts opts = {.size = sizeof opts, .offset = 1024 + 0x20};
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sde", NULL, &err));
    /* s_blocks_per_group of the superblock, without its checksum. */
    assert_ok(ferry_upload_mem(vm, "\0\0\0\1", 4, "/dev/sde", &opts, &err));
    int r = ferry_mount(vm, "/dev/sde", "/", &err);
    assert_in_range(-r, 1, 2000);
    assert_has(err.msg, "/dev/sde");
    assert_ok(ferry_ping(vm, &err));
}

static void mounts_below_each_other(void **state)
{
    (void)state;
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdf", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sda1", "/", &err));
    assert_ok(ferry_mkdir_p(vm, "/mnt/sub", &err));
    assert_ok(ferry_mount(vm, "/dev/sdf", "/mnt/sub", &err));
    assert_ok(ferry_upload_mem(vm, "x", 1, "/mnt/sub/file", NULL, &err));
    assert_fails(ferry_mv(vm, "/mnt/sub/file", "/file2", &err), FERRY_EXDEV, "/file2");
    assert_fails(ferry_rm_rf(vm, "/mnt", &err), FERRY_EBUSY, "/mnt");
    assert_guest_is("/mnt/sub/file", "x", 1); /* not touched */

    assert_fails(ferry_umount(vm, "/", &err), FERRY_EBUSY, "/mnt/sub");
    assert_fails(ferry_umount(vm, "/mnt", &err), FERRY_EINVAL, "/mnt");
    assert_fails(ferry_umount(vm, "/dev/sdg", &err), FERRY_EINVAL, "/dev/sdg");
    assert_ok(ferry_umount(vm, "/dev/sdf", &err));
    assert_guest_ls("/mnt/sub", "");
    assert_ok(ferry_mount_ro(vm, "/dev/sdf", "/mnt/sub", &err));
    assert_fails(ferry_touch(vm, "/mnt/sub/x", &err), FERRY_EROFS, "/mnt/sub/x");
    assert_ok(ferry_touch(vm, "/mnt/x", &err));
    assert_ok(ferry_umount_all(vm, &err)); /* both, in the right order */
    assert_ok(ferry_umount_all(vm, &err)); /* nothing left is success */
    assert_fails(ferry_umount(vm, "/", &err), FERRY_ESTATE, "mount");
}

/* An upload keeps its file system busy; the umount says so and nothing is lost. */
static void umount_of_what_is_in_use(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    int fds[2];
    assert_ok(ferry_mount(vm, "/dev/sda1", "/", &err));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], "first ", 6), 6);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/busy", NULL, &op, &err));
    assert_ok(ferry_ping(vm, &err));
    assert_fails(ferry_umount(vm, "/", &err), FERRY_EBUSY, "/");
    assert_int_equal(write(fds[1], "second", 6), 6);
    close(fds[1]);
    assert_ends(op, 0);
    ferry_op_free(op);
    close(fds[0]);
    assert_guest_is("/busy", "first second", 12);
    unmount();
}

static void statvfs_sync_and_ping(void **state)
{
    (void)state;
    ferry_statvfs_info info = {0};
    assert_fails(ferry_statvfs(vm, "/", &info, &err), FERRY_ESTATE, "mount");
    assert_ok(ferry_mount_ro(vm, "/dev/sda1", "/", &err));
    assert_ok(ferry_statvfs(vm, "/", &info, &err));
    assert_true(info.flag & ST_RDONLY);
    assert_int_equal(info.namemax, 255);
    assert_true(info.ffree < info.files);
    assert_fails(ferry_statvfs(vm, "/none", &info, &err), FERRY_ENOENT, "/none");
    assert_ok(ferry_sync(vm, &err));
    assert_ok(ferry_ping(vm, &err));
    unmount();
}

/* Synced is on the image: seen from the host, while the appliance still has it
 * mounted. */
static void synced_is_on_the_image(void **state)
{
    (void)state;
    char *data = filled(MIB, 5);
    assert_ok(ferry_mount(vm, "/dev/sda1", "/", &err));
    assert_ok(ferry_upload_mem(vm, data, MIB, "/synced", NULL, &err));
    assert_ok(ferry_sync(vm, &err));
    host("debugfs -R 'dump /synced %s' '%s?offset=1048576'", scratch("dumped"),
         scratch("a.img"));
    assert_file_is(scratch("dumped"), data, MIB);
    free(data);
    unmount();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(devices_are_in_order),
        vm_test(partitions_are_made),
        vm_test(part_disk_fails),
        vm_test(mkfs_fails),
        vm_test(mkfs_over_mkfs_is_the_new_one),
        vm_test(vfs_calls_of_nothing),
        vm_test(mount_fails),
        vm_test(damaged_file_system_is_told),
        vm_test(mounts_below_each_other),
        vm_test(umount_of_what_is_in_use),
        vm_test(statvfs_sync_and_ping),
        vm_test(synced_is_on_the_image),
    };
    return cmocka_run_group_tests(tests, launch_with_disks, vm_teardown);
}
