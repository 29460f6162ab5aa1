/* The small calls: each does what its namesake does on a running system, and says no in the same
 * cases. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int two(struct guest *g, uint32_t proc, const char *a, const char *b,
               ferry_error *e)
{
    fx_mv_args args = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};
    return guest_call(g, proc, (xdrproc_t)xdr_fx_mv_args, &args, NULL, NULL, 0, e);
}

static mode_t mode_of(struct guest *g, const char *path)
{
    struct stat st;
    return lstat(guest_path(g, path), &st) < 0 ? 0 : st.st_mode;
}

static int mkdir_mode(struct guest *g, const char *path, mode_t mode)
{
    fx_mkdir_args a = {(char *)(uintptr_t)path, mode};
    return guest_call(g, FX_PROC_MKDIR, (xdrproc_t)xdr_fx_mkdir_args, &a, NULL, NULL, 0,
                      NULL);
}

static void directories(struct guest *g)
{
    umask(0); /* as the appliance's */
    check_equal(mkdir_mode(g, "/a", 0), 0);
    check_equal(mode_of(g, "/a"), S_IFDIR | 0777);
    check_equal(mkdir_mode(g, "/a", 0), -FERRY_EEXIST);
    check_equal(mkdir_mode(g, "/", 0), -FERRY_EEXIST);
    check_equal(mkdir_mode(g, "/s/", 03750), 0);
    check_equal(mode_of(g, "/s"), S_IFDIR | 03750);
    check_equal(mkdir_mode(g, "/no/x", 0), -FERRY_ENOENT);

    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, "/p/q//r/", NULL), 0);
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, "/p/q/r", NULL), 0);
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, "/", NULL), 0);
    check_equal(mode_of(g, "/p/q/r"), S_IFDIR | 0777);
    check(write_file(guest_path(g, "/file"), "", 0, 0644));
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, "/file", NULL), -FERRY_ENOTDIR);
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, "/file/x", NULL), -FERRY_ENOTDIR);
    check_equal(symlink("p/new", guest_path(g, "/link")), 0);
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, "/link/x", NULL), 0);
    check_equal(mode_of(g, "/p/new/x"), S_IFDIR | 0777);
}

static void removals(struct guest *g)
{
    char path[128];
    check_equal(mkdir(guest_path(g, "/d"), 0755), 0);
    check(write_file(guest_path(g, "/d/f"), "x", 1, 0644));
    check_equal(guest_path_call(g, FX_PROC_RM, "/d", NULL), -FERRY_EISDIR);
    check_equal(guest_path_call(g, FX_PROC_RM, "/d/f", NULL), 0);
    check_equal(guest_path_call(g, FX_PROC_RM, "/d/f", NULL), -FERRY_ENOENT);
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/d/f", NULL), 0); /* is not there */

    /* Wide and deep: 2000 directories beside each other, 300 in each other. */
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof path, "%s/d/%d", g->root, i);
        check_equal(mkdir(path, 0755), 0);
        strcat(path, "/f");
        check(i % 10 || write_file(path, "x", 1, 0));
    }
    char deep[1000] = "/d";
    for (int i = 0; i < 300; i++)
        strcat(deep, "/x");
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, deep, NULL), 0);
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/d", NULL), 0);
    check_equal(count_entries(g->root), 0);
}

static void moves(struct guest *g)
{
    ferry_error e = {0};
    check(write_file(guest_path(g, "/a"), "a", 1, 0644));
    check(write_file(guest_path(g, "/b"), "b", 1, 0644));
    check_equal(mkdir(guest_path(g, "/d"), 0755), 0);
    check_equal(two(g, FX_PROC_MV, "/a", "/b", NULL), 0);
    check(file_is(guest_path(g, "/b"), "a", 1));
    check_equal(two(g, FX_PROC_MV, "/b", "/d", NULL), 0);
    check(file_is(guest_path(g, "/d/b"), "a", 1));
    check_equal(two(g, FX_PROC_MV, "/d", "/d/b/c", &e), -FERRY_ENOTDIR);
    check_equal(two(g, FX_PROC_MV, "/no", "/x", &e), -FERRY_ENOENT);
    check(strcmp(e.msg, "/no: no such file or directory") == 0);
    check_equal(two(g, FX_PROC_MV, "/d/b", "/no/x", &e), -FERRY_ENOENT);
    check(strcmp(e.msg, "/no/x: no such file or directory") == 0);
    check_equal(mkdir(guest_path(g, "/d/in"), 0755), 0);
    check_equal(two(g, FX_PROC_MV, "/d", "/d/in", &e), -FERRY_EINVAL);
}

