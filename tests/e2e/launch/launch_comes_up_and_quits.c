/* The good way: a real appliance answers, its disks are those that were asked for, qemu
 * closes the images when it is told to quit. */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FERRY_CO int up_and_quit(void *arg)
{
    (void)arg;
    struct launch l = {.spec = {.accel = FERRY_ACCEL_TCG}};
    shell("qemu-img create -q -f qcow2 a.qcow2 64M && truncate -s 1M 'b,c:d.img'");
    shell("qemu-img create -q -f vmdk e.vmdk 8M && qemu-img create -q -f vdi f.vdi 8M");
    add_image(&l, "a.qcow2", NULL, false);
    add_image(&l, "b,c:d.img", NULL, true);
    add_image(&l, "e.vmdk", NULL, false);
    add_image(&l, "f.vdi", NULL, false);
    add_scratch(&l, 1 << 20);
    int r = launch_start(&l);
    if (!check_eq(r, 0)) {
        fprintf(stderr, "%s\n", l.e.msg);
        launch_done(&l);
        return r;
    }
    check_has(l.phases, "starting qemu,booting,greeting,");
    check_eq(ferry_machine_accel(l.m), FERRY_ACCEL_TCG);
    check(ferry_machine_pid(l.m) > 0);
    ferry_launch_times t = ferry_machine_times(l.m);
    check(t.boot_ms > 0);
    check(t.total_ms >= t.boot_ms);
    printf("prepare %u ms, boot %u ms, hello %u ms, total %u ms\n", t.prepare_ms,
           t.boot_ms, t.hello_ms, t.total_ms);

    /* Write-locked as long as it runs. */
    check(system("qemu-img check -q a.qcow2 2>/dev/null") != 0);
    int pid = ferry_machine_pid(l.m);
    if (!check_eq(ferry_machine_quit(l.m, &l.e), 0))
        fprintf(stderr, "%s\n", l.e.msg);
    check_eq(ferry_machine_wait(l.m, &l.e), 0);
    check_eq(wait_gone(pid, 0), 0);
    shell("qemu-img check -q a.qcow2");
    launch_done(&l);
    return 0;
}

static void comes_up_and_quits(void **state)
{
    (void)state;
    run_on_uv(up_and_quit, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_up_and_quits)};
    return run_launch_tests(tests);
}
