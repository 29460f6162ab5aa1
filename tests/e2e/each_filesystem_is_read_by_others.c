/* A file that we put into a file system is there for everybody: made, mounted,
 * written and unmounted by us, then checked on the host by the tools of that file
 * system. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN (3 * MIB + 5)
#define SMALL "five\n"

struct fs {
    const char *type;
    uint64_t size;        /* the smallest its mkfs takes, or little more */
    const char *parttype; /* NULL: on the whole disk */
    uint32_t blocksize;
    bool links; /* symbolic ones */
    void (*check)(const struct fs *fs, const char *part);
    char disk; /* its letter: 'a' */
};

/* ---- on the host ---------------------------------------------------------------- */

static void is_the_file(const char *path)
{
    void *data = filled(LEN, 1);
    assert_file_is(path, data, LEN);
    free(data);
}

static void check_ext(const struct fs *fs, const char *part)
{
    (void)fs;
    host("e2fsck -fn '%s'", part);
    host("debugfs -R 'dump /d/file %s' '%s'", scratch("dumped"), part);
    is_the_file(scratch("dumped"));
    assert_has(host("debugfs -R 'cat /small' '%s'", part), SMALL);
    const char *said = host("debugfs -R 'stat /d/file' '%s'", part);
    assert_has(said, "Mode:  0640");
    assert_has(said, "User:  1234   Group:  4321");
    assert_has(said, "Size: 3145733");
    assert_has(host("debugfs -R 'stat /link' '%s'", part),
               "Fast link dest: \"d/file\"");
}

/* A new file system has put the file in one piece, so the whole of it can be found. */
static void is_in_image(const char *image)
{
    size_t size = (size_t)file_size(image);
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    void *data = filled(LEN, 1);
    if (!memmem(map, size, data, LEN))
        fail_msg("%s: the file's bytes are nowhere in it", image);
    free(data);
    munmap(map, size);
    close(fd);
}

static void check_xfs(const struct fs *fs, const char *part)
{
    (void)fs;
    host("xfs_repair -n -f '%s'", part);
    const char *said = host("xfs_db -r -f -c 'path /d/file' -c 'print' '%s'", part);
    assert_has(said, "core.size = 3145733");
    assert_has(said, "core.mode = 0100640");
    assert_has(said, "core.uid = 1234");
    is_in_image(part);
}

static void check_btrfs(const struct fs *fs, const char *part)
{
    (void)fs;
    host("btrfs check --readonly --force '%s'", part);
    host("mkdir '%s' && btrfs restore '%s' '%s'", scratch("restored"), part,
         scratch("restored"));
    is_the_file(scratch("restored/d/file"));
    assert_file_is(scratch("restored/small"), SMALL, strlen(SMALL));
}

static void check_vfat(const struct fs *fs, const char *part)
{
    (void)fs;
    assert_has(host("fsck.vfat -nv '%s'", part),
               "4 files,"); /* the label is one, d another */
    is_in_image(part);
}

static void check_ntfs(const struct fs *fs, const char *part)
{
    (void)fs;
    host("ntfsfix -n '%s'", part);
    host("ntfscat '%s' /d/file >'%s'", part, scratch("dumped"));
    is_the_file(scratch("dumped"));
}

static struct fs all[] = {
    {"ext2", 64 * MIB, NULL, 1024, true, check_ext, 'a'},
    {"ext3", 64 * MIB, "mbr", 0, true, check_ext, 'b'},
    {"ext4", 64 * MIB, NULL, 4096, true, check_ext, 'c'},
    {"xfs", 320 * MIB, "gpt", 0, true, check_xfs, 'd'},
    {"btrfs", 256 * MIB, NULL, 0, true, check_btrfs, 'e'},
    {"vfat", 64 * MIB, "mbr", 0, false, check_vfat, 'f'},
    {"ntfs", 64 * MIB, "gpt", 0, true, check_ntfs, 'g'},
};
#define NFS (sizeof all / sizeof *all)

static const char *device_of(const struct fs *fs)
{
    static char device[32];
    snprintf(device, sizeof device, "/dev/sd%c%s", fs->disk, fs->parttype ? "1" : "");
    return device;
}

/* The file system alone: of a partitioned image, a copy of the partition. */
static const char *part_of(const struct fs *fs)
{
    const char *image = scratch("%s.img", fs->type),
               *part = scratch("%s.part", fs->type);
    unsigned long long start = 0, sectors = 0;
    if (!fs->parttype)
        return image;
    const char *said = host("sfdisk -l -q -o START,SECTORS '%s' | tail -1", image);
    assert_int_equal(sscanf(said, "%llu %llu", &start, &sectors), 2);
    assert_int_equal(start * 512, MIB);
    host("dd if='%s' of='%s' bs=64K conv=sparse iflag=skip_bytes,count_bytes "
         "skip=%llu count=%llu status=none",
         image, part, start * 512, sectors * 512);
    return part;
}

/* What blkid says on the host. */
static const char *host_says(const struct fs *fs, const char *tag)
{
    static char value[256];
    snprintf(value, sizeof value, "%s",
             host("blkid -p -s %s -o value '%s'", tag, part_of(fs)));
    value[strcspn(value, "\n")] = '\0';
    return value;
}

/* ---- the tests ------------------------------------------------------------------ */

static int launch_with_all(void **state)
{
    (void)state;
    char name[32];
    scratch_make();
    vm_new();
    for (size_t i = 0; i < NFS; i++) {
        snprintf(name, sizeof name, "%s.img", all[i].type);
        vm_image(name, all[i].size);
    }
    vm_launch();
    return 0;
}