static int truncate_to(struct guest *g, const char *path, int64_t size)
{
    fx_truncate_size_args a = {(char *)(uintptr_t)path, size};
    return guest_call(g, FX_PROC_TRUNCATE_SIZE, (xdrproc_t)xdr_fx_truncate_size_args,
                      &a, NULL, NULL, 0, NULL);
}

static void sizes_and_times(struct guest *g)
{
    struct stat st;
    check_equal(guest_path_call(g, FX_PROC_TOUCH, "/t", NULL), 0);
    check_equal(truncate_to(g, "/t", 5000), 0);
    check_equal(stat(guest_path(g, "/t"), &st), 0);
    check_equal(st.st_size, 5000);
    check_equal(truncate_to(g, "/t", -1), -FERRY_EINVAL);
    check_equal(truncate_to(g, "/no", 1), -FERRY_ENOENT);
    check_equal(truncate_to(g, "/", 1), -FERRY_EISDIR);

    static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    check_equal(utimensat(AT_FDCWD, guest_path(g, "/t"), old, 0), 0);
    check_equal(guest_path_call(g, FX_PROC_TOUCH, "/t", NULL), 0);
    check_equal(stat(guest_path(g, "/t"), &st), 0);
    check(st.st_mtime > 1000);
    check_equal(st.st_size, 5000);
    check_equal(mkfifo(guest_path(g, "/fifo"), 0644), 0);
    check_equal(guest_path_call(g, FX_PROC_TOUCH, "/fifo", NULL), -FERRY_EINVAL);
    check_equal(truncate_to(g, "/fifo", 1), -FERRY_EINVAL);
}

static void links(struct guest *g)
{
    fx_readlink_args a = {(char *)"/l"};
    fx_readlink_ret ret = {0};
    char longer[3000];
    check_equal(two(g, FX_PROC_LN_S, "any/where", "/l", NULL), 0);
    check_equal(two(g, FX_PROC_LN_S, "any/where", "/l", NULL), -FERRY_EEXIST);
    check_equal(guest_call(g, FX_PROC_READLINK, (xdrproc_t)xdr_fx_readlink_args, &a,
                           (xdrproc_t)xdr_fx_readlink_ret, &ret, sizeof ret, NULL),
                0);
    check(strcmp(ret.value, "any/where") == 0);
    xdr_free((xdrproc_t)xdr_fx_readlink_ret, &ret);

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    check_equal(two(g, FX_PROC_LN_S, longer, "/l2", NULL), 0);
    a.path = (char *)"/l2";
    check_equal(guest_call(g, FX_PROC_READLINK, (xdrproc_t)xdr_fx_readlink_args, &a,
                           (xdrproc_t)xdr_fx_readlink_ret, &ret, sizeof ret, NULL),
                0);
    check(strcmp(ret.value, longer) == 0);
    xdr_free((xdrproc_t)xdr_fx_readlink_ret, &ret);
    a.path = (char *)"/";
    check_equal(guest_call(g, FX_PROC_READLINK, (xdrproc_t)xdr_fx_readlink_args, &a,
                           (xdrproc_t)xdr_fx_readlink_ret, &ret, sizeof ret, NULL),
                -FERRY_EINVAL);
}

static void stat_tells_all(struct guest *g)
{
    struct stat st;
    fx_stat_args a = {(char *)"/s"};
    fx_stat_ret ret = {0};
    check(write_file(guest_path(g, "/s"), "12345", 5, 04640));
    check_equal(chown(guest_path(g, "/s"), 7, 70000), 0);
    check_equal(chmod(guest_path(g, "/s"), 04640), 0);
    check_equal(stat(guest_path(g, "/s"), &st), 0);
    check_equal(guest_call(g, FX_PROC_STAT, (xdrproc_t)xdr_fx_stat_args, &a,
                           (xdrproc_t)xdr_fx_stat_ret, &ret, sizeof ret, NULL),
                0);
    check_equal(ret.value.ino, st.st_ino);
    check_equal(ret.value.mode, S_IFREG | 04640);
    check_equal(ret.value.uid, 7);
    check_equal(ret.value.gid, 70000);
    check_equal(ret.value.size, 5);
    check_equal(ret.value.blocks, st.st_blocks);
    check_equal(ret.value.mtime_sec, st.st_mtim.tv_sec);
    check_equal(ret.value.mtime_nsec, st.st_mtim.tv_nsec);

    fx_statvfs_args v = {(char *)"/"};
    fx_statvfs_ret vret = {0};
    check_equal(guest_call(g, FX_PROC_STATVFS, (xdrproc_t)xdr_fx_statvfs_args, &v,
                           (xdrproc_t)xdr_fx_statvfs_ret, &vret, sizeof vret, NULL),
                0);
    check(vret.value.blocks > 0 && vret.value.bfree <= vret.value.blocks);
    check(vret.value.namemax >= 255);
}

