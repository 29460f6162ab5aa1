/* An encrypted device is made, opened, filled and closed; cryptsetup of the host finds in the image
 * what we say is there. What is in the way is named, what is cancelled leaves nothing, and no key is
 * in a trace. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "correct horse"
#define LEN (3 * MIB + 5)

/* PBKDF2 with few iterations: Argon2id takes seconds under TCG, and is tried once. */
static const ferry_luks_format_opts quick = {.size = sizeof quick, .iterations = 1000};

static int launch(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    vm_image("disk.img", 96 * MIB);
    vm_image("other.img", 64 * MIB);
    vm_launch();
    return 0;
}

/* ---- the host's view ------------------------------------------------------------- */

/* `cryptsetup COMMAND image`, with a key on its standard input. Its status. */
static int cryptsetup(const char *command, const char *key, const char *image)
{
    const char *said;
    return host_status(
        &said, "printf '%%s' '%s' | cryptsetup %s --batch-mode --key-file - '%s'", key,
        command, scratch("%s", image));
}

static void assert_lists(const char *device, const char *type)
{
    ferry_filesystem_list list = {0};
    const char *found = "nothing";
    assert_ok(ferry_list_filesystems(vm, &list, &err));
    for (size_t i = 0; i < list.len; i++)
        if (strcmp(list.val[i].device, device) == 0)
            found = list.val[i].type;
    assert_string_equal(found, type);
    ferry_filesystem_list_free(&list);
}

/* ---- tests ----------------------------------------------------------------------- */

static void what_is_written_is_there_with_the_key_only(void **state)
{
    (void)state;
    void *data = filled(LEN, 3);
    assert_ok(ferry_luks_format(vm, "/dev/sda", KEY, &quick, &err));
    assert_lists("/dev/sda", "crypto_LUKS");
    assert_ok(ferry_luks_open(vm, "/dev/sda", KEY, "secret", NULL, &err));
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/mapper/secret", NULL, &err));
    assert_lists("/dev/mapper/secret", "ext4");
    assert_ok(ferry_mount(vm, "/dev/mapper/secret", "/", &err));
    assert_ok(ferry_upload_mem(vm, data, LEN, "/file", NULL, &err));

    assert_fails(ferry_luks_close(vm, "/dev/mapper/secret", &err), FERRY_EBUSY,
                 "mounted at /");
    assert_fails(ferry_luks_format(vm, "/dev/sda", KEY, &quick, &err), FERRY_EBUSY,
                 "/dev/sda");
    assert_fails(ferry_remove_drive(vm, "/dev/sda", &err), FERRY_EBUSY,
                 "/dev/mapper/secret");
    assert_ok(ferry_umount_all(vm, &err));
    assert_lists("/dev/mapper/secret", "ext4"); /* still open */
    assert_ok(ferry_luks_close(vm, "/dev/mapper/secret", &err));
    assert_fails(ferry_luks_close(vm, "/dev/mapper/secret", &err), FERRY_ENODEV,
                 "not open");

    assert_ok(ferry_luks_open(vm, "/dev/sda", KEY, "again", NULL, &err));
    assert_ok(ferry_mount_ro(vm, "/dev/mapper/again", "/", &err));
    assert_guest_is("/file", data, LEN);
    assert_ok(ferry_umount_all(vm, &err));
    assert_ok(ferry_luks_close(vm, "/dev/mapper/again", &err));
    assert_ok(ferry_sync(vm, &err));
    assert_int_equal(cryptsetup("open --test-passphrase", KEY, "disk.img"), 0);
    assert_int_equal(cryptsetup("open --test-passphrase", "other", "disk.img"), 2);
    free(data);
}

