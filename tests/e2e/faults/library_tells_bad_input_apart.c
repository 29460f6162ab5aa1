/* The errors of a launch and of a first mount, as a program sees them: a code for each, a message
 * that names the thing, nothing left, and another VM on the same context that does not
 * notice. What add_drive refuses is in unit/launch; the words of qemu in e2e/launch. */
#include "faults.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The launch of a VM with this drive (NULL: none) and these options fails so. */
static void launch_fails(const char *drive, ferry_drive_opts *d, ferry_vm_opts *o,
                         int code, const char *part)
{
    ferry_vm *bad = NULL;
    struct once w;
    ferry_op *op = NULL;
    o->size = sizeof *o;
    o->accel = FERRY_ACCEL_TCG;
    assert_ok(ferry_vm_new(ctx, o, &bad, &err));
    if (drive)
        assert_ok(ferry_add_drive(bad, drive, d, &err));
    assert_ok(ferry_launch_start(bad, &op, &err));
    once_watch(&w, op);
    once_ends(&w, 120000, code, part);
    assert_int_equal(ferry_vm_get_state(bad), FERRY_VM_NEW); /* may be launched again */
    ferry_vm_free(bad);
}

/* The hash of the schema, as the daemon carries it, in a copy of the appliance. */
static const char *appliance_of_another_build(void)
{
    const char *dir = scratch("appliance");
    host("mkdir '%s' && ln -s \"$FERRY_APPLIANCE\"/* '%s'/ && rm '%s'/initramfs", dir,
         dir, dir);
    /* Whole, only another one: its manifest names the file that is made below. */
    host("api=$(sed -n 's/^#define FERRY_API_HASH \"\\(.*\\)\"$/\\1/p' "
         "\"$FERRY_BUILD_DIR\"/gen/api_hash.h) && test ${#api} = 32 && "
         "grep -q $api \"$FERRY_APPLIANCE\"/initramfs && "
         "LC_ALL=C sed s/$api/01230123012301230123012301230123/ "
         "\"$FERRY_APPLIANCE\"/initramfs > '%s'/initramfs",
         dir);
    host(
        "cd '%s' && digest() { sha256sum \"$1\" | cut -c1-64; } && rm manifest.json && "
        "sed s/$(digest \"$FERRY_APPLIANCE\"/initramfs)/$(digest initramfs)/ "
        "\"$FERRY_APPLIANCE\"/manifest.json >manifest.json",
        dir);
    return dir;
}

static void daemon_of_another_build(void **state)
{
    (void)state;
    ferry_vm_opts o = {.appliance = appliance_of_another_build()};
    launch_fails(NULL, NULL, &o, FERRY_EMISMATCH, "(API 012301230123)");
    assert_has(err.msg, "rebuild the appliance");
    assert_nothing_left();
}

static void qemu_missing(void **state)
{
    (void)state;
    ferry_vm_opts o = {.qemu = "/no/qemu"};
    launch_fails(NULL, NULL, &o, FERRY_ELAUNCH, "/no/qemu");
    assert_nothing_left();
}

static void wrong_format(void **state)
{
    (void)state;
    ferry_vm_opts o = {0};
    ferry_drive_opts d = {.size = sizeof d, .format = "qcow2"};
    launch_fails(scratch("disk.img"), &d, &o, FERRY_EFORMAT,
                 "disk.img: not a qcow2 image");
    assert_nothing_left();
}

/* Two writers on one image: the second is told, the first goes on. */
static void image_in_use(void **state)
{
    (void)state;
    ferry_vm_opts o = {0};
    char *data = filled(8 * MIB, 1);
    faults_up();
    int fds = count_fds();
    assert_ok(ferry_upload_mem(vm, data, 8 * MIB, "/before", NULL, &err));
    launch_fails(scratch("disk.img"), NULL, &o, FERRY_EBUSY, "disk.img is in use");
    assert_guest_is("/before", data, 8 * MIB);
    assert_ok(ferry_upload_mem(vm, data, 8 * MIB, "/after", NULL, &err));
    assert_guest_is("/after", data, 8 * MIB);
    assert_fds(fds);
    assert_bystander_works();
    faults_down();
    free(data);
}

static void unknown_file_system(void **state)
{
    (void)state;
    ferry_vm *odd = NULL;
    const char *disk = scratch("minix.img");
    host("truncate -s 16M '%s' && mkfs.minix '%s'", disk, disk);
    assert_ok(ferry_vm_new(ctx, NULL, &odd, &err));
    assert_ok(ferry_add_drive(odd, disk, NULL, &err));
    assert_ok(ferry_launch(odd, &err));
    assert_fails(ferry_mount(odd, "/dev/sda", "/", &err), FERRY_ENODEV,
                 "/dev/sda: the appliance cannot mount minix");
    assert_ok(ferry_ping(odd, &err));
    assert_ok(ferry_shutdown(odd, &err));
    ferry_vm_free(odd);
    assert_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(daemon_of_another_build),
        cmocka_unit_test(qemu_missing),
        cmocka_unit_test(wrong_format),
        cmocka_unit_test(image_in_use),
        cmocka_unit_test(unknown_file_system),
    };
    return cmocka_run_group_tests(tests, faults_setup, faults_teardown);
}
