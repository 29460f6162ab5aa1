/* A file system on a logical volume is listed, named as its users name it, and mounted.
 *
 * The volume group is made on the host by LVM's own tools, on a loop device: its
 * metadata is only bytes on a disk, so no device mapper is needed (--driverloaded
 * n). */
#include "harness/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LVM puts the first extent at 1 MiB, and the first volume at the first extent. */
#define DATA (1 * MIB)
#define LEN (2 * MIB + 3)

static char loop[64];

static void detach(void)
{
    const char *said;
    if (loop[0])
        host_status(&said, "losetup -d %s", loop);
    loop[0] = '\0';
}

static void attach(const char *image)
{
    const char *said;
    if (host_status(&said, "losetup -f --show '%s'", image) != 0)
        skip_all("a volume group cannot be made without a loop device: %s", said);
    snprintf(loop, sizeof loop, "%.*s", (int)strcspn(said, "\n"), said);
    atexit(detach);
}

/* One LVM command that sees the loop device and nothing else of this host. */
static void lvm(const char *command)
{
    host("LVM_SUPPRESS_FD_WARNINGS=1 lvm %s --driverloaded n --config '"
         "devices { scan=[\"/dev\"] filter=[\"a|^%s$|\", \"r|.*|\"] use_devicesfile=0"
         " obtain_device_list_from_udev=0 external_device_info_source=\"none\" }"
         " global { use_lvmlockd=0 use_lvmpolld=0 locking_dir=\"%s\" }"
         " backup { backup=0 archive=0 }'",
         command, loop, scratch("lock"));
}

static int launch_with_group(void **state)
{
    (void)state;
    char command[128];
    const char *said;
    scratch_make();
    if (host_status(&said, "command -v lvm losetup") != 0)
        skip_all("lvm2 or losetup is not installed");
    if (geteuid() != 0)
        skip_all("a volume group cannot be made without root");
    vm_new();
    const char *image = vm_image("pv.img", 128 * MIB);
    attach(image);
    snprintf(command, sizeof command, "pvcreate -q %s", loop);
    lvm(command);
    snprintf(command, sizeof command, "vgcreate -q vg-one %s", loop);
    lvm(command);
    lvm("lvcreate -q -an -Zn -Wn -L 40M -n data vg-one");
    lvm("lvcreate -q -an -Zn -Wn -L 20M -n empty vg-one");
    detach();
    vm_launch();
    return 0;
}

static void volumes_are_listed(void **state)
{
    (void)state;
    ferry_filesystem_list list = {0};
    uint64_t bytes = 0;
    ferry_mkfs_opts opts = {.size = sizeof opts, .label = "volume"};
    assert_ok(ferry_list_filesystems(vm, &list, &err));
    assert_int_equal(list.len, 2); /* the physical volume is none */
    assert_string_equal(list.val[0].device, "/dev/vg-one/data");
    assert_string_equal(list.val[0].type, "unknown");
    assert_string_equal(list.val[1].device, "/dev/vg-one/empty");
    ferry_filesystem_list_free(&list);

    assert_ok(ferry_blockdev_getsize64(vm, "/dev/vg-one/data", &bytes, &err));
    assert_int_equal(bytes, 40 * MIB);
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/vg-one/data", &opts, &err));
    assert_ok(ferry_list_filesystems(vm, &list, &err));
    assert_string_equal(list.val[0].type, "ext4");
    assert_string_equal(list.val[0].label, "volume");
    assert_int_equal(list.val[0].bytes, 40 * MIB);
    ferry_filesystem_list_free(&list);
}

static void volume_takes_files(void **state)
{
    (void)state;
    void *data = filled(LEN, 3);
    assert_fails(ferry_mount(vm, "/dev/sda", "/", &err), FERRY_ENODEV, "LVM2_member");
    assert_ok(ferry_mount(vm, "/dev/vg-one/data", "/", &err));
    assert_ok(ferry_upload_mem(vm, data, LEN, "/file", NULL, &err));
    assert_fails(ferry_part_disk(vm, "/dev/sda", "mbr", &err), FERRY_EBUSY, "/dev/sda");
    assert_fails(ferry_remove_drive(vm, "/dev/sda", &err), FERRY_EBUSY,
                 "/dev/vg-one/data is mounted at /");
    assert_ok(ferry_umount(vm, "/dev/vg-one/data", &err));
    vm_shutdown();

    /* The first volume lies in one piece at the start of the extents. */
    host("dd if='%s' of='%s' bs=1M skip=%llu count=40 status=none", scratch("pv.img"),
         scratch("lv"), (unsigned long long)(DATA / MIB));
    host("e2fsck -fn '%s'", scratch("lv"));
    host("debugfs -R 'dump /file %s' '%s'", scratch("dumped"), scratch("lv"));
    assert_file_is(scratch("dumped"), data, LEN);
    free(data);
}

