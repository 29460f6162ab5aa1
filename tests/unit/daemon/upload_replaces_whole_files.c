/* An upload makes the target hold exactly what was sent, whatever the size and the pieces it
 * comes in, and keeps owner, mode, xattrs and ACL of a file that it replaces. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static void any_size_in_any_pieces(struct guest *g)
{
    static const size_t sizes[] = {0,       1,       4095,    4096,    4097,   262144,
                                   1048575, 1048576, 1048577, 5000000, 8388608};
    static const size_t pieces[] = {0, 4096, 65536, 100000, 262144, 777};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            size_t len = sizes[i];
            if (pieces[k] == 777 && len > 2000000)
                len = 2000000; /* as many frames as are worth their time */
            FERRY_AUTO(mem) char *data = test_bytes(len, (unsigned)(i + k));
            ferry_error e = {0};
            if (!check_equal(guest_upload(g, "/f", data, len, pieces[k], NULL, &e), 0))
                fprintf(stderr, "%zu bytes by %zu: %s\n", len, pieces[k], e.msg);
            check(file_is(guest_path(g, "/f"), data, len));
            check_equal(count_entries(g->root), 1); /* no temporary */
        }
}

static void new_file_gets_mode_and_owner(struct guest *g)
{
    struct stat st;
    fx_upload_args a = {.mode = 04751, .uid = 1234, .gid = 4321};
    check_equal(guest_upload(g, "/new", "x", 1, 0, &a, NULL), 0);
    check_equal(stat(guest_path(g, "/new"), &st), 0);
    check_equal(st.st_mode, S_IFREG | 04751);
    check_equal(st.st_uid, 1234);
    check_equal(st.st_gid, 4321);

    check_equal(guest_upload(g, "/plain", "x", 1, 0, NULL, NULL), 0);
    check_equal(stat(guest_path(g, "/plain"), &st), 0);
    check_equal(st.st_mode, S_IFREG | 0644);
    check_equal(st.st_uid, 0);
}

/* user::rw-,user:77:rw-,group::r--,mask::rw-,other::--- as the kernel stores it. */
static const unsigned char acl[] = {
    2, 0,  0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   6,
    0, 77, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16,  0,
    6, 0,  255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255,
};

static void replaced_file_hands_down(struct guest *g, size_t len)
{
    struct stat before, after;
    unsigned char got[sizeof acl];
    char value[16];
    const char *path = guest_path(g, "/old");
    FERRY_AUTO(mem) char *data = test_bytes(len, 9);

    check(write_file(path, "old", 3, 0640));
    check_equal(chown(path, 33, 44), 0);
    check_equal(chmod(path, 02660), 0);
    bool has_xattr = setxattr(path, "user.note", "kept", 4, 0) == 0;
    bool has_acl = setxattr(path, "system.posix_acl_access", acl, sizeof acl, 0) == 0;
    check_equal(stat(path, &before), 0);

    fx_upload_args a = {.mode = 0777, .uid = 1, .gid = 1};
    check_equal(guest_upload(g, "/old", data, len, 0, &a, NULL), 0);
    check_equal(stat(path, &after), 0);
    check(after.st_ino != before.st_ino); /* replaced, not written over */
    check_equal(after.st_mode, before.st_mode);
    check_equal(after.st_uid, 33);
    check_equal(after.st_gid, 44);
    check(file_is(path, data, len));
    if (has_xattr)
        check_equal(getxattr(path, "user.note", value, sizeof value), 4);
    if (has_acl) {
        check_equal(getxattr(path, "system.posix_acl_access", got, sizeof got),
                    sizeof acl);
        check(memcmp(got, acl, sizeof acl) == 0);
    }
    if (!has_xattr || !has_acl)
        fprintf(stderr, "not looked at here: %s%s\n", has_xattr ? "" : "xattrs ",
                has_acl ? "" : "ACLs");
}

static void replaced_small_and_large(struct guest *g)
{
    replaced_file_hands_down(g, 100);
    replaced_file_hands_down(g, 3 * 1024 * 1024 + 5);
}

static void link_is_followed_to_its_file(struct guest *g)
{
    struct stat st;
    check_equal(mkdir(guest_path(g, "/dir"), 0755), 0);
    check_equal(symlink("dir/real", guest_path(g, "/link")), 0);
    check_equal(guest_upload(g, "/link", "one", 3, 0, NULL, NULL), 0); /* dangling */
    check(file_is(guest_path(g, "/dir/real"), "one", 3));
    check_equal(guest_upload(g, "/link", "two", 3, 0, NULL, NULL), 0);
    check(file_is(guest_path(g, "/dir/real"), "two", 3));
    check_equal(lstat(guest_path(g, "/link"), &st), 0);
    check(S_ISLNK(st.st_mode));
}

static void durable_is_the_same_file(struct guest *g)
{
    fx_upload_args a = {.durable = true};
    FERRY_AUTO(mem) char *data = test_bytes(2000000, 3);
    check_equal(guest_upload(g, "/d1", data, 10, 0, &a, NULL), 0);
    check_equal(guest_upload(g, "/d2", data, 2000000, 0, &a, NULL), 0);
    check(file_is(guest_path(g, "/d2"), data, 2000000));
}

static void what_cannot_be_is_told(struct guest *g)
{
    ferry_error e = {0};
    check_equal(mkdir(guest_path(g, "/dir"), 0755), 0);
    check_equal(mkfifo(guest_path(g, "/fifo"), 0644), 0);
    check_equal(guest_upload(g, "/dir", "x", 1, 0, NULL, &e), -FERRY_EISDIR);
    check(strcmp(e.msg, "/dir: is a directory") == 0);
    check(strcmp(e.where, "upload") == 0);
    check_equal(guest_upload(g, "/", "x", 1, 0, NULL, &e), -FERRY_EISDIR);
    check_equal(guest_upload(g, "/no/such", "x", 1, 0, NULL, &e), -FERRY_ENOENT);
    check_equal(guest_upload(g, "/new/", "x", 1, 0, NULL, &e), -FERRY_EISDIR);
    check_equal(guest_upload(g, "relative", "x", 1, 0, NULL, &e), -FERRY_EINVAL);
    check_equal(guest_upload(g, "/fifo", "x", 1, 0, NULL, &e), -FERRY_EINVAL);
    check_equal(guest_upload(g, "/fifo/x", "x", 1, 0, NULL, &e), -FERRY_ENOTDIR);
    check_equal(count_entries(g->root), 2);
}

/* Without O_TMPFILE, owners or parallel writes: every other way through target.c. */
static void test_any_size_on_ntfs(void **state)
{
    (void)state;
    if (!in_guest_on("ntfs", 128, any_size_in_any_pieces))
        skip();
}

GUEST_TEST(any_size_in_any_pieces)
GUEST_TEST(new_file_gets_mode_and_owner)
GUEST_TEST(replaced_small_and_large)
GUEST_TEST(link_is_followed_to_its_file)
GUEST_TEST(durable_is_the_same_file)
GUEST_TEST(what_cannot_be_is_told)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_size_in_any_pieces),
        cmocka_unit_test(test_any_size_on_ntfs),
        cmocka_unit_test(test_new_file_gets_mode_and_owner),
        cmocka_unit_test(test_replaced_small_and_large),
        cmocka_unit_test(test_link_is_followed_to_its_file),
        cmocka_unit_test(test_durable_is_the_same_file),
        cmocka_unit_test(test_what_cannot_be_is_told),
    };
    return guest_run(tests);
}
