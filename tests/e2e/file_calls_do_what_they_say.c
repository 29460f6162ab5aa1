/* Every call on files of the image, at least once as it should go and once as it
 * should not. */
#include "harness/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void put(const char *path, const char *text)
{
    assert_ok(ferry_upload_mem(vm, text, strlen(text), path, NULL, &err));
}

/* Each test in an empty directory /t. */
static int clear(void **state)
{
    (void)state;
    assert_ok(ferry_rm_rf(vm, "/t", &err));
    assert_ok(ferry_mkdir(vm, "/t", NULL, &err));
    return 0;
}

/* ---- looking -------------------------------------------------------------------- */

static void stat_and_lstat(void **state)
{
    (void)state;
    ferry_stat_info st = {0};
    put("/t/file", "four");
    assert_ok(ferry_chmod(vm, 0604, "/t/file", &err));
    assert_ok(ferry_chown(vm, 42, 43, "/t/file", &err));
    assert_ok(ferry_ln_s(vm, "file", "/t/link", &err));

    assert_ok(ferry_stat(vm, "/t/link", &st, &err));
    assert_int_equal(st.mode, S_IFREG | 0604);
    assert_int_equal(st.size, 4);
    assert_int_equal(st.uid, 42);
    assert_int_equal(st.gid, 43);
    assert_int_equal(st.nlink, 1);
    assert_int_equal(st.blksize, 4096);
    assert_in_range(st.mtime_sec, time(NULL) - 120, time(NULL) + 120);
    assert_true(st.mtime_nsec < 1000000000);

    assert_ok(ferry_lstat(vm, "/t/link", &st, &err));
    assert_int_equal(st.mode & S_IFMT, S_IFLNK);
    assert_int_equal(st.size, 4); /* of "file" */
    assert_ok(ferry_stat(vm, "/t", &st, &err));
    assert_int_equal(st.mode & S_IFMT, S_IFDIR);

    assert_ok(ferry_ln_s(vm, "nowhere", "/t/dangling", &err));
    assert_ok(ferry_lstat(vm, "/t/dangling", &st, &err));
    assert_fails(ferry_stat(vm, "/t/dangling", &st, &err), FERRY_ENOENT, "/t/dangling");
    assert_fails(ferry_lstat(vm, "/t/none", &st, &err), FERRY_ENOENT, "/t/none");
    assert_fails(ferry_stat(vm, "/t/file/x", &st, &err), FERRY_ENOTDIR, "/t/file/x");
    assert_fails(ferry_stat(vm, "t", &st, &err), FERRY_EINVAL, "t");
    assert_fails(ferry_stat(vm, NULL, &st, &err), FERRY_EINVAL, "path");
}

static void ls_and_readdir(void **state)
{
    (void)state;
    char **names = NULL;
    ferry_dirent_list list = {0};
    put("/t/b", "");
    put("/t/a", "");
    put("/t/\xc3\xa9t\xe9 \n", ""); /* bytes, whatever they mean */
    assert_ok(ferry_mkdir(vm, "/t/B", NULL, &err));
    assert_ok(ferry_ln_s(vm, "a", "/t/link", &err));
    assert_guest_ls("/t", "B a b link \xc3\xa9t\xe9 \n");
    assert_guest_ls("/t/B", "");

    assert_ok(ferry_readdir(vm, "/t", &list, &err));
    assert_int_equal(list.len, 7); /* with . and .. */
    for (size_t i = 0; i < list.len; i++) {
        const ferry_dirent *d = &list.val[i];
        bool dir = strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0 ||
                   strcmp(d->name, "B") == 0;
        assert_int_equal(d->ftyp, dir ? 'd' : strcmp(d->name, "link") == 0 ? 'l' : 'r');
        char path[300];
        snprintf(path, sizeof path, "/t/%s", d->name);
        if (strcmp(d->name, "..") != 0)
            assert_int_equal(d->ino, guest_stat(path).ino);
    }
    ferry_dirent_list_free(&list);
    assert_fails(ferry_ls(vm, "/t/a", &names, &err), FERRY_ENOTDIR, "/t/a");
    assert_fails(ferry_ls(vm, "/t/none", &names, &err), FERRY_ENOENT, "/t/none");
    assert_fails(ferry_readdir(vm, "/t/a", &list, &err), FERRY_ENOTDIR, "/t/a");
    assert_null(names);
    assert_null(list.val);
}