static void mistakes_are_told_apart(void **state)
{
    (void)state;
    ferry_luks_format_opts odd = {.size = sizeof odd, .luks_version = 3};
    assert_fails(ferry_luks_open(vm, "/dev/sda", "wrong", "x", NULL, &err),
                 FERRY_EACCES, "none of its key slots");
    assert_fails(ferry_luks_open(vm, "/dev/sda", "", "x", NULL, &err), FERRY_EINVAL,
                 "empty key");
    assert_fails(ferry_luks_open(vm, "/dev/sdb", KEY, "x", NULL, &err), FERRY_EINVAL,
                 "not encrypted with LUKS");
    assert_fails(ferry_luks_open(vm, "/dev/sdq", KEY, "x", NULL, &err), FERRY_ENODEV,
                 "/dev/sdq");
    static const char *const names[] = {"", "a/b", "..", "a b", "control", "-q"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_fails(ferry_luks_open(vm, "/dev/sda", KEY, names[i], NULL, &err),
                     FERRY_EINVAL, "a name is");
    assert_fails(ferry_luks_format(vm, "/dev/sdb", KEY, &odd, &err), FERRY_EINVAL,
                 "LUKS3");
    assert_fails(ferry_luks_close(vm, "/dev/sda", &err), FERRY_EINVAL,
                 "/dev/mapper/NAME");

    assert_ok(ferry_luks_open(vm, "/dev/sda", KEY, "one", NULL, &err));
    assert_fails(ferry_luks_open(vm, "/dev/sda", KEY, "one", NULL, &err), FERRY_EEXIST,
                 "/dev/mapper/one");
    assert_fails(ferry_luks_open(vm, "/dev/sda", KEY, "two", NULL, &err), FERRY_EBUSY,
                 "/dev/sda");
    assert_ok(ferry_luks_close(vm, "/dev/mapper/one", &err));
}

static void readonly_takes_no_writes(void **state)
{
    (void)state;
    ferry_luks_open_opts ro = {.size = sizeof ro, .readonly = 1};
    assert_ok(ferry_luks_open(vm, "/dev/sda", KEY, "ro", &ro, &err));
    assert_fails(ferry_mkfs(vm, "ext4", "/dev/mapper/ro", NULL, &err), FERRY_EROFS,
                 "/dev/mapper/ro");
    assert_ok(ferry_luks_close(vm, "/dev/mapper/ro", &err));
}

/* So many iterations end next year: whenever the cancel comes, it is in the middle. */
static void cancelled_format_leaves_the_device_free(void **state)
{
    (void)state;
    ferry_luks_format_opts long_one = {.size = sizeof long_one,
                                       .iterations = 4000000000u};
    for (int i = 0; i < 2; i++) {
        ferry_op *op = NULL;
        assert_ok(ferry_luks_format_start(vm, "/dev/sdb", KEY, &long_one, &op, &err));
        ferry_op_wait(op, i * 400);
        ferry_op_cancel(op);
        assert_ends(op, FERRY_ECANCELED);
        ferry_op_free(op);
    }
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdb", NULL, &err));
}

/* The default, and LUKS1; what they are is the host's word. */
static void keys_cost_what_they_should(void **state)
{
    (void)state;
    ferry_luks_format_opts old = {.size = sizeof old,
                                  .luks_version = 1,
                                  .iterations = 5000};
    assert_ok(ferry_luks_format(vm, "/dev/sdb", KEY, NULL, &err));
    assert_ok(ferry_sync(vm, &err));
    const char *dump = host("cryptsetup luksDump '%s'", scratch("other.img"));
    assert_has(dump, "Version:       \t2");
    assert_has(dump, "argon2id");
    assert_has(dump, "Memory:     65536");
    assert_ok(ferry_luks_open(vm, "/dev/sdb", KEY, "x", NULL, &err));
    assert_ok(ferry_luks_close(vm, "/dev/mapper/x", &err));

    assert_ok(ferry_luks_format(vm, "/dev/sdb", KEY, &old, &err));
    assert_ok(ferry_sync(vm, &err));
    assert_has(host("cryptsetup luksDump '%s'", scratch("other.img")),
               "Version:       \t1");
    assert_ok(ferry_luks_open(vm, "/dev/sdb", KEY, "x", NULL, &err));
    assert_ok(ferry_luks_close(vm, "/dev/mapper/x", &err));
}

/* What was open at the end of the appliance is in the image. */
static void shutdown_closes_what_is_open(void **state)
{
    (void)state;
    void *data = filled(LEN, 4);
    assert_ok(ferry_luks_open(vm, "/dev/sda", KEY, "open", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/mapper/open", "/", &err));
    assert_ok(ferry_upload_mem(vm, data, LEN, "/late", NULL, &err));
    vm_shutdown();
    vm_launch();
    assert_ok(ferry_luks_open(vm, "/dev/sda", KEY, "open", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/mapper/open", "/", &err));
    assert_guest_is("/late", data, LEN);
    assert_ok(ferry_umount_all(vm, &err));
    assert_ok(ferry_luks_close(vm, "/dev/mapper/open", &err));
    free(data);
}

/* Opens and closes with everything traced, into a file. */
static void open_traced(const char *trace)
{
    ferry_error e = {0};
    int was = dup(STDERR_FILENO), to = open(trace, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(was >= 0 && to >= 0);
    setenv("FERRY_TRACE", "daemon,proto,api,launch", 1);
    dup2(to, STDERR_FILENO); /* what fails must be heard: back before an assert */
    vm_new();
    int r = ferry_add_drive(vm, scratch("disk.img"), NULL, &e);
    r = r < 0 ? r : ferry_launch(vm, &e);
    r = r < 0 ? r : ferry_luks_open(vm, "/dev/sda", KEY, "traced", NULL, &e);
    r = r < 0 ? r : ferry_luks_close(vm, "/dev/mapper/traced", &e);
    r = r < 0 ? r : ferry_shutdown(vm, &e);
    vm_free();
    dup2(was, STDERR_FILENO);
    unsetenv("FERRY_TRACE");
    close(was);
    close(to);
    if (r < 0)
        fail_msg("%s", e.msg);
}

static void no_trace_has_the_key(void **state)
{
    (void)state;
    const char *trace = scratch("trace");
    vm_shutdown();
    vm_free();
    open_traced(trace);
    host("grep -q 'daemon: luks_open: ok' '%s'", trace); /* it came from the appliance */
    host("! grep -F '%s' '%s'", KEY, trace);
    vm_new();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(what_is_written_is_there_with_the_key_only),
        vm_test(mistakes_are_told_apart),
        vm_test(readonly_takes_no_writes),
        vm_test(cancelled_format_leaves_the_device_free),
        vm_test(keys_cost_what_they_should),
        vm_test(shutdown_closes_what_is_open),
        cmocka_unit_test(no_trace_has_the_key),
    };
    return cmocka_run_group_tests(tests, launch, vm_teardown);
}
