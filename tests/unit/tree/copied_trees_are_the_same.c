/* What is read of a tree is what is made of it: content, holes, names, links of both kinds, modes, times,
 * attributes; wherever the stream is cut on its way. */
#include "pair.h"

#include "base/auto.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include <cmocka.h>

#define MIB (1 << 20)

static int copy(unsigned keep, size_t cut)
{
    struct pair p = {.keep = keep, .cut = cut};
    int r = pair_copy(&p, "t", "t");
    assert_int_equal(p.n, 0);
    assert_int_equal(p.made.files, p.total_files);
    return r;
}

static void set_time(const char *path, time_t at)
{
    const struct timespec times[2] = {{at + 1, 11}, {at, 123456789}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_tree(void)
{
    make_dir("from/t", 0755);
    make_dir("from/t/sub", 0750);
    make_dir("from/t/locked", 0755);
    make_dir("from/t/empty", 0700);
    make_file("from/t/empty file", "", 0644);
    make_file("from/t/a", "content of a", 0640);
    make_file("from/t/sub/with\nnewline and \303\234", "odd", 0444);
    make_file("from/t/locked/inside", "in", 0600);
    assert_int_equal(chmod("from/t/locked", 0555), 0);
    assert_int_equal(link("from/t/a", "from/t/sub/twin of a"), 0);
    assert_int_equal(symlink("../a", "from/t/sub/rel"), 0);
    assert_int_equal(symlink("/etc/passwd", "from/t/abs"), 0);
    assert_int_equal(symlink("nowhere", "from/t/dangling"), 0);
    set_time("from/t/a", 1000000000);
    set_time("from/t/abs", 1100000000);
    set_time("from/t/sub", 1200000000);
    set_time("from/t", 1300000000);
}

static void same_time(const char *path, time_t at)
{
    struct stat st = look(path);
    assert_int_equal(st.st_mtim.tv_sec, at);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
}

static void check_tree(void)
{
    char target[64] = "";
    assert_true(file_is("to/t/a", "content of a"));
    assert_true(file_is("to/t/empty file", ""));
    assert_true(file_is("to/t/sub/with\nnewline and \303\234", "odd"));
    assert_true(file_is("to/t/locked/inside", "in"));
    assert_int_equal(look("to/t/a").st_ino, look("to/t/sub/twin of a").st_ino);
    assert_int_equal(look("to/t/a").st_nlink, 2);
    assert_int_equal(readlink("to/t/sub/rel", target, sizeof target), 4);
    assert_string_equal(target, "../a");
    assert_true(S_ISLNK(look("to/t/dangling").st_mode));
    assert_int_equal(look("to/t/a").st_mode & 07777, 0640);
    assert_int_equal(look("to/t/sub").st_mode & 07777, 0750);
    assert_int_equal(look("to/t/locked").st_mode & 07777, 0555);
    assert_int_equal(look("to/t/empty").st_mode & 07777, 0700);
    same_time("to/t/a", 1000000000);
    same_time("to/t/abs", 1100000000);
    assert_int_equal(count_names("to/t"), 7);
}

static void a_small_tree(void **state)
{
    (void)state;
    static const size_t cuts[] = {0, 1, 2, 7, 8, 9, 64, 1000};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        pair_reset();
        make_tree();
        assert_int_equal(copy(0, cuts[i]), 0);
        check_tree();
        same_time("to/t/sub", 1200000000);
        same_time("to/t", 1300000000);
        /* And once more, over what is there: the directories are not ours any more. */
        assert_int_equal(copy(0, cuts[i]), 0);
        check_tree();
    }
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (uint8_t)(seed >> 24);
    }
}

static void make_large(const char *path, const uint8_t *data, off_t size,
                       const off_t *islands, size_t n, size_t island)
{
    FERRY_AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, size), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pwrite(fd, data, island, islands[i]), island);
}

static bool same_content(const char *one, const char *other)
{
    FERRY_AUTO(fd) int a = open(one, O_RDONLY | O_CLOEXEC);
    FERRY_AUTO(fd) int b = open(other, O_RDONLY | O_CLOEXEC);
    static uint8_t x[MIB], y[MIB];
    for (;;) {
        ssize_t n = read(a, x, MIB), m = read(b, y, MIB);
        if (n != m || n < 0 || memcmp(x, y, (size_t)n) != 0)
            return false;
        if (n == 0)
            return true;
    }
}

static void large_files_and_holes(void **state)
{
    (void)state;
    static uint8_t data[MIB];
    static const off_t islands[] = {0, 3 * MIB, 3 * MIB + 70000, 20 * MIB + 8192};
    static const off_t sizes[] = {65535,  65536, 65537,      262144,
                                  300000, MIB,   5 * MIB + 3};
    static const size_t cuts[] = {0, 4096, 65537};
    fill(data, MIB, 7);
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        pair_reset();
        make_dir("from/t", 0755);
        make_large("from/t/sparse", data, 64 * MIB, islands, 4, 66000);
        make_large("from/t/hole", data, 8 * MIB, islands, 0, 0);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char path[64];
            snprintf(path, sizeof path, "from/t/%zu", i);
            make_large(path, data, sizes[i], islands, 1,
                       sizes[i] < MIB ? (size_t)sizes[i] : MIB);
        }
        assert_int_equal(copy(0, cuts[c]), 0);
        assert_true(same_content("from/t/sparse", "to/t/sparse"));
        assert_true(same_content("from/t/hole", "to/t/hole"));
        assert_true(look("to/t/sparse").st_blocks <= 2 * look("from/t/sparse").st_blocks);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char from[64], to[64];
            snprintf(from, sizeof from, "from/t/%zu", i);
            snprintf(to, sizeof to, "to/t/%zu", i);
            assert_true(same_content(from, to));
        }
        assert_int_equal(count_names("to/t"), 9);
    }
}