static void checksums(void **state)
{
    (void)state;
    static const char *const types[] = {"md5",    "sha1",   "sha224",
                                        "sha256", "sha384", "sha512"};
    char *sum = NULL, expected[256];
    make_file(scratch("sums"), 3 * MIB + 1, 8);
    assert_ok(ferry_upload(vm, scratch("sums"), "/t/sums", NULL, &err));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_ok(ferry_checksum(vm, types[i], "/t/sums", &sum, &err));
        snprintf(expected, sizeof expected, "%s",
                 host("%ssum '%s'", types[i], scratch("sums")));
        expected[strcspn(expected, " ")] = '\0';
        assert_string_equal(sum, expected);
        free(sum);
    }
    assert_ok(ferry_checksum(vm, "crc", "/t/sums", &sum, &err));
    snprintf(expected, sizeof expected, "%s", host("cksum '%s'", scratch("sums")));
    expected[strcspn(expected, " ")] = '\0';
    assert_string_equal(sum, expected);
    free(sum);

    sum = NULL;
    assert_fails(ferry_checksum(vm, "sha3", "/t/sums", &sum, &err), FERRY_EINVAL,
                 "sha256");
    assert_fails(ferry_checksum(vm, "md5", "/t", &sum, &err), FERRY_EISDIR, "/t");
    assert_fails(ferry_checksum(vm, "md5", "/t/none", &sum, &err), FERRY_ENOENT,
                 "/t/none");
    assert_null(sum);
}

/* ---- names ---------------------------------------------------------------------- */

static void mkdir_and_mkdir_p(void **state)
{
    (void)state;
    ferry_mkdir_opts opts = {.size = sizeof opts, .mode = 02750};
    assert_ok(ferry_mkdir(vm, "/t/d", NULL, &err));
    assert_int_equal(guest_stat("/t/d").mode, S_IFDIR | 0777);
    assert_ok(ferry_mkdir(vm, "/t/m", &opts, &err));
    assert_int_equal(guest_stat("/t/m").mode, S_IFDIR | 02750);
    assert_fails(ferry_mkdir(vm, "/t/d", NULL, &err), FERRY_EEXIST, "/t/d");
    assert_fails(ferry_mkdir(vm, "/t/x/y", NULL, &err), FERRY_ENOENT, "/t/x/y");

    assert_ok(ferry_mkdir_p(vm, "/t/x/y/z", &err));
    assert_ok(ferry_mkdir_p(vm, "/t/x/y/z", &err));
    assert_ok(ferry_mkdir_p(vm, "/", &err));
    assert_guest_ls("/t/x/y", "z");
    put("/t/file", "");
    assert_fails(ferry_mkdir_p(vm, "/t/file/d", &err), FERRY_ENOTDIR, "/t/file/d");
    assert_fails(ferry_mkdir_p(vm, "/t/file", &err), FERRY_ENOTDIR, "/t/file");
}

