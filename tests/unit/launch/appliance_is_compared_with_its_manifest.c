/* A file of the appliance that is not the one its manifest names is told by name; files that
 * have not changed since they were compared are not read again. */
#include "launch/manifest.h"

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
static ferry_appliance appliance = {.dir = dir};
static atomic_bool go, stop = true;
static ferry_error err;

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void make(const char *name, const char *content)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void run(const char *command)
{
    char line[512];
    snprintf(line, sizeof line, "cd %s && { %s; }", dir, command);
    assert_int_equal(system(line), 0);
}

static int make_appliance(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/ferry-manifest-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    setenv("XDG_CACHE_HOME", in_dir("cache"), 1);
    make("vmlinux", "kernel\n");
    make("initramfs", "daemon\n");
    make("usr.img", "programs\n");
    make("qboot.rom", "firmware\n");
    /* Another tool's digests, as appliance/build writes them. */
    run("sha256sum vmlinux initramfs usr.img qboot.rom | "
        "awk 'BEGIN { printf \"{\\\"sha256\\\": {\" } "
        "{ printf \"%s\\\"%s\\\": \\\"%s\\\"\", s, $2, $1; s = \", \" } "
        "END { print \"}}\" }' >manifest.json");
    appliance.kernel = strdup(in_dir("vmlinux"));
    appliance.initramfs = strdup(in_dir("initramfs"));
    appliance.usr = strdup(in_dir("usr.img"));
    appliance.bios = strdup(in_dir("qboot.rom"));
    return 0;
}

static int drop_appliance(void **state)
{
    (void)state;
    free(appliance.kernel);
    free(appliance.initramfs);
    free(appliance.usr);
    free(appliance.bios);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void assert_damaged(const char *part)
{
    memset(&err, 0, sizeof err);
    assert_int_equal(ferry_manifest_check(&appliance, &go, &err), -FERRY_ELAUNCH);
    if (!strstr(err.msg, part) || !strstr(err.msg, "install it again"))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
}

/* Nothing is read when `stop` is set from the start: only what is remembered is good. */
static void whole_one_is_read_once(void **state)
{
    (void)state;
    assert_int_equal(ferry_manifest_check(&appliance, &stop, &err), -FERRY_ECANCELED);
    assert_int_equal(ferry_manifest_check(&appliance, &go, &err), 0);
    assert_int_equal(ferry_manifest_check(&appliance, &stop, &err), 0);

    make("initramfs", "daemon\n"); /* the same, but written again */
    assert_int_equal(ferry_manifest_check(&appliance, &stop, &err), -FERRY_ECANCELED);
    assert_int_equal(ferry_manifest_check(&appliance, &go, &err), 0);
    assert_int_equal(ferry_manifest_check(&appliance, &stop, &err), 0);
}

static void without_a_cache_it_is_read_again(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/no/where", 1);
    assert_int_equal(ferry_manifest_check(&appliance, &go, &err), 0);
    assert_int_equal(ferry_manifest_check(&appliance, &stop, &err), -FERRY_ECANCELED);
}

static void changed_file_is_named(void **state)
{
    (void)state;
    assert_int_equal(ferry_manifest_check(&appliance, &go, &err), 0);
    make("usr.img", "programZ\n");
    assert_damaged("/usr.img is not the file that its manifest.json names");
    assert_damaged("/usr.img"); /* nor is it believed the next time */
    make("usr.img", "programs\n");
    assert_int_equal(ferry_manifest_check(&appliance, &go, &err), 0);
}

static void bad_manifest_is_named(void **state)
{
    (void)state;
    run("cp manifest.json good");
    run("sed 's/qboot/other/' good >manifest.json");
    assert_damaged("/qboot.rom is not in its manifest.json");
    make("manifest.json", "{");
    assert_damaged("/manifest.json cannot be read");
    make("manifest.json", "[1]");
    assert_damaged("/vmlinux is not in its manifest.json");
    run("rm manifest.json");
    assert_damaged("/manifest.json cannot be read");
}

int main(void)
{
#define IN_DIR(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, make_appliance, drop_appliance)
    const struct CMUnitTest tests[] = {
        IN_DIR(whole_one_is_read_once),
        IN_DIR(without_a_cache_it_is_read_again),
        IN_DIR(changed_file_is_named),
        IN_DIR(bad_manifest_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
