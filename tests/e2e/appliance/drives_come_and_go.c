/* Drives of a VM that is up: plugged in they get the first free name, and their label; taken
 * away, everything that was written is in the image, another process may have it, and
 * what is in use stays. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *spare;

/* An image that the VM does not have yet. */
static const char *image(const char *name, uint64_t bytes)
{
    const char *path = scratch("%s", name);
    host("qemu-img create -q -f %s '%s' %llu", strstr(name, ".qcow2") ? "qcow2" : "raw",
         path, (unsigned long long)bytes);
    return path;
}

static int launch(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    vm_image("first.img", 8 * MIB);
    spare = image("spare.img", 64 * MIB);
    vm_launch();
    return 0;
}

static void assert_plugs(const char *path, const char *label, const char *device)
{
    ferry_drive_opts o = {.size = sizeof o, .label = label};
    char *got = NULL;
    assert_ok(ferry_plug_drive(vm, path, &o, &got, &err));
    assert_string_equal(got, device);
    free(got);
}

static void assert_devices(const char *names)
{
    char **list = NULL, joined[256] = "";
    assert_ok(ferry_list_devices(vm, &list, &err));
    for (char **name = list; *name; name++)
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s",
                 *joined ? " " : "", *name);
    ferry_strings_free(list);
    assert_string_equal(joined, names);
}

static void what_was_written_is_in_the_image(void **state)
{
    (void)state;
    const char *disk = image("there.qcow2", 64 * MIB);
    void *data = filled(3 * MIB, 7);
    assert_plugs(disk, NULL, "/dev/sdb");
    assert_ok(ferry_part_disk(vm, "/dev/sdb", "gpt", &err));
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdb1", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sdb1", "/", &err));
    assert_ok(ferry_upload_mem(vm, data, 3 * MIB, "/cargo", NULL, &err));

    assert_fails(ferry_remove_drive(vm, "/dev/sdb", &err), FERRY_EBUSY, "in use");
    assert_fails(ferry_remove_drive(vm, "/dev/sdb1", &err), FERRY_EINVAL, "whole");
    assert_fails(ferry_remove_drive(vm, "/dev/sdq", &err), FERRY_ENODEV, "/dev/sdq");
    assert_guest_is("/cargo", data, 3 * MIB);
    assert_ok(ferry_umount(vm, "/", &err));
    assert_ok(ferry_remove_drive(vm, "/dev/sdb", &err));
    assert_devices("/dev/sda");

    /* qemu has let go: others may write it. What they find is whole. */
    host("qemu-img check -q '%s'", disk);
    host("qemu-img convert -O raw '%s' '%s'", disk, scratch("there.img"));
    host("e2fsck -fn '%s?offset=1048576'", scratch("there.img"));
    assert_plugs(disk, NULL, "/dev/sdb");
    assert_ok(ferry_mount_ro(vm, "/dev/sdb1", "/", &err));
    assert_guest_is("/cargo", data, 3 * MIB);
    assert_ok(ferry_umount(vm, "/", &err));
    assert_ok(ferry_remove_drive(vm, "/dev/sdb", &err));
    free(data);
}

/* Bytes that were written to the disk itself, without a file system. */
static void raw_writes_are_flushed(void **state)
{
    (void)state;
    void *data = filled(MIB, 9);
    ferry_upload_opts o = {.size = sizeof o, .in_place = 1};
    assert_plugs(spare, "raw", "/dev/sdb");
    assert_ok(ferry_upload_mem(vm, data, MIB, "/dev/disk/guestferry/raw", &o, &err));
    assert_ok(ferry_remove_drive(vm, "/dev/disk/guestferry/raw", &err));
    host("truncate -s 1M '%s'", spare);
    assert_file_is(spare, data, MIB);
    host("truncate -s 64M '%s'", spare);
    free(data);
}