/* A new VM, whose first call is the mount: nobody has listed anything before. */
static void volume_is_mounted_without_being_listed(void **state)
{
    (void)state;
    void *data = filled(LEN, 3);
    vm_launch();
    assert_ok(ferry_mount_ro(vm, "/dev/vg-one/data", "/", &err));
    assert_guest_is("/file", data, LEN);
    assert_fails(ferry_upload_mem(vm, "x", 1, "/dev/vg-one/data", NULL, &err),
                 FERRY_EBUSY, "/dev/vg-one/data");
    assert_fails(ferry_mount(vm, "/dev/vg-one/none", "/mnt", &err), FERRY_ENODEV,
                 "/dev/vg-one/none");
    vm_shutdown();
    free(data);
}

/* A third one, whose first call is a transfer of the device. */
static void volume_is_read_as_a_device(void **state)
{
    (void)state;
    vm_launch();
    assert_ok(ferry_download(vm, "/dev/vg-one/data", scratch("again"), NULL, &err));
    vm_shutdown();
    assert_same_file(scratch("again"), scratch("lv"));
}

static void assert_devices(int count)
{
    ferry_filesystem_list list = {0};
    assert_ok(ferry_list_filesystems(vm, &list, &err));
    assert_int_equal(list.len, count);
    ferry_filesystem_list_free(&list);
}

/* Looking for volumes has activated their group: so removing the drive deactivates it. What a
 * caller has opened on a volume is the caller's to close. */
static void drive_of_an_active_group_is_removed(void **state)
{
    (void)state;
    char *device = NULL;
    ferry_luks_format_opts quick = {.size = sizeof quick, .iterations = 1000};
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/vg-one/data", "/", &err));
    assert_fails(ferry_remove_drive(vm, "/dev/sda", &err), FERRY_EBUSY,
                 "/dev/vg-one/data is mounted at /");
    assert_ok(ferry_umount(vm, "/", &err));

    assert_ok(ferry_luks_format(vm, "/dev/vg-one/empty", "key", &quick, &err));
    assert_ok(ferry_luks_open(vm, "/dev/vg-one/empty", "key", "inner", NULL, &err));
    assert_fails(ferry_remove_drive(vm, "/dev/sda", &err), FERRY_EBUSY,
                 "/dev/mapper/inner is open");
    assert_ok(ferry_luks_close(vm, "/dev/mapper/inner", &err));

    assert_ok(ferry_remove_drive(vm, "/dev/sda", &err));
    assert_devices(0);
    assert_ok(ferry_plug_drive(vm, scratch("pv.img"), NULL, &device, &err));
    free(device);
    assert_devices(2);
    assert_ok(ferry_remove_drive(vm, "/dev/sda", &err));
}

/* The same the other way round: the group is in an encrypted device. */
static void group_in_an_encrypted_device_goes_with_it(void **state)
{
    (void)state;
    char *device = NULL;
    ferry_luks_format_opts quick = {.size = sizeof quick, .iterations = 1000};
    ferry_upload_opts raw = {.size = sizeof raw, .in_place = 1};
    assert_ok(ferry_plug_scratch(vm, 160 * MIB, NULL, &device, &err));
    assert_ok(ferry_luks_format(vm, device, "key", &quick, &err));
    assert_ok(ferry_luks_open(vm, device, "key", "outer", NULL, &err));
    assert_ok(ferry_upload(vm, scratch("pv.img"), "/dev/mapper/outer", &raw, &err));
    assert_devices(3); /* the encrypted one, and both volumes in it */

    assert_ok(ferry_mount_ro(vm, "/dev/vg-one/data", "/", &err));
    assert_fails(ferry_luks_close(vm, "/dev/mapper/outer", &err), FERRY_EBUSY,
                 "/dev/vg-one/data is mounted at /");
    assert_ok(ferry_umount(vm, "/", &err));
    assert_fails(ferry_remove_drive(vm, device, &err), FERRY_EBUSY,
                 "/dev/mapper/outer is open");
    assert_ok(ferry_luks_close(vm, "/dev/mapper/outer", &err));
    assert_devices(1);
    assert_ok(ferry_remove_drive(vm, device, &err));
    free(device);
    vm_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(volumes_are_listed),
        vm_test(volume_takes_files),
        vm_test(volume_is_mounted_without_being_listed),
        vm_test(volume_is_read_as_a_device),
        vm_test(drive_of_an_active_group_is_removed),
        vm_test(group_in_an_encrypted_device_goes_with_it),
    };
    return cmocka_run_group_tests(tests, launch_with_group, vm_teardown);
}
