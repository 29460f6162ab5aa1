/* The drive added first is /dev/sda, the second /dev/sdb, and so on past z.
 *
 * The kernel hands new disks to several workers at once and names them in the order in
 * which those finish; daemon/boot.c binds them one by one instead. */
#include "harness/vm.h"

#include <stdio.h>
#include <string.h>

/* More than the alphabet has letters; each has a size of its own to be known by. */
#define DRIVES 28

static uint64_t size_of(unsigned i)
{
    return (1 + i) * MIB;
}

static int launch_with_many(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    for (unsigned i = 0; i < DRIVES; i++) {
        char name[32];
        snprintf(name, sizeof name, "disk%u.img", i);
        vm_image(name, size_of(i));
    }
    vm_launch();
    return 0;
}

static void each_has_the_size_of_its_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRIVES; i++) {
        char device[16];
        uint64_t bytes = 0;
        if (i < 26)
            snprintf(device, sizeof device, "/dev/sd%c", 'a' + i);
        else
            snprintf(device, sizeof device, "/dev/sda%c", 'a' + i - 26);
        assert_ok(ferry_blockdev_getsize64(vm, device, &bytes, &err));
        assert_int_equal(bytes, size_of(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {vm_test(each_has_the_size_of_its_place)};
    return cmocka_run_group_tests(tests, launch_with_many, vm_teardown);
}