/* A path to the bottom would be longer than PATH_MAX, and a descriptor for each level more than
 * most programs may have. */
static void deep_trees(void **state)
{
    (void)state;
    enum { DEPTH = 3000 };
    make_dir("from/t", 0755);
    int fd = open("from/t", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(fd, "deep", 0755), 0);
        int next = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(openat(fd, "bottom", O_WRONLY | O_CREAT, 0644));
    close(fd);

    assert_int_equal(copy(0, 0), 0);
    fd = open("to/t", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEPTH; i++) {
        int next = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    assert_int_equal(faccessat(fd, "bottom", F_OK, 0), 0);
    close(fd);
}

static void a_file_and_a_link_alone(void **state)
{
    (void)state;
    struct pair p = {0};
    make_file("from/f", "alone", 0600);
    assert_int_equal(symlink("f", "from/l"), 0);
    assert_int_equal(pair_copy(&p, "f", "other name"), 0);
    assert_true(file_is("to/other name", "alone"));
    assert_int_equal(pair_copy(&p, "l", "link"), 0);
    assert_true(S_ISLNK(look("to/link").st_mode));
    assert_int_equal(pair_copy(&p, "f", "."), -EISDIR);
    assert_int_equal(count_names("to"), 2);
}

static void what_is_inside_goes_into_a_directory(void **state)
{
    (void)state;
    struct pair p = {0};
    make_file("from/f", "x", 0600);
    make_file("to/before", "y", 0600);
    assert_int_equal(chmod("to", 0711), 0);
    assert_int_equal(pair_copy(&p, ".", "."), 0);
    assert_true(file_is("to/f", "x"));
    assert_true(file_is("to/before", "y"));
    assert_int_equal(look("to").st_mode & 0777, 0711);
}

/* ---- what is kept only when asked for ------------------------------------------------------- */

static void modes_follow_the_umask_unless_asked(void **state)
{
    (void)state;
    make_dir("from/t", 0777);
    make_file("from/t/f", "x", 0666);
    make_file("from/t/suid", "x", 0755);
    assert_int_equal(chmod("from/t/suid", 04755), 0);
    assert_int_equal(copy(0, 0), 0);
    assert_int_equal(look("to/t").st_mode & 07777, 0755);
    assert_int_equal(look("to/t/f").st_mode & 07777, 0644);
    assert_int_equal(look("to/t/suid").st_mode & 07777, 0755);

    assert_int_equal(copy(FERRY_TREE_ARCHIVE | FERRY_TREE_SUID, 0), 0);
    assert_int_equal(look("to/t").st_mode & 07777, 0777);
    assert_int_equal(look("to/t/f").st_mode & 07777, 0666);
    assert_int_equal(look("to/t/suid").st_mode & 07777, 04755);
}

static void a_replaced_file_keeps_what_is_its_own(void **state)
{
    (void)state;
    struct pair p = {0};
    make_file("from/f", "new", 0644);
    make_file("to/f", "old", 0640);
    assert_int_equal(pair_copy(&p, "f", "f"), 0);
    assert_true(file_is("to/f", "new"));
    assert_int_equal(look("to/f").st_mode & 07777, 0640);
    p.keep = FERRY_TREE_ARCHIVE;
    assert_int_equal(pair_copy(&p, "f", "f"), 0);
    assert_int_equal(look("to/f").st_mode & 07777, 0644);
}

static void owners_are_kept_by_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_dir("from/t", 0755);
    make_file("from/t/f", "x", 0644);
    assert_int_equal(symlink("f", "from/t/l"), 0);
    assert_int_equal(chown("from/t/f", 12, 34), 0);
    assert_int_equal(lchown("from/t/l", 56, 78), 0);
    assert_int_equal(chown("from/t", 90, 91), 0);
    assert_int_equal(copy(0, 0), 0);
    assert_int_equal(look("to/t/f").st_uid, 0);
    assert_int_equal(copy(FERRY_TREE_ARCHIVE, 0), 0);
    assert_int_equal(look("to/t/f").st_uid, 12);
    assert_int_equal(look("to/t/f").st_gid, 34);
    assert_int_equal(look("to/t/l").st_uid, 56);
    assert_int_equal(look("to/t").st_gid, 91);
}

static void attributes_are_kept(void **state)
{
    (void)state;
    char value[64] = "";
    make_dir("from/t", 0755);
    make_file("from/t/f", "x", 0644);
    if (setxattr("from/t/f", "user.ferry", "value\0with zero", 15, 0) < 0)
        skip(); /* a file system without them */
    assert_int_equal(setxattr("from/t", "user.dir", "d", 1, 0), 0);
    assert_int_equal(setxattr("from/t/f", "user.empty", "", 0, 0), 0);
    assert_int_equal(copy(0, 3), 0);
    assert_int_equal(getxattr("to/t/f", "user.ferry", value, sizeof value), 15);
    assert_memory_equal(value, "value\0with zero", 15);
    assert_int_equal(getxattr("to/t/f", "user.empty", value, sizeof value), 0);
    assert_int_equal(getxattr("to/t", "user.dir", value, sizeof value), 1);
}

static int fresh(void **state)
{
    (void)state;
    pair_reset();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_tree),
        TEST(large_files_and_holes),
        TEST(deep_trees),
        TEST(a_file_and_a_link_alone),
        TEST(what_is_inside_goes_into_a_directory),
        TEST(modes_follow_the_umask_unless_asked),
        TEST(a_replaced_file_keeps_what_is_its_own),
        TEST(owners_are_kept_by_root),
        TEST(attributes_are_kept),
    };
    return cmocka_run_group_tests(tests, pair_setup, pair_teardown);
}