static void checksums(struct guest *g)
{
    static const char *const types[][2] = {
        {"crc", "cksum < %s | cut -d' ' -f1"},
        {"md5", "md5sum < %s | cut -d' ' -f1"},
        {"sha1", "sha1sum < %s | cut -d' ' -f1"},
        {"sha224", "sha224sum < %s | cut -d' ' -f1"},
        {"sha256", "sha256sum < %s | cut -d' ' -f1"},
        {"sha384", "sha384sum < %s | cut -d' ' -f1"},
        {"sha512", "sha512sum < %s | cut -d' ' -f1"},
    };
    FERRY_AUTO(mem) char *data = test_bytes(2500000, 5);
    check(write_file(guest_path(g, "/c"), data, 2500000, 0644));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char command[256], expect[200] = "";
        fx_checksum_args a = {(char *)(uintptr_t)types[i][0], (char *)"/c"};
        fx_checksum_ret ret = {0};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof command, types[i][1], guest_path(g, "/c"));
#pragma GCC diagnostic pop
        FILE *f = popen(command, "re");
        check(f && fscanf(f, "%199s", expect) == 1);
        if (f)
            pclose(f);
        if (!check_equal(guest_call(g, FX_PROC_CHECKSUM, (xdrproc_t)xdr_fx_checksum_args,
                                    &a, (xdrproc_t)xdr_fx_checksum_ret, &ret,
                                    sizeof ret, NULL),
                         0))
            continue;
        if (!check(strcmp(ret.value, expect) == 0))
            fprintf(stderr, "%s: %s, %s expected\n", types[i][0], ret.value, expect);
        xdr_free((xdrproc_t)xdr_fx_checksum_ret, &ret);
    }
    fx_checksum_args bad = {(char *)"sha3", (char *)"/c"};
    check_equal(guest_call(g, FX_PROC_CHECKSUM, (xdrproc_t)xdr_fx_checksum_args, &bad,
                           NULL, NULL, 0, NULL),
                -FERRY_EINVAL);
}

static void nothing_is_mounted(struct guest *g)
{
    ferry_error e = {0};
    check_equal(guest_path_call(g, FX_PROC_RM, "/x", &e), -FERRY_ESTATE);
    check(strcmp(e.msg, "nothing is mounted at /: call mount first") == 0);
    check_equal(guest_upload(g, "/x", "x", 1, 0, NULL, &e), -FERRY_ESTATE);
    check_equal(two(g, FX_PROC_MOUNT, "/dev/sda1", "/boot", &e), -FERRY_ESTATE);
    check_equal(guest_call(g, FX_PROC_UMOUNT_ALL, NULL, NULL, NULL, NULL, 0, &e), 0);
    check_equal(guest_call(g, 9999, NULL, NULL, NULL, NULL, 0, &e), -FERRY_ENOSYS);
}

static void test_nothing_is_mounted(void **state)
{
    (void)state;
    in_guest_at(NULL, nothing_is_mounted);
}

GUEST_TEST(directories)
GUEST_TEST(removals)
GUEST_TEST(moves)
GUEST_TEST(sizes_and_times)
GUEST_TEST(links)
GUEST_TEST(stat_tells_all)
GUEST_TEST(checksums)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directories), cmocka_unit_test(test_removals),
        cmocka_unit_test(test_moves),       cmocka_unit_test(test_sizes_and_times),
        cmocka_unit_test(test_links),       cmocka_unit_test(test_stat_tells_all),
        cmocka_unit_test(test_checksums),   cmocka_unit_test(test_nothing_is_mounted),
    };
    return guest_run(tests);
}
