/* A cancel in any phase of a launch, at its first instruction and some time into it: the
 * launch says CANCELLED at once, and no process, descriptor or lock is left. Later than a fast
 * machine needs for a boot, the guest is one that stands still. */
#include "launcher.h"

#include <stdio.h>
#include <string.h>

/* A kill is answered in milliseconds; the rest is for a loaded machine. A launch that heard nothing
 * would go on for ever, or to its end. */
#define AT_ONCE_MS 30000
#define BOOT_MS 40 /* no machine boots in less */

static FERRY_CO void cancelled(const char *phase, uint64_t ms)
{
    struct launch l = {.spec = {.accel = FERRY_ACCEL_TCG}, .cancel_in = phase};
    l.cancel_ms = ms;
    if (ms > BOOT_MS)
        l.spec.qemu = still_qemu();
    add_image(&l, "c.qcow2", NULL, false);
    add_scratch(&l, 1 << 20);
    check_eq(launch_start(&l), -FERRY_ECANCELED);
    check_has(l.e.msg, "cancelled");
    check(!l.m);
    uint64_t took = 0; /* from the cancel to the return */
    if (l.timer.due)
        took = ferry_loop_now(ferry_self_loop()) - l.timer.due;
    check(took < AT_ONCE_MS);
    launch_done(&l);
    shell("qemu-img check -q c.qcow2"); /* not locked any more */
}

static FERRY_CO int every_phase(void *arg)
{
    (void)arg;
    static const uint64_t delays[] = {0, 1, 3, 10, 40, 150, 500};
    shell("qemu-img create -q -f qcow2 c.qcow2 8M");
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        cancelled("starting qemu", delays[i]);
        cancelled("booting", delays[i]);
    }
    cancelled("greeting", 0);
    cancelled("greeting", 20);
    return 0;
}

/* Before the first instruction: nothing is started at all. */
static FERRY_CO int before_the_start(void *arg)
{
    (void)arg;
    struct launch l = {.spec = {.accel = FERRY_ACCEL_TCG}};
    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(launch_start(&l), -FERRY_ECANCELED);
    check(!*l.phases);
    ferry_scope_join(&s);
    launch_done(&l);
    return 0;
}

static void in_every_phase(void **state)
{
    (void)state;
    run_on_uv(before_the_start, NULL);
    run_on_uv(every_phase, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_every_phase)};
    return run_launch_tests(tests);
}
