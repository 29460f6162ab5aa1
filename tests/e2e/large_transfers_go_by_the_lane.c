/* A large transfer opens the lane and goes through it, in both directions, many at once; and all is as
 * well where there is none: switched off, a qemu that has no such device. What is lost with an
 * appliance that dies in the middle is the transfer, not the next launch's lane. */
#include "harness/vm.h"

#include <guestferry/template.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE (40 * MIB + 4097) /* a tail that is no block */
#define MANY 6

static int setup(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    host("truncate -s 1G %s && mkfs.ext4 -q -F %s", scratch("d.raw"), scratch("d.raw"));
    make_file(scratch("src"), LARGE, 7);
    assert_ok(ferry_add_drive(vm, scratch("d.raw"), NULL, &err));
    return 0;
}

static void launch(void)
{
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
}

static void assert_lane(const char *expected)
{
    const char *is = ferry_vm_get_lane(vm);
    assert_non_null(is);
    assert_string_equal(is, expected);
}

static void there_and_back(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/%s", name);
    assert_ok(ferry_upload(vm, scratch("src"), path, NULL, &err));
    assert_ok(ferry_download(vm, path, scratch("%s", name), NULL, &err));
    assert_same_file(scratch("src"), scratch("%s", name));
}

/* ---- the tests ---------------------------------------------------------------------- */

static void a_large_one_opens_it(void **state)
{
    (void)state;
    assert_null(ferry_vm_get_lane(vm));
    launch();
    assert_lane("idle");
    assert_ok(ferry_upload_mem(vm, "x", 1, "/small", NULL, &err));
    assert_lane("idle");
    there_and_back("first"); /* inline at first, then by the lane */
    there_and_back("second");
    assert_lane("open");
}

/* A pipe gives what it has: a slot is filled as far as that goes. */
static void a_pipe_uses_it(void **state)
{
    (void)state;
    char command[512];
    snprintf(command, sizeof command, "cat %s", scratch("src"));
    FILE *cat = popen(command, "r");
    assert_non_null(cat);
    assert_ok(ferry_upload_fd(vm, fileno(cat), "/piped", NULL, &err));
    assert_int_equal(pclose(cat), 0);
    assert_ok(ferry_download(vm, "/piped", scratch("piped"), NULL, &err));
    assert_same_file(scratch("src"), scratch("piped"));
}

/* Every third is cancelled: slots that it had are there for the others. */
static void many_share_it(void **state)
{
    (void)state;
    ferry_op *up[MANY], *down[MANY];
    char name[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "/m%d", i);
            assert_ok(ferry_upload_start(vm, scratch("src"), name, NULL, &up[i], &err));
            assert_ok(ferry_download_start(vm, "/first", scratch("m%d", i), NULL,
                                           &down[i], &err));
        }
        for (int i = 0; i < MANY; i += 3) {
            ferry_op_cancel(up[i]);
            ferry_op_cancel(down[i + 1]);
        }
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(ferry_op_wait(up[i], -1), 0);
            assert_int_equal(ferry_op_wait(down[i], -1), 0);
            assert_ok_or(ferry_op_error(up[i], &err), i % 3 == 0 ? FERRY_ECANCELED : 0);
            int r = ferry_op_error(down[i], &err);
            assert_ok_or(r, i % 3 == 1 ? FERRY_ECANCELED : 0);
            ferry_op_free(up[i]);
            ferry_op_free(down[i]);
            if (r == 0)
                assert_same_file(scratch("src"), scratch("m%d", i));
        }
    }
    assert_ok(ferry_download(vm, "/m2", scratch("out"), NULL, &err));
    assert_same_file(scratch("src"), scratch("out"));
    assert_lane("open");
}

static bool has_moved(void *arg)
{
    ferry_progress now;
    ferry_op_poll(arg, &now);
    return now.bytes > 0;
}

static void a_killed_appliance_takes_its_lane_along(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    ferry_vm_set_rate_max(vm, SLOWLY);
    assert_ok(ferry_upload_start(vm, "/dev/zero", "/zeroes", NULL, &op, &err));
    assert_true(eventually(has_moved, op));
    ferry_vm_kill(vm);
    assert_ends(op, FERRY_EDEAD);
    ferry_op_free(op);
    ferry_vm_set_rate_max(vm, 0);

    launch();
    assert_lane("idle");
    there_and_back("again");
    vm_shutdown();
}

static void without_one_all_goes_inline(void **state)
{
    (void)state;
    setenv("FERRY_LANE", "off", 1);
    setenv("FERRY_TEMPLATE", "never", 1); /* the one there may be has a lane */
    launch();
    unsetenv("FERRY_LANE");
    assert_lane("none");
    there_and_back("inline");
    assert_lane("none");
    vm_shutdown();
}

/* An older qemu, or one built with less: it is started a second time. */
static void a_qemu_without_the_device_is_good_enough(void **state)
{
    (void)state;
    ferry_vm *ours = vm;
    FILE *f = fopen(scratch("qemu"), "w");
    assert_non_null(f);
    fprintf(
        f, "#!/bin/sh\n"
           "case \"$*\" in *virtio-pmem*)\n"
           "    echo \"qemu: 'virtio-pmem-pci' is not a valid device model name\" >&2\n"
           "    exit 1;;\n"
           "esac\n"
           "exec qemu-system-x86_64 \"$@\"\n");
    fclose(f);
    chmod(scratch("qemu"), 0755);
    ferry_vm_opts o = {.size = sizeof o,
                       .qemu = scratch("qemu"),
                       .accel = FERRY_ACCEL_TCG};
    assert_ok(ferry_vm_new(ctx, &o, &vm, &err));
    assert_ok(ferry_add_drive(vm, scratch("d.raw"), NULL, &err));
    launch();
    assert_lane("none");
    there_and_back("poor");
    assert_ok(ferry_shutdown(vm, &err));
    ferry_vm_free(vm);
    vm = ours;
}

/* The guest that goes on from a template had another lane's memory when it booted. */
static void a_restored_appliance_has_it_too(void **state)
{
    (void)state;
    ferry_vm *ours = vm;
    ferry_launch_times times;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    mkdir(scratch("cache"), 0700);
    ferry_vm_opts o = {.size = sizeof o,
                       .templates = FERRY_TEMPLATE_REQUIRE,
                       .accel = FERRY_ACCEL_TCG};
    assert_ok(ferry_vm_new(ctx, &o, &vm, &err));
    assert_ok(ferry_template_build(vm, &err));
    assert_ok(ferry_add_drive(vm, scratch("d.raw"), NULL, &err));
    assert_ok(ferry_launch(vm, &err));
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_int_equal(ferry_vm_get_launch_times(vm, &times), 0);
    assert_int_equal(times.restored, 1);
    assert_lane("idle");
    there_and_back("restored");
    assert_lane("open");
    assert_ok(ferry_shutdown(vm, &err));
    ferry_vm_free(vm);
    vm = ours;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_one_opens_it),
        vm_test(a_pipe_uses_it),
        vm_test(many_share_it),
        cmocka_unit_test(a_killed_appliance_takes_its_lane_along),
        cmocka_unit_test(without_one_all_goes_inline),
        cmocka_unit_test(a_qemu_without_the_device_is_good_enough),
        cmocka_unit_test(a_restored_appliance_has_it_too),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
