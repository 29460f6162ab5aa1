/* A kernel panic after the launch. An image can bring one about: its superblock says what ext4 does
 * on an error ("panic", which real servers' images do say), and a directory in it is damaged. What
 * the kernel said last is in the error and on the console that is kept; the other VM does not
 * notice; without the panic the same image gives an error and nothing more. */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    faults_setup(state);
    const char *disk = scratch("disk.img");
    host("debugfs -w -R 'mkdir /bad' '%s'", disk);
    host("block=$(debugfs -R 'blocks /bad' '%s' 2>/dev/null) && "
         "head -c 4096 /dev/urandom | dd of='%s' bs=4096 seek=$block conv=notrunc",
         disk, disk);
    return 0;
}

static void on_error(const char *what)
{
    host("tune2fs -e %s '%s'", what, scratch("disk.img"));
}

static void panic_is_the_reason_of_death(void **state)
{
    (void)state;
    struct once w;
    ferry_op *op = NULL;
    char *console = NULL;
    on_error("panic");
    faults_up();
    assert_ok(ferry_ls_start(vm, "/bad", &op, &err));
    once_watch(&w, op);
    once_ends(&w, PATIENCE_MS, FERRY_EDEAD, "appliance panicked: Kernel panic");
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "appliance panicked: Kernel panic");
    assert_int_equal(ferry_vm_get_console(vm, &console), 0);
    assert_has(console, "Kernel panic - not syncing: EXT4-fs");
    free(console);
    assert_nothing_left();
}

static void without_the_panic_it_is_an_error(void **state)
{
    (void)state;
    char **names = NULL;
    on_error("continue");
    faults_up();
    int r = ferry_ls(vm, "/bad", &names, &err);
    assert_true(r < 0);
    assert_has(err.msg, "/bad");
    assert_ok(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err));
    assert_ok(ferry_shutdown(vm, &err));
    assert_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(panic_is_the_reason_of_death),
        cmocka_unit_test(without_the_panic_it_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, faults_teardown);
}