static void labels_outlive_the_order(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    ferry_drive_opts same = {.size = sizeof same, .label = "data"};
    char *device = NULL;
    assert_plugs(image("one.img", 16 * MIB), "one", "/dev/sdb");
    assert_plugs(image("data.img", 32 * MIB), "data", "/dev/sdc");
    assert_fails(ferry_plug_drive(vm, spare, &same, &device, &err), FERRY_EEXIST,
                 "data");
    assert_ok(ferry_part_disk(vm, "/dev/disk/guestferry/data", "mbr", &err));
    assert_ok(ferry_remove_drive(vm, "/dev/disk/guestferry/one", &err));

    /* A freed name goes to the next that comes; the labels stay with their drives. */
    assert_plugs(image("two.img", 4 * MIB), "two", "/dev/sdb");
    assert_ok(ferry_blockdev_getsize64(vm, "/dev/disk/guestferry/two", &bytes, &err));
    assert_int_equal(bytes, 4 * MIB);
    assert_ok(ferry_blockdev_getsize64(vm, "/dev/disk/guestferry/data1", &bytes, &err));
    assert_int_equal(bytes, 31 * MIB);
    assert_fails(ferry_blockdev_getsize64(vm, "/dev/disk/guestferry/one", &bytes, &err),
                 FERRY_ENODEV, "guestferry/one");

    /* They are the VM's: a launch later, in the order in which they came. */
    vm_shutdown();
    vm_launch();
    assert_devices("/dev/sda /dev/sdb /dev/sdc");
    assert_ok(ferry_blockdev_getsize64(vm, "/dev/disk/guestferry/data1", &bytes, &err));
    assert_int_equal(bytes, 31 * MIB);
    assert_ok(ferry_remove_drive(vm, "/dev/disk/guestferry/data", &err));
    assert_ok(ferry_remove_drive(vm, "/dev/disk/guestferry/two", &err));
    assert_devices("/dev/sda");
}

/* Its file has no name: it travels to a running qemu as a descriptor. */
static void scratch_disks_too(void **state)
{
    (void)state;
    char *device = NULL;
    for (int i = 0; i < 3; i++) {
        assert_ok(ferry_plug_scratch(vm, 48 * MIB, "tmp", &device, &err));
        assert_string_equal(device, "/dev/sdb");
        free(device);
        assert_ok(ferry_mkfs(vm, "ext4", "/dev/disk/guestferry/tmp", NULL, &err));
        assert_ok(ferry_remove_drive(vm, "/dev/sdb", &err));
    }
}

static void what_is_no_image_leaves_no_drive(void **state)
{
    (void)state;
    char *device = NULL;
    const char *odd = scratch("odd.qcow2");
    host("printf nonsense > '%s'", odd);
    assert_fails(ferry_plug_drive(vm, odd, NULL, &device, &err), FERRY_EFORMAT,
                 "not a qcow2 image (qemu says: Image is not in qcow2 format)");
    assert_fails(ferry_plug_drive(vm, scratch("first.img"), NULL, &device, &err),
                 FERRY_EBUSY, "in use");
    assert_fails(ferry_plug_drive(vm, scratch("none.img"), NULL, &device, &err),
                 FERRY_ENOENT, "none.img");
    ferry_drive_opts bad = {.size = sizeof bad, .label = "a b"};
    assert_fails(ferry_plug_drive(vm, spare, &bad, &device, &err), FERRY_EINVAL,
                 "label");
    assert_devices("/dev/sda");
    assert_plugs(spare, NULL, "/dev/sdb");
    assert_ok(ferry_remove_drive(vm, "/dev/sdb", &err));
}

/* Wherever it comes, it ends as one of two things. */
static void a_cancelled_plug_is_whole_or_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        ferry_op *op = NULL;
        assert_ok(ferry_plug_drive_start(vm, spare, NULL, &op, &err));
        if (i > 0)
            ferry_op_wait(op, i);
        ferry_op_cancel(op);
        assert_int_equal(ferry_op_wait(op, 60000), 0);
        bool done = ferry_op_poll(op, NULL) == FERRY_OP_OK;
        ferry_op_free(op);
        assert_devices(done ? "/dev/sda /dev/sdb" : "/dev/sda");
        if (done)
            assert_ok(ferry_remove_drive(vm, "/dev/sdb", &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(what_was_written_is_in_the_image),
        vm_test(raw_writes_are_flushed),
        vm_test(labels_outlive_the_order),
        vm_test(scratch_disks_too),
        vm_test(what_is_no_image_leaves_no_drive),
        vm_test(a_cancelled_plug_is_whole_or_nothing),
    };
    return cmocka_run_group_tests(tests, launch, vm_teardown);
}
