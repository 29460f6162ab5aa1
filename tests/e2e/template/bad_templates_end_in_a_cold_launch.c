/* Whatever is wrong with a template - a flipped bit, another owner, a symbolic link, another
 * build - nothing of it is run: the launch boots, says so in one warning, and works.
 *
 * Each fault is met by two launches: one that requires a template and must fail, and one that
 * may boot. The second is left out for most of them, for it takes seconds, but in the slow run. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ferry_vm *strict; /* on the same context, with FERRY_TEMPLATE_REQUIRE */
static unsigned warnings;
static char warning[256];

static void on_warning(const ferry_error *what, void *user)
{
    (void)user;
    warnings++;
    snprintf(warning, sizeof warning, "%s", what->msg);
}

static int build(void **state)
{
    (void)state;
    scratch_make();
    host("mkdir -m 700 '%s'", scratch("cache"));
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    unsetenv("FERRY_TEMPLATE");
    vm_new();
    ferry_ctx_on_warning(ctx, on_warning, NULL);
    assert_ok(ferry_template_build(vm, &err));
    assert_fails(ferry_template_build(vm, &err), FERRY_EEXIST, "already");
    host("cp -a --sparse=always '%s'/guestferry/templates '%s'", scratch("cache"),
         scratch("good"));
    assert_ok(ferry_add_drive_scratch(vm, 16 * MIB, &err));

    ferry_vm_opts o = {.size = sizeof o, .templates = FERRY_TEMPLATE_REQUIRE};
    assert_ok(ferry_vm_new(ctx, &o, &strict, &err));
    assert_ok(ferry_add_drive_scratch(strict, 16 * MIB, &err));
    return 0;
}

static int drop(void **state)
{
    ferry_vm_free(strict);
    return vm_teardown(state);
}

static void restore_good(void)
{
    host("rm -rf '%s'/guestferry/templates", scratch("cache"));
    host("cp -a --sparse=always '%s' '%s'/guestferry/templates", scratch("good"),
         scratch("cache"));
}

static bool launch_from(ferry_vm *v)
{
    ferry_launch_times times = {0};
    char **list = NULL;
    assert_ok(ferry_launch(v, &err));
    assert_int_equal(ferry_vm_get_launch_times(v, &times), 0);
    assert_ok(ferry_list_devices(v, &list, &err));
    assert_string_equal(list[0], "/dev/sda");
    assert_null(list[1]);
    ferry_strings_free(list);
    assert_ok(ferry_shutdown(v, &err));
    return times.restored == 1;
}

/* `script` is run in the template's directory ($T is its name in the one above). */
static void assert_refused(const char *script, const char *part, bool boot)
{
    restore_good();
    host("cd '%s'/guestferry/templates && T=$(ls -d [0-9a-f]*[0-9a-f]) && "
         "cd $T && %s",
         scratch("cache"), script);
    assert_fails(ferry_launch(strict, &err), FERRY_EIO, part);
    if (!boot && !getenv("FERRY_SLOW"))
        return;

    warnings = 0;
    assert_false(launch_from(vm));
    ferry_ctx_dispatch(ctx);
    assert_int_equal(warnings, 1);
    assert_has(warning, "launched cold");
    assert_has(warning, part);
}

/* ---- tests ---------------------------------------------------------------------------- */

static void a_good_one_is_used_without_a_word(void **state)
{
    (void)state;
    warnings = 0;
    assert_true(launch_from(vm));
    assert_true(launch_from(strict));
    ferry_ctx_dispatch(ctx);
    assert_int_equal(warnings, 0);
}

/* One bit, wherever there is data: the first page of it, one in the middle, the last, of which there may be
 * a few bytes only: a state that had become smaller ended 80 bytes into it, and this test with it. */