static void make(const struct fs *fs)
{
    char disk[] = "/dev/sdX";
    disk[7] = fs->disk;
    ferry_mkfs_opts opts = {.size = sizeof opts,
                            .label = "FERRY",
                            .blocksize = fs->blocksize};
    if (fs->parttype)
        assert_ok(ferry_part_disk(vm, disk, fs->parttype, &err));
    assert_ok(ferry_mkfs(vm, fs->type, device_of(fs), &opts, &err));
}

static void write_files(const struct fs *fs)
{
    ferry_upload_opts opts = {.size = sizeof opts, .mode = 0640, .uid = 1234, .gid = 4321};
    void *data = filled(LEN, 1);
    assert_ok(ferry_mkdir(vm, "/d", NULL, &err));
    assert_ok(ferry_upload_mem(vm, data, LEN, "/d/new", &opts, &err));
    assert_ok(ferry_mv(vm, "/d/new", "/d/file", &err));
    assert_ok(ferry_upload_mem(vm, SMALL, strlen(SMALL), "/small", NULL, &err));
    assert_ok(
        ferry_upload_mem(vm, SMALL, strlen(SMALL), "/small", NULL, &err)); /* again */
    if (fs->links)
        assert_ok(ferry_ln_s(vm, "d/file", "/link", &err));
    assert_guest_is(fs->links ? "/link" : "/d/file", data, LEN);
    free(data);
}

static void check_statvfs(const struct fs *fs)
{
    ferry_statvfs_info info = {0};
    assert_ok(ferry_statvfs(vm, "/d", &info, &err));
    uint64_t bytes = info.blocks * info.frsize;
    assert_in_range(bytes, fs->size * 3 / 4, fs->size);
    assert_in_range(info.bfree * info.frsize, 1, bytes - LEN);
    if (fs->blocksize)
        assert_int_equal(info.frsize, fs->blocksize);
}

static void round_trip(void **state)
{
    const struct fs *fs = *state;
    make(fs);
    assert_ok(ferry_mount(vm, device_of(fs), "/", &err));
    write_files(fs);
    check_statvfs(fs);
    assert_ok(ferry_umount(vm, fs->parttype ? device_of(fs) : "/", &err));

    void *data = filled(LEN, 1);
    assert_ok(ferry_mount_ro(vm, device_of(fs), "/", &err));
    assert_guest_is("/d/file", data, LEN);
    assert_fails(ferry_touch(vm, "/x", &err), FERRY_EROFS, "/x");
    assert_ok(ferry_umount_all(vm, &err));
    free(data);
}

/* After its umount the image is complete, with the appliance still running. */
static void is_read_by_others(void **state)
{
    const struct fs *fs = *state;
    fs->check(fs, part_of(fs));
}

static void is_as_blkid_says(void **state)
{
    const struct fs *fs = *state;
    char *type = NULL, *label = NULL, *uuid = NULL;
    assert_ok(ferry_vfs_type(vm, device_of(fs), &type, &err));
    assert_ok(ferry_vfs_label(vm, device_of(fs), &label, &err));
    assert_ok(ferry_vfs_uuid(vm, device_of(fs), &uuid, &err));
    assert_string_equal(type, fs->type);
    assert_string_equal(type, host_says(fs, "TYPE"));
    assert_string_equal(label, "FERRY");
    assert_string_equal(label, host_says(fs, "LABEL"));
    assert_string_equal(uuid, host_says(fs, "UUID"));
    free(type);
    free(label);
    free(uuid);
}

/* Whole disks first, then partitions: list_filesystems' order. */
static void all_are_listed(void **state)
{
    (void)state;
    ferry_filesystem_list list = {0};
    assert_ok(ferry_list_filesystems(vm, &list, &err));
    assert_int_equal(list.len, NFS);
    size_t n = 0;
    for (int parts = 0; parts < 2; parts++)
        for (size_t i = 0; i < NFS; i++) {
            const struct fs *fs = &all[i];
            const ferry_filesystem *l = &list.val[n];
            if ((fs->parttype != NULL) != parts)
                continue;
            assert_string_equal(l->device, device_of(fs));
            assert_string_equal(l->type, fs->type);
            assert_string_equal(l->label, "FERRY");
            assert_string_equal(l->uuid, host_says(fs, "UUID"));
            assert_in_range(l->bytes, fs->size - 3 * MIB, fs->size);
            n++;
        }
    ferry_filesystem_list_free(&list);
    assert_int_equal(list.len, 0);
}

int main(void)
{
    static struct CMUnitTest tests[3 * NFS + 1];
    static char names[3 * NFS][64];
    static const struct {
        const char *name;
        CMUnitTestFunction fn;
    } steps[] = {{"round trip", round_trip},
                 {"as blkid says", is_as_blkid_says},
                 {"read by others", is_read_by_others}};
    size_t n = 0;
    for (size_t i = 0; i < NFS; i++)
        for (size_t k = 0; k < 3; k++, n++) {
            snprintf(names[n], sizeof names[n], "%s: %s", all[i].type, steps[k].name);
            tests[n] = (struct CMUnitTest){names[n], steps[k].fn, NULL,
                                           vm_leaves_nothing, &all[i]};
        }
    tests[n] = (struct CMUnitTest)vm_test(all_are_listed);
    return cmocka_run_group_tests(tests, launch_with_all, vm_teardown);
}
