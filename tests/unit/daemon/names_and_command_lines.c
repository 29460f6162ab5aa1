/* The daemon's pure tables: device order, path splitting, mkfs command lines, mount options. */
#include "devices.h"
#include "mapper.h"
#include "mkfs.h"
#include "mount.h"
#include "root.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_device_order(void **state)
{
    const char *names[] = {"/dev/sdaa1", "/dev/sdb", "/dev/sda10", "/dev/sda2",
                           "/dev/sdaa",  "/dev/sda", "/dev/sdz"};
    static const char *const sorted[] = {"/dev/sda",  "/dev/sda2", "/dev/sda10",
                                         "/dev/sdb",  "/dev/sdz",  "/dev/sdaa",
                                         "/dev/sdaa1"};
    (void)state;
    qsort(names, 7, sizeof *names, ferryd_device_order);
    for (int i = 0; i < 7; i++)
        assert_string_equal(names[i], sorted[i]);
}

/* What becomes of the device mapper's name; NULL: it is none. Room for less is refused. */
static void becomes(int (*fn)(const char *, char *, size_t), const char *name,
                    const char *expected)
{
    char buf[64];
    int r = fn(name, buf, sizeof buf);
    if (!expected) {
        assert_int_equal(r, -EINVAL);
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(buf, expected);
    assert_int_equal(fn(name, buf, strlen(expected)), -ENAMETOOLONG);
}

static void test_volume_path(void **state)
{
    char buf[64];
    (void)state;
    becomes(ferryd_volume_path, "vg-lv", "/dev/vg/lv");
    becomes(ferryd_volume_path, "my--vg-a--b--c", "/dev/my-vg/a-b-c");
    becomes(ferryd_volume_path, "vg", NULL);
    becomes(ferryd_volume_path, "a-b-c", NULL);
    assert_int_equal(ferryd_volume_path("vg-lv", buf, 11), 0);
}

static void test_volume_group(void **state)
{
    (void)state;
    becomes(ferryd_volume_group, "my--vg-a--b", "my-vg");
    becomes(ferryd_volume_group, "vg-pool-tpool", "vg");
    becomes(ferryd_volume_group, "vg", NULL);
    becomes(ferryd_volume_group, "a--b", NULL);
}

static void split(const char *path, int code, const char *dir, const char *name)
{
    char d[PATH_MAX], n[NAME_MAX + 1];
    assert_int_equal(ferryd_split_path(path, d, n), code);
    if (code == 0) {
        assert_string_equal(d, dir);
        assert_string_equal(n, name);
    }
}

static void test_split_path(void **state)
{
    char longest[PATH_MAX + 2];
    (void)state;
    split("/a", 0, "/", "a");
    split("/a/b", 0, "/a/", "b");
    split("//a//b//", 0, "//a//", "b");
    split("/", 0, "/", ".");
    split("///", 0, "/", ".");
    split("/a/.", 0, "/a/", ".");
    split("/...", 0, "/", "...");
    split("/a/..", -EINVAL, NULL, NULL);
    split("/../", -EINVAL, NULL, NULL);
    split("a", -EINVAL, NULL, NULL);
    split("", -EINVAL, NULL, NULL);

    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[NAME_MAX + 1] = '\0';
    split(longest, 0, "/", longest + 1);
    longest[NAME_MAX + 1] = 'x';
    longest[NAME_MAX + 2] = '\0';
    split(longest, -ENAMETOOLONG, NULL, NULL);
    for (int i = 0; i < PATH_MAX; i += 2)
        memcpy(longest + i, "/x", 2);
    longest[PATH_MAX] = '\0';
    split(longest, -ENAMETOOLONG, NULL, NULL);
}

static void mkfs(const char *type, const char *label, uint32_t block, const char *expect)
{
    struct ferryd_mkfs m;
    ferry_error e = {0};
    char line[256] = "";
    int r = ferryd_mkfs_argv(type, "/dev/sda1", label, block, &m, &e);
    if (r == 0)
        for (int i = 0; m.argv[i]; i++)
            snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s",
                     i ? " " : "", m.argv[i]);
    else
        snprintf(line, sizeof line, "%s", e.msg);
    assert_string_equal(line, expect);
}

static void test_mkfs(void **state)
{
    (void)state;
    mkfs("ext4", "", 0, "mkfs.ext4 -F -q /dev/sda1");
    mkfs("ext2", "data", 1024, "mkfs.ext2 -F -q -L data -b 1024 /dev/sda1");
    mkfs("xfs", "x", 4096, "mkfs.xfs -f -q -L x -bsize=4096 /dev/sda1");
    mkfs("vfat", "EFI", 4096, "mkfs.vfat -I -n EFI -s 8 /dev/sda1");
    mkfs("ntfs", "w", 65536, "mkntfs -Q -F -q -L w -c 65536 /dev/sda1");
    mkfs("btrfs", "", 4096, "mkfs.btrfs -f -q -s 4096 /dev/sda1");
    mkfs("zfs", "", 0, "zfs: not one of ext2, ext3, ext4, xfs, btrfs, vfat, ntfs");
    mkfs("xfs", "thirteen byte", 0,
         "thirteen byte: a label of xfs has at most 12 bytes");
    mkfs("ext4", "", 3000,
         "ext4: block size 3000: a power of 2 from 1024 to 4096 is possible");
    mkfs("vfat", "", 256,
         "vfat: block size 256: a power of 2 from 512 to 65536 is possible");
    assert_int_equal(ferryd_mkfs_reason("device is too small (1M)"), -FERRY_ENOSPC);
    assert_int_equal(ferryd_mkfs_reason("invalid block size"), -FERRY_EINVAL);
    assert_int_equal(ferryd_mkfs_reason("Input/output error"), -FERRY_EIO);
}

static void test_mount_options(void **state)
{
    char buf[64];
    (void)state;
    assert_string_equal(ferryd_join_options(NULL, NULL, buf, sizeof buf), "");
    assert_string_equal(ferryd_join_options("a", NULL, buf, sizeof buf), "a");
    assert_string_equal(ferryd_join_options("a", "b", buf, sizeof buf), "a,b");
    assert_string_equal(ferryd_fstype_find("ext4")->norec, "noload");
    assert_string_equal(ferryd_fstype_find("ntfs")->program, "ntfs-3g");
    assert_null(ferryd_fstype_find("zfs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_order), cmocka_unit_test(test_volume_path),
        cmocka_unit_test(test_volume_group), cmocka_unit_test(test_split_path),
        cmocka_unit_test(test_mkfs),         cmocka_unit_test(test_mount_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
