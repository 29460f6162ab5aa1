/* An image of any format holds after a shutdown what was put into it: qemu-img finds
 * nothing wrong with it, and converted to raw it is a clean file system with the
 * file inside. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN (5 * MIB + 77)

static const char *const formats[] = {"raw", "qcow2", "vmdk", "vdi"};
#define NFORMATS (sizeof formats / sizeof *formats)

static const char *image_name(const char *format)
{
    static char name[32];
    snprintf(name, sizeof name, "%s.%s", format, format);
    return name;
}

static const char *device_of(size_t i)
{
    static char device[16];
    snprintf(device, sizeof device, "/dev/sd%c", (char)('a' + i));
    return device;
}

static int launch_with_all(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    for (size_t i = 0; i < NFORMATS; i++)
        vm_image(image_name(formats[i]), 256 * MIB);
    vm_launch();
    return 0;
}

/* All four mounted at once, the others below the first, and flushed by the shutdown
 * only. */
static void all_take_a_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < NFORMATS; i++) {
        char dir[32], file[64];
        snprintf(dir, sizeof dir, "/%s", i ? formats[i] : "");
        snprintf(file, sizeof file, "%s/file", i ? dir : "");
        void *data = filled(LEN, (unsigned)i);
        assert_ok(ferry_mkfs(vm, "ext4", device_of(i), NULL, &err));
        if (i)
            assert_ok(ferry_mkdir(vm, dir, NULL, &err));
        assert_ok(ferry_mount(vm, device_of(i), dir, &err));
        assert_ok(ferry_upload_mem(vm, data, LEN, file, NULL, &err));
        assert_guest_is(file, data, LEN);
        free(data);
    }
    assert_fails(ferry_umount(vm, "/", &err), FERRY_EBUSY, "mounted below");
    vm_shutdown();
}

static void check_image(const char *format, unsigned seed)
{
    const char *image = scratch("%s", image_name(format)), *flat = image;
    if (strcmp(format, "raw") != 0) {
        host("qemu-img check -q -f %s '%s'", format, image);
        flat = scratch("%s.flat", format);
        host("qemu-img convert -q -f %s -O raw '%s' '%s'", format, image, flat);
    }
    host("e2fsck -fn '%s'", flat);
    host("debugfs -R 'dump /file %s' '%s'", scratch("dumped"), flat);
    void *data = filled(LEN, seed);
    assert_file_is(scratch("dumped"), data, LEN);
    free(data);
    /* Nothing but what is in use takes space. */
    assert_in_range(file_allocated(image), LEN, 64 * MIB);
}

static void all_are_read_by_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < NFORMATS; i++)
        check_image(formats[i], (unsigned)i);
}

/* The same VM again, on what it left, for reading only: nothing may be written to
 * it, not even by a mount. */
static void readonly_drives_stay_as_they_are(void **state)
{
    (void)state;
    const char *image = scratch("%s", image_name("qcow2"));
    char before[80], after[80], **list = NULL;
    snprintf(before, sizeof before, "%.64s", host("sha256sum '%s'", image));
    vm_free();
    vm_new();
    ferry_drive_opts opts = {.size = sizeof opts, .readonly = 1};
    assert_ok(ferry_add_drive(vm, image, &opts, &err));
    vm_launch();

    assert_ok(ferry_list_devices(vm, &list, &err));
    assert_string_equal(list[0], "/dev/sda");
    assert_null(list[1]);
    ferry_strings_free(list);
    void *data = filled(LEN, 1);
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_guest_is("/file", data, LEN);
    assert_fails(ferry_rm(vm, "/file", &err), FERRY_EROFS, "/file");
    assert_fails(ferry_upload_mem(vm, data, LEN, "/new", NULL, &err), FERRY_EROFS,
                 "/new");
    assert_ok(ferry_umount_all(vm, &err));
    assert_fails(ferry_upload_mem(vm, data, 1, "/dev/sda", NULL, &err), FERRY_EROFS,
                 "sda");
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/sda", NULL, &err), FERRY_EROFS, "sda");
    assert_fails(ferry_part_disk(vm, "/dev/sda", "gpt", &err), FERRY_EROFS, "sda");
    vm_shutdown();
    free(data);
    snprintf(after, sizeof after, "%.64s", host("sha256sum '%s'", image));
    assert_string_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(all_take_a_file),
        vm_test(all_are_read_by_others),
        vm_test(readonly_drives_stay_as_they_are),
    };
    return cmocka_run_group_tests(tests, launch_with_all, vm_teardown);
}