#define FLIP(file, which)                                                              \
    "python3 -c 'import os\n"                                                          \
    "fd = os.open(\"" file "\", os.O_RDWR)\n"                                          \
    "at, data = 0, []\n"                                                               \
    "try:\n"                                                                           \
    "    while True:\n"                                                                \
    "        at = os.lseek(fd, at, os.SEEK_DATA)\n"                                    \
    "        end = os.lseek(fd, at, os.SEEK_HOLE)\n"                                   \
    "        data += range(at, end, 4096)\n"                                           \
    "        at = end\n"                                                               \
    "except OSError:\n"                                                                \
    "    pass\n"                                                                       \
    "at = min(data[" which "] + 100, os.fstat(fd).st_size - 1)\n"                      \
    "byte = os.pread(fd, 1, at)[0]\n"                                                  \
    "os.pwrite(fd, bytes([byte ^ 16]), at)'"

static void a_flipped_bit_is_found(void **state)
{
    (void)state;
    assert_refused(FLIP("ram", "0"), "memory", false);
    assert_refused(FLIP("ram", "len(data) // 2"), "memory", true);
    assert_refused(FLIP("ram", "-1"), "memory", false);
    assert_refused(FLIP("state", "0"), "device state", false);
    assert_refused(FLIP("state", "-1"), "device state", true);
}

static void a_file_cut_short_is_found(void **state)
{
    (void)state;
    assert_refused("truncate -s -4096 ram", "size", false);
    assert_refused("truncate -s -1 state", "size", false);
    assert_refused("rm state", "cannot be opened", false);
    assert_refused(": > meta", "damaged", false);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    assert_refused("cd .. && mv $T moved && ln -s moved $T", "symbolic link", false);
    assert_refused("mv ram other && ln -s other ram", "symbolic link", false);
    assert_refused("mv meta other && ln -s other meta", "symbolic link", false);
}

static void what_others_could_write_is_not_loaded(void **state)
{
    (void)state;
    assert_refused("chmod 777 .", "others may write", false);
    assert_refused("chmod 666 ram", "others may write", false);
    assert_refused("chmod 660 state", "others may write", false);
    if (geteuid() == 0) { /* only root can give a file away */
        assert_refused("chown 12345 .", "another user's", true);
        assert_refused("chown 12345 state", "another user's", false);
    }
}

/* Under the right name, but of an appliance that was rebuilt, or in an older format. */
static void an_older_one_is_not_loaded(void **state)
{
    (void)state;
    assert_refused("sed -i 's/^initramfs .*/initramfs 1:2:3/' meta",
                   "another appliance", true);
    assert_refused("sed -i '1s/1$/0/' meta", "damaged", false);
}

/* The next builder replaces it. */
static void a_bad_one_is_built_anew(void **state)
{
    (void)state;
    restore_good();
    host("cd '%s'/guestferry/templates/[0-9a-f]*[0-9a-f]/ && "
         "printf x | dd of=state conv=notrunc status=none",
         scratch("cache"));
    assert_ok(ferry_template_build(vm, &err));
    assert_true(launch_from(strict));
}

/* Cleared while a VM lives from it. */
static void a_vm_outlives_its_template(void **state)
{
    (void)state;
    size_t removed = 0;
    assert_ok(ferry_launch(strict, &err));
    assert_ok(ferry_templates_clear(&removed, &err));
    assert_int_equal(removed, 1);
    assert_ok(ferry_mkfs(strict, "ext4", "/dev/sda", NULL, &err));
    assert_ok(ferry_shutdown(strict, &err));
    assert_fails(ferry_launch(strict, &err), FERRY_ENOENT, "no template");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_used_without_a_word),
        cmocka_unit_test(a_flipped_bit_is_found),
        cmocka_unit_test(a_file_cut_short_is_found),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(what_others_could_write_is_not_loaded),
        cmocka_unit_test(an_older_one_is_not_loaded),
        cmocka_unit_test(a_bad_one_is_built_anew),
        cmocka_unit_test(a_vm_outlives_its_template),
    };
    return cmocka_run_group_tests(tests, build, drop);
}