static void rm_and_rm_rf(void **state)
{
    (void)state;
    put("/t/file", "");
    assert_ok(ferry_mkdir_p(vm, "/t/deep/a/b/c", &err));
    put("/t/deep/a/b/c/file", "");
    put("/t/kept", "");
    assert_ok(ferry_ln_s(vm, "/t/kept", "/t/deep/link", &err));
    assert_fails(ferry_rm(vm, "/t/deep", &err), FERRY_EISDIR, "/t/deep");
    assert_fails(ferry_rm(vm, "/t/none", &err), FERRY_ENOENT, "/t/none");
    assert_ok(ferry_rm(vm, "/t/file", &err));
    assert_ok(ferry_rm_rf(vm, "/t/deep", &err));
    assert_ok(ferry_rm_rf(vm, "/t/none", &err));
    assert_guest_ls("/t", "kept");
    assert_fails(ferry_rm_rf(vm, "/", &err), FERRY_EINVAL, "/");

    /* A link is removed itself, whatever it leads to. */
    assert_ok(ferry_ln_s(vm, "kept", "/t/link", &err));
    assert_ok(ferry_rm(vm, "/t/link", &err));
    assert_ok(ferry_ln_s(vm, "/t", "/t/link", &err));
    assert_ok(ferry_rm_rf(vm, "/t/link", &err));
    assert_guest_ls("/t", "kept");
}

static void mv(void **state)
{
    (void)state;
    put("/t/a", "a");
    put("/t/b", "b");
    assert_ok(ferry_mkdir_p(vm, "/t/d/a", &err));
    assert_ok(ferry_mv(vm, "/t/a", "/t/c", &err));
    assert_ok(ferry_mv(vm, "/t/b", "/t/c", &err)); /* replaced */
    assert_guest_is("/t/c", "b", 1);
    assert_ok(ferry_mv(vm, "/t/c", "/t/d", &err)); /* into */
    assert_guest_ls("/t/d", "a c");
    assert_ok(ferry_mv(vm, "/t/d", "/t/e", &err));
    assert_guest_ls("/t", "e");
    assert_fails(ferry_mv(vm, "/t/none", "/t/x", &err), FERRY_ENOENT, "/t/none");
    assert_fails(ferry_mv(vm, "/t/e", "/t/e/a", &err), FERRY_EINVAL, "/t/e/a");
    put("/t/a", "a");
    assert_fails(ferry_mv(vm, "/t/a", "/t/e", &err), FERRY_EISDIR,
                 "/t/e"); /* e/a is one */
    assert_ok(ferry_mkdir_p(vm, "/t/f/e/full", &err));
    assert_fails(ferry_mv(vm, "/t/e", "/t/f", &err), FERRY_ENOTEMPTY, "/t/f");
}

static void ln_s_and_readlink(void **state)
{
    (void)state;
    char *target = NULL;
    static const char *const targets[] = {"file", "/absolute/one", "../../up",
                                          "no such"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        assert_ok(ferry_ln_s(vm, targets[i], "/t/link", &err));
        assert_ok(ferry_readlink(vm, "/t/link", &target, &err));
        assert_string_equal(target, targets[i]);
        free(target);
        assert_fails(ferry_ln_s(vm, "x", "/t/link", &err), FERRY_EEXIST, "/t/link");
        assert_ok(ferry_rm(vm, "/t/link", &err));
    }
    put("/t/file", "");
    assert_fails(ferry_readlink(vm, "/t/file", &target, &err), FERRY_EINVAL, "/t/file");
    assert_fails(ferry_readlink(vm, "/t/none", &target, &err), FERRY_ENOENT, "/t/none");
    assert_fails(ferry_ln_s(vm, "x", "/t/none/x", &err), FERRY_ENOENT, "/t/none/x");
}

/* ---- inodes --------------------------------------------------------------------- */

