/* Whatever an image calls its files, nothing is made or opened outside the directory that a
 * tree is copied to: not by "..", not by an absolute name, not through a symbolic link that
 * was made a moment before. */
#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/gferry-beneath-XXXXXX";
static int root;

/* top/outside must stay as it is; everything happens in top/tree. */
static int make_dirs(void **state)
{
    (void)state;
    if (!mkdtemp(top) || chdir(top) < 0)
        return -1;
    if (mkdir("tree", 0700) < 0 || mkdir("outside", 0700) < 0)
        return -1;
    root = open("tree", O_RDONLY | O_DIRECTORY);
    return root < 0 ? -1 : 0;
}

static int remove_dirs(void **state)
{
    (void)state;
    close(root);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static void assert_outside_is_empty(void)
{
    /* rmdir refuses if anything came into it. */
    assert_int_equal(rmdir("outside"), 0);
    assert_int_equal(mkdir("outside", 0700), 0);
}

static int try_create(const char *rel)
{
    char *temp = NULL;
    int fd = beneath_create(root, rel, 0600, &temp);
    if (fd < 0)
        return fd;
    int r = beneath_commit(root, rel, fd, temp);
    close(fd);
    free(temp);
    return r;
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(beneath_check_name("x"), 0);
    assert_int_equal(beneath_check_name("..."), 0);
    assert_int_equal(beneath_check_name(""), -EINVAL);
    assert_int_equal(beneath_check_name("."), -EINVAL);
    assert_int_equal(beneath_check_name(".."), -EINVAL);
    assert_int_equal(beneath_check_name("a/b"), -EINVAL);
    assert_int_equal(beneath_check_name("/etc"), -EINVAL);
}

static void dots_and_slashes(void **state)
{
    (void)state;
    static const char *const bad[] = {"../outside/x", "..", "a/../../outside/x", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(try_create(bad[i]) < 0);
        assert_true(beneath_mkdir(root, bad[i], 0700) < 0);
        assert_true(beneath_symlink(root, bad[i], "x") < 0);
    }
    char absolute[sizeof top + 16];
    snprintf(absolute, sizeof absolute, "%s/outside/x", top);
    assert_int_equal(try_create(absolute), -EXDEV);
    assert_outside_is_empty();
}

/* The kernel says ELOOP or ENOTDIR, depending on where in the path the link is. */
static void assert_refused(int r)
{
    assert_true(r == -ELOOP || r == -ENOTDIR);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    assert_int_equal(beneath_symlink(root, "out", "../outside"), 0);
    assert_int_equal(beneath_symlink(root, "here", "."), 0);
    assert_refused(try_create("out/x"));
    assert_refused(beneath_mkdir(root, "out/d", 0700));
    assert_refused(beneath_symlink(root, "out/l", "x"));
    /* Not even one that stays inside: nobody can tell at that point. */
    assert_refused(try_create("here/x"));
    /* A link where a directory is wanted is no directory. */
    assert_refused(beneath_mkdir(root, "out", 0700));
    assert_refused(beneath_open(root, "out", O_RDONLY));
    assert_refused(beneath_chmod_dir(root, "out", 0));
    assert_outside_is_empty();
    struct stat st;
    assert_int_equal(stat("outside", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_file_replaces_a_link_itself(void **state)
{
    (void)state;
    assert_int_equal(beneath_symlink(root, "l", "../outside/victim"), 0);
    assert_int_equal(try_create("l"), 0);
    struct stat st;
    assert_int_equal(lstat("tree/l", &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_outside_is_empty();
}

static void nothing_has_the_name_until_commit(void **state)
{
    (void)state;
    char *temp = NULL;
    int fd = beneath_create(root, "later", 0600, &temp);
    assert_true(fd >= 0);
    assert_int_equal(access("tree/later", F_OK), -1);
    beneath_discard(root, "later", temp);
    close(fd);

    char path[64];
    snprintf(path, sizeof path, "tree/%s", temp);
    assert_int_equal(access(path, F_OK), -1);
    free(temp);
}

static void a_replaced_file_keeps_its_permissions(void **state)
{
    (void)state;
    int old = open("tree/kept", O_WRONLY | O_CREAT, 0640);
    assert_true(old >= 0);
    assert_int_equal(fchmod(old, 0640), 0);
    close(old);
    assert_int_equal(try_create("kept"), 0);
    struct stat st;
    assert_int_equal(stat("tree/kept", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void directories_may_be_there(void **state)
{
    (void)state;
    assert_int_equal(beneath_mkdir(root, "d", 0700), 1);
    assert_int_equal(beneath_mkdir(root, "d", 0755), 0);
    assert_int_equal(beneath_mkdir(root, "d/e", 0700), 1);
    assert_int_equal(try_create("d/e/f"), 0);
    assert_int_equal(beneath_mkdir(root, "d/e/f", 0700), -ENOTDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(dots_and_slashes),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(a_file_replaces_a_link_itself),
        cmocka_unit_test(nothing_has_the_name_until_commit),
        cmocka_unit_test(a_replaced_file_keeps_its_permissions),
        cmocka_unit_test(directories_may_be_there),
    };
    return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
