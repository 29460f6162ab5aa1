/* mountinfo as the kernel writes it: optional fields, escaped blanks, other people's mounts. */
#include "mounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

static const char table[] =
    "21 1 0:2 / / rw - rootfs rootfs rw\n"
    "36 21 8:1 / /sysroot rw,noatime shared:1 master:2 - ext4 /dev/sda1 rw\n"
    "37 36 254:0 / /sysroot/my\\040dir rw - xfs /dev/vg/l\\134v rw\n"
    "38 36 0:30 /sub /sysroot/b rw - btrfs /dev/sdb rw,space_cache=v2\n"
    "39 38 8:3 / /sysroot/b/c rw - fuseblk /dev/sda3 rw\n"
    "40 21 8:9 / /sysroot2 rw - ext4 /dev/sda9 rw\n";

static void test_parse(void **state)
{
    struct ferryd_mounts m;
    char text[sizeof table];
    (void)state;
    memcpy(text, table, sizeof table);
    assert_int_equal(ferryd_mounts_parse(text, "/sysroot", &m), 0);
    assert_int_equal(m.len, 4);
    assert_string_equal(m.at[1].dir, "/sysroot/my dir");
    assert_string_equal(m.at[1].source, "/dev/vg/l\\v");
    assert_string_equal(m.at[3].type, "fuseblk");

    assert_ptr_equal(ferryd_mounts_at(&m, "/sysroot"), &m.at[0]);
    assert_null(ferryd_mounts_at(&m, "/sysroot2"));
    assert_ptr_equal(ferryd_mounts_of(&m, "/dev/disk", makedev(8, 3)), &m.at[3]);
    assert_ptr_equal(ferryd_mounts_of(&m, "/dev/sdb", makedev(8, 16)), &m.at[2]);
    assert_null(ferryd_mounts_of(&m, "/dev/sdz", makedev(9, 9)));
    assert_ptr_equal(ferryd_mounts_below(&m, "/sysroot/b"), &m.at[3]);
    assert_null(ferryd_mounts_below(&m, "/sysroot/b/c"));
    ferryd_mounts_free(&m);
}

static void test_garbage(void **state)
{
    static const char *const bad[] = {"x\n", "1 2 3 4\n",
                                      "1 2 8-1 / /sysroot rw - a b c\n",
                                      "1 2 8:1 / /sysroot rw\n",
                                      "1 2 8:1 / /sysroot rw -\n"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ferryd_mounts m = {0};
        char text[64];
        strcpy(text, bad[i]);
        assert_true(ferryd_mounts_parse(text, "/sysroot", &m) < 0);
        assert_null(m.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