static void touch_and_truncate(void **state)
{
    (void)state;
    assert_ok(ferry_touch(vm, "/t/new", &err));
    assert_int_equal(guest_stat("/t/new").size, 0);
    assert_int_equal(guest_stat("/t/new").mode, S_IFREG | 0666);
    put("/t/file", "12345");
    int64_t before = guest_stat("/t/file").mtime_sec;
    assert_ok(ferry_touch(vm, "/t/file", &err));
    assert_true(guest_stat("/t/file").mtime_sec >= before);
    assert_guest_is("/t/file", "12345", 5);
    assert_ok(ferry_touch(vm, "/t", &err)); /* a directory's times, too */

    assert_ok(ferry_truncate_size(vm, "/t/file", 2, &err));
    assert_guest_is("/t/file", "12", 2);
    assert_ok(ferry_truncate_size(vm, "/t/file", 4, &err));
    assert_guest_is("/t/file", "12\0\0", 4);
    assert_ok(ferry_truncate_size(vm, "/t/file", (int64_t)GIB, &err));
    assert_in_range(guest_stat("/t/file").blocks, 0, 8);
    assert_fails(ferry_truncate_size(vm, "/t/file", -1, &err), FERRY_EINVAL, "negative");
    assert_fails(ferry_truncate_size(vm, "/t/file", INT64_MAX, &err), FERRY_EFBIG,
                 "/t/file");
    assert_fails(ferry_truncate_size(vm, "/t", 0, &err), FERRY_EISDIR, "/t");
    assert_fails(ferry_truncate_size(vm, "/t/none", 0, &err), FERRY_ENOENT, "/t/none");
    assert_fails(ferry_touch(vm, "/t/none/x", &err), FERRY_ENOENT, "/t/none/x");
}

static void chmod_and_chown(void **state)
{
    (void)state;
    put("/t/file", "");
    assert_ok(ferry_ln_s(vm, "file", "/t/link", &err));
    assert_ok(ferry_chown(vm, 4000000000, 7, "/t/link", &err));
    assert_ok(ferry_chmod(vm, 06755, "/t/link", &err));
    assert_int_equal(guest_stat("/t/file").mode, S_IFREG | 06755);
    assert_int_equal(guest_stat("/t/file").uid, 4000000000);
    assert_int_equal(guest_stat("/t/file").gid, 7);
    assert_int_equal(guest_stat("/t/link").uid, 0);
    assert_fails(ferry_chmod(vm, 0644, "/t/none", &err), FERRY_ENOENT, "/t/none");
    assert_fails(ferry_chmod(vm, 010000, "/t/file", &err), FERRY_EINVAL, "mode");
    assert_fails(ferry_chown(vm, 0, 0, "/t/none", &err), FERRY_ENOENT, "/t/none");
}

/* ---- the root ------------------------------------------------------------------- */

/* Links and dots of the image lead to places of the image, never to the appliance's. */
static void nothing_leads_out_of_the_image(void **state)
{
    (void)state;
    static const char *const ways[] = {"/t/abs/passwd", "/t/up/etc/passwd",
                                       "/../../../../t/etc/passwd", "/t/chain/passwd"};
    assert_ok(ferry_mkdir(vm, "/t/etc", NULL, &err));
    put("/t/etc/passwd", "the image's\n");
    assert_ok(ferry_ln_s(vm, "/t/etc", "/t/abs", &err));
    assert_ok(ferry_ln_s(vm, "../../../../../../../t", "/t/up", &err));
    assert_ok(ferry_ln_s(vm, "up/abs", "/t/chain", &err));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        assert_guest_is(ways[i], "the image's\n", 12);
        assert_ok(ferry_upload_mem(vm, "the image's\n", 12, ways[i], NULL, &err));
    }
    assert_guest_ls("/t/etc", "passwd");

    char **names = NULL;
    ferry_stat_info st = {0};
    assert_ok(ferry_ln_s(vm, "/proc/self/root", "/t/magic", &err));
    assert_fails(ferry_stat(vm, "/t/magic/init", &st, &err), FERRY_ENOENT,
                 "/t/magic/init");
    assert_fails(ferry_ls(vm, "/../usr", &names, &err), FERRY_ENOENT, "usr");
    assert_fails(ferry_rm_rf(vm, "/t/..", &err), FERRY_EINVAL, "/t/..");
}

#define file_test(f) cmocka_unit_test_setup_teardown(f, clear, vm_leaves_nothing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        file_test(stat_and_lstat),    file_test(ls_and_readdir),
        file_test(checksums),         file_test(mkdir_and_mkdir_p),
        file_test(rm_and_rm_rf),      file_test(mv),
        file_test(ln_s_and_readlink), file_test(touch_and_truncate),
        file_test(chmod_and_chown),   file_test(nothing_leads_out_of_the_image),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
