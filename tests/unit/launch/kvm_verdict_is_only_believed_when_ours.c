/* The memory of a kvm that did not boot: kept for the same host boot, qemu and kernel, and
 * believed only if nobody else can have written it. A cache that fails in any way is no
 * cache, and never an error. */
#include "launch/accel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[64], cache[96], file[128], key[FERRY_ACCEL_KEY];
static char reason[FERRY_ACCEL_REASON];

static int new_home(void **state)
{
    (void)state;
    strcpy(home, "/tmp/ferry-accel-XXXXXX");
    if (!mkdtemp(home))
        return -1;
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", home, 1);
    snprintf(cache, sizeof cache, "%s/.cache/guestferry", home);
    snprintf(file, sizeof file, "%s/kvm", cache);
    ferry_accel_key("/bin/sh", "/bin/ls", key);
    return *key ? 0 : -1;
}

static int drop_home(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static void what_is_remembered_is_recalled(void **state)
{
    (void)state;
    assert_false(ferry_accel_recall(key, reason));
    ferry_accel_remember(key, "it hung\nfor ever");
    assert_true(ferry_accel_recall(key, reason));
    assert_string_equal(reason, "it hung");

    struct stat st;
    assert_int_equal(stat(cache, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    ferry_accel_remember(key, ""); /* replaces */
    assert_true(ferry_accel_recall(key, reason));

    ferry_accel_forget();
    assert_false(ferry_accel_recall(key, reason));
    ferry_accel_forget();
}

static void xdg_cache_home_comes_first(void **state)
{
    (void)state;
    char xdg[96], there[128];
    snprintf(xdg, sizeof xdg, "%s/xdg", home);
    snprintf(there, sizeof there, "%s/guestferry/kvm", xdg);
    setenv("XDG_CACHE_HOME", xdg, 1);
    ferry_accel_remember(key, "x");
    assert_true(ferry_accel_recall(key, reason));
    assert_int_equal(access(there, F_OK), 0);
    assert_int_equal(access(file, F_OK), -1);
}

static void another_qemu_is_another_verdict(void **state)
{
    (void)state;
    char other[FERRY_ACCEL_KEY], none[FERRY_ACCEL_KEY];
    ferry_accel_key("/bin/cat", "/bin/ls", other);
    assert_string_not_equal(key, other);
    ferry_accel_key("/bin/sh", "/bin/cat", other);
    assert_string_not_equal(key, other);
    ferry_accel_key("/no/qemu", "/bin/ls", none);
    assert_string_equal(none, "");

    ferry_accel_remember(key, "x");
    assert_false(ferry_accel_recall(other, reason));
    assert_false(ferry_accel_recall(none, reason));
}

static void what_others_could_write_is_not_believed(void **state)
{
    (void)state;
    ferry_accel_remember(key, "x");
    assert_int_equal(chmod(file, 0666), 0);
    assert_false(ferry_accel_recall(key, reason));
    assert_int_equal(chmod(file, 0600), 0);
    assert_true(ferry_accel_recall(key, reason));
    assert_int_equal(chmod(cache, 0777), 0);
    assert_false(ferry_accel_recall(key, reason));
    assert_int_equal(chmod(cache, 0700), 0);

    if (geteuid() == 0) { /* only root can give files away */
        assert_int_equal(chown(file, 65534, 65534), 0);
        assert_false(ferry_accel_recall(key, reason));
        assert_int_equal(chown(file, 0, 0), 0);
        assert_int_equal(chown(home, 65534, 65534), 0);
        assert_false(ferry_accel_recall(key, reason));
        assert_int_equal(chown(home, 0, 0), 0);
    }
    assert_true(ferry_accel_recall(key, reason));

    char moved[160];
    snprintf(moved, sizeof moved, "%s.moved", file);
    assert_int_equal(rename(file, moved), 0);
    assert_int_equal(symlink(moved, file), 0);
    assert_false(ferry_accel_recall(key, reason));
}

static void garbage_is_no_cache(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "", "\n\n\n", "guestferry-kvm 1\n", "guestferry-kvm 2\nx\ny\n", "\xff\xfe",
    };
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        ferry_accel_remember(key, "x");
        int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, contents[i], strlen(contents[i])),
                         strlen(contents[i]));
        close(fd);
        assert_false(ferry_accel_recall(key, reason));
    }
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0); /* and does not hang */
    assert_false(ferry_accel_recall(key, reason));
}

static void no_home_is_no_cache(void **state)
{
    (void)state;
    setenv("HOME", "/nonexistent", 1);
    ferry_accel_remember(key, "x");
    assert_false(ferry_accel_recall(key, reason));
    unsetenv("HOME");
    ferry_accel_remember(key, "x");
    assert_false(ferry_accel_recall(key, reason));
    ferry_accel_forget();
    setenv("HOME", home, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_home, drop_home)
    const struct CMUnitTest tests[] = {
        TEST(what_is_remembered_is_recalled),
        TEST(xdg_cache_home_comes_first),
        TEST(another_qemu_is_another_verdict),
        TEST(what_others_could_write_is_not_believed),
        TEST(garbage_is_no_cache),
        TEST(no_home_is_no_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
