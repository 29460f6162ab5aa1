/* What a launch needs and does not find is named, with where it was looked for and what
 * to do. */
#include "launch/appliance.h"

#include "base/auto.h"

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

static char dir[64];
static char old_path[4096];

static int enter_dir(void **state)
{
    (void)state;
    snprintf(old_path, sizeof old_path, "%s", getenv("PATH"));
    unsetenv("FERRY_APPLIANCE");
    unsetenv("FERRY_QEMU");
    unsetenv("FERRY_LIBEXEC");
    strcpy(dir, "/tmp/ferry-files-XXXXXX");
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_dir(void **state)
{
    (void)state;
    char command[96];
    setenv("PATH", old_path, 1);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void make(const char *name, mode_t mode, const char *content)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void assert_says(const ferry_error *e, const char *part)
{
    if (!strstr(e->msg, part))
        fail_msg("\"%s\" does not say \"%s\"", e->msg, part);
}

static void appliance_not_found(const char *given, const char *part, const char *part2)
{
    ferry_appliance a = {0};
    ferry_error e = {0};
    assert_int_equal(ferry_appliance_find(given, &a, &e), -FERRY_ELAUNCH);
    assert_null(a.dir);
    assert_says(&e, "no appliance");
    assert_says(&e, part);
    assert_says(&e, part2);
    assert_says(&e, "./dev build");
}

static void appliance(void **state)
{
    (void)state;
    appliance_not_found(NULL, "guestferry/appliance/vmlinux", "installed");
    setenv("FERRY_APPLIANCE", "/no/where", 1);
    appliance_not_found(NULL, "/no/where/vmlinux", "$FERRY_APPLIANCE");
    appliance_not_found("elsewhere", "elsewhere/vmlinux", "option");

    assert_int_equal(mkdir("app", 0700), 0);
    make("app/vmlinux", 0600, "ELF");
    appliance_not_found("app", "app/initramfs", "no such file");
    make("app/initramfs", 0600, "");
    appliance_not_found("app", "app/initramfs", "empty");
    make("app/initramfs", 0600, "070701");
    appliance_not_found("app", "app/usr.img", "no such file");
    make("app/usr.img", 0600, "ext4");
    appliance_not_found("app", "app/qboot.rom", "no such file");
    make("app/qboot.rom", 0600, "rom");

    setenv("FERRY_APPLIANCE", "app", 1);
    ferry_appliance a = {0};
    ferry_error e = {0};
    char expected[128];
    assert_int_equal(ferry_appliance_find(NULL, &a, &e), 0);
    snprintf(expected, sizeof expected, "%s/app/vmlinux", dir);
    assert_string_equal(a.kernel, expected);
    snprintf(expected, sizeof expected, "%s/app/initramfs", dir);
    assert_string_equal(a.initramfs, expected);
    snprintf(expected, sizeof expected, "%s/app/usr.img", dir);
    assert_string_equal(a.usr, expected);
    snprintf(expected, sizeof expected, "%s/app/qboot.rom", dir);
    assert_string_equal(a.bios, expected);
    ferry_appliance_done(&a);
}

/* The manifest says what the appliance is for, and so which files belong to it. */
static void appliance_of_another_architecture(void **state)
{
    (void)state;
    ferry_appliance a = {0};
    ferry_error e = {0};
    assert_int_equal(mkdir("arm", 0700), 0);
    make("arm/manifest.json", 0600, "{\"arch\": \"aarch64\"}");
    appliance_not_found("arm", "arm/Image", "no such file");
    make("arm/Image", 0600, "ARMd");
    make("arm/initramfs", 0600, "070701");
    make("arm/usr.img", 0600, "ext4");
    assert_int_equal(ferry_appliance_find("arm", &a, &e), 0);
    assert_ptr_equal(a.platform, ferry_platform_find("aarch64"));
    assert_null(a.bios);

    ferry_appliance copy = {0};
    assert_int_equal(ferry_appliance_copy(&a, &copy), 0);
    assert_ptr_equal(copy.platform, a.platform);
    assert_null(copy.bios);
    ferry_appliance_done(&copy);
    ferry_appliance_done(&a);

    make("arm/manifest.json", 0600, "{\"arch\": \"vax\"}");
    assert_int_equal(ferry_appliance_find("arm", &a, &e), -FERRY_ELAUNCH);
    assert_says(&e, "/arm is for the architecture vax");
    assert_null(a.dir);
}

static void qemu_not_found(const char *given, const char *part)
{
    FERRY_AUTO(mem) char *path = NULL;
    ferry_error e = {0};
    assert_int_equal(ferry_qemu_find(ferry_platform_host(), given, &path, &e),
                     -FERRY_ELAUNCH);
    assert_null(path);
    assert_says(&e, part);
    assert_says(&e, ferry_platform_host()->package);
    assert_says(&e, "FERRY_QEMU");
}

static void assert_qemu(const char *given, const char *expected_name)
{
    FERRY_AUTO(mem) char *path = NULL;
    ferry_error e = {0};
    char expected[128];
    if (ferry_qemu_find(ferry_platform_host(), given, &path, &e) != 0)
        fail_msg("%s", e.msg);
    snprintf(expected, sizeof expected, "%s/%s", dir, expected_name);
    assert_string_equal(path, expected);
}

static void qemu(void **state)
{
    (void)state;
    const char *usual = ferry_platform_host()->qemu;
    setenv("PATH", "/no/bin", 1);
    qemu_not_found(NULL, usual);
    qemu_not_found("my-qemu", "my-qemu is not in $PATH");
    qemu_not_found("./my-qemu", "no such file");

    make("my-qemu", 0600, "#!/bin/sh\n");
    qemu_not_found("./my-qemu", "permission denied");
    assert_int_equal(chmod("my-qemu", 0700), 0);
    assert_qemu("./my-qemu", "my-qemu");
    setenv("FERRY_QEMU", "./my-qemu", 1);
    assert_qemu(NULL, "my-qemu");

    assert_int_equal(mkdir("bin", 0700), 0);
    assert_int_equal(mkdir("bin/other", 0700), 0); /* a directory is no program */
    make("bin/plain", 0600, "x");
    make("bin/other-qemu", 0700, "#!/bin/sh\n");
    setenv("PATH", "/no/bin:bin", 1);
    assert_qemu("other-qemu", "bin/other-qemu");
    qemu_not_found("plain", "permission denied");
    qemu_not_found("other", "permission denied");
}

static void guard(void **state)
{
    (void)state;
    FERRY_AUTO(mem) char *path = NULL;
    ferry_error e = {0};
    setenv("FERRY_LIBEXEC", dir, 1);
    assert_int_equal(ferry_guard_find(&path, &e), -FERRY_ELAUNCH);
    assert_says(&e, "/gferry-guard");
    assert_says(&e, "FERRY_LIBEXEC");
    make("gferry-guard", 0700, "#!/bin/sh\n");
    assert_int_equal(ferry_guard_find(&path, &e), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter_dir, leave_dir)
    const struct CMUnitTest tests[] = {TEST(appliance),
                                       TEST(appliance_of_another_architecture),
                                       TEST(qemu), TEST(guard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
