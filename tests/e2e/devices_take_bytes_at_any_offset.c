/* Upload to and download from a block device of the image: any offset, any length,
 * no file system involved; what lies around is left alone. */
#include "harness/vm.h"

#include <stdlib.h>
#include <string.h>

#define SIZE (64 * MIB)
#define LEN (MIB + 77)

static int launch_with_disks(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    vm_image("disk.img", SIZE);
    assert_ok(ferry_add_drive_scratch(vm, 4 * MIB, &err));
    vm_launch();
    return 0;
}

static void bytes_go_where_they_should(void **state)
{
    (void)state;
    static const uint64_t offsets[] = {0, 512, 4096, 12345, 10 * MIB + 1, SIZE - LEN};
    uint8_t *disk = calloc(1, SIZE);
    for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        ferry_upload_opts up = {.size = sizeof up, .offset = offsets[i]};
        ferry_download_opts down = {.size = sizeof down,
                                    .offset = offsets[i],
                                    .length = LEN};
        void *data = filled(LEN, i), *got = NULL;
        size_t len = 0;
        assert_ok(ferry_upload_mem(vm, data, LEN, "/dev/sda", &up, &err));
        assert_ok(ferry_download_mem(vm, "/dev/sda", &down, &got, &len, &err));
        assert_int_equal(len, LEN);
        assert_memory_equal(got, data, LEN);
        memcpy(disk + offsets[i], data, LEN);
        free(data);
        free(got);
    }
    assert_ok(ferry_sync(vm, &err));
    assert_file_is(scratch("disk.img"), disk, SIZE);
    assert_guest_is("/dev/sda", disk, SIZE);
    free(disk);
}

static void end_of_the_device_is_an_error(void **state)
{
    (void)state;
    uint8_t *data = filled(LEN, 20);
    ferry_upload_opts opts = {.size = sizeof opts, .offset = SIZE - LEN + 1};
    assert_fails(ferry_upload_mem(vm, data, LEN, "/dev/sda", &opts, &err), FERRY_ENOSPC,
                 "/dev/sda");
    opts.offset = 1000 * SIZE;
    assert_fails(ferry_upload_mem(vm, data, LEN, "/dev/sda", &opts, &err), FERRY_ENOSPC,
                 "/dev/sda");
    free(data);

    /* Endless: it is told when the device is full, not when the source ends. */
    assert_fails(ferry_upload(vm, "/dev/zero", "/dev/sdb", NULL, &err), FERRY_ENOSPC,
                 "/dev/sdb");
    ferry_download_opts down = {.size = sizeof down, .offset = SIZE};
    void *got = NULL;
    size_t len = 1;
    assert_ok(ferry_download_mem(vm, "/dev/sda", &down, &got, &len, &err));
    assert_int_equal(len, 0);
    free(got);
}

/* A drive that is not there is no file name either, mounted or not: the story is an
 * upload to /dev/sdb of a VM with one drive, which ended as a file in the image's
 * /dev. */
static void drive_that_is_not_there_is_no_file(void **state)
{
    (void)state;
    void *got;
    size_t len;
    for (int mounted = 0; mounted < 2; mounted++) {
        assert_fails(ferry_upload_mem(vm, "x", 1, "/dev/sdz", NULL, &err), FERRY_ENODEV,
                     "/dev/sdz");
        assert_fails(ferry_download_mem(vm, "/dev/sdz1", NULL, &got, &len, &err),
                     FERRY_ENODEV, "/dev/sdz1");
        if (mounted)
            break;
        assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdb", NULL, &err));
        assert_ok(ferry_mount(vm, "/dev/sdb", "/", &err));
        assert_ok(ferry_mkdir(vm, "/dev", NULL, &err));
        assert_ok(ferry_upload_mem(vm, "x", 1, "/dev/sdz.conf", NULL, &err)); /* a file */
        assert_guest_ls("/dev", "sdz.conf");
    }
    /* What the appliance has for itself is no device: its memory, its programs. */
    assert_fails(ferry_download_mem(vm, "/dev/mem", NULL, &got, &len, &err),
                 FERRY_ENOENT, "/dev/mem");
    assert_fails(ferry_download_mem(vm, "/dev/vda", NULL, &got, &len, &err),
                 FERRY_ENOENT, "/dev/vda");
    assert_ok(ferry_umount_all(vm, &err));
}

/* The image of a file system, put on the disk as it is. */
static void device_takes_an_image(void **state)
{
    (void)state;
    make_file(scratch("file"), 100000, 30);
    host("rm -rf '%s' && mkdir '%s' && cp '%s' '%s'", scratch("tree"), scratch("tree"),
         scratch("file"), scratch("tree/file"));
    host("truncate -s %llu '%s' && mkfs.ext4 -q -F -d '%s' '%s'",
         (unsigned long long)SIZE, scratch("fs"), scratch("tree"), scratch("fs"));
    assert_ok(ferry_upload(vm, scratch("fs"), "/dev/sda", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    void *data = filled(100000, 30);
    assert_guest_is("/file", data, 100000);
    free(data);
    assert_fails(ferry_upload_mem(vm, "x", 1, "/dev/sda", NULL, &err), FERRY_EBUSY,
                 "/dev/sda");
    assert_ok(ferry_umount(vm, "/", &err));
    assert_ok(ferry_download(vm, "/dev/sda", scratch("back"), NULL, &err));
    assert_same_file(scratch("back"), scratch("disk.img"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(bytes_go_where_they_should),
        vm_test(end_of_the_device_is_an_error),
        vm_test(drive_that_is_not_there_is_no_file),
        vm_test(device_takes_an_image),
    };
    return cmocka_run_group_tests(tests, launch_with_disks, vm_teardown);
}
