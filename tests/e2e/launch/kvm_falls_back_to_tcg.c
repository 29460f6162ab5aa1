/* Story: on nested hosts /dev/kvm opens, VMs can be created, and qemu then asserts
 * ("failed to set MSR 0x10a") or the guest never runs. `auto` comes up all the same, and
 * does not try again on the next launch; `kvm` says why not. Where kvm works, `auto` is
 * kvm: then that is what is checked. */
#include "launcher.h"

#include "launch/accel.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FERRY_CO int launch_accel(ferry_accel accel, char *ret_phases, ferry_error *ret_e)
{
    struct launch l = {.spec = {.accel = accel}};
    int r = launch_start(&l);
    int got = r < 0 ? r : (int)ferry_machine_accel(l.m);
    if (got == FERRY_ACCEL_TCG) {
        printf("no kvm: %s\n", ferry_machine_no_kvm(l.m));
        check(*ferry_machine_no_kvm(l.m));
    }
    snprintf(ret_phases, sizeof l.phases, "%s", l.phases);
    *ret_e = l.e;
    if (r < 0)
        printf("%s\n", l.e.msg);
    launch_done(&l);
    return got;
}

static FERRY_CO int auto_body(void *arg)
{
    (void)arg;
    char phases[128];
    ferry_error e;
    int got = launch_accel(FERRY_ACCEL_AUTO, phases, &e);
    bool opens = ferry_accel_kvm_opens(NULL) == 0;
    if (got == FERRY_ACCEL_KVM)
        return 1;

    check_eq(got, FERRY_ACCEL_TCG);
    if (!opens) {
        check_has(phases, "starting qemu,booting,greeting,");
        return 2;
    }
    check(strncmp(phases, "starting qemu,", 14) == 0);
    check_has(phases + 14, "starting qemu,booting,greeting,"); /* kvm, then tcg */
    check_eq(access("guestferry/kvm", F_OK), 0);

    got = launch_accel(FERRY_ACCEL_AUTO, phases, &e);
    check_eq(got, FERRY_ACCEL_TCG);
    check(strcmp(phases, "starting qemu,booting,greeting,") == 0);
    return 2;
}

static FERRY_CO int kvm_body(void *arg)
{
    (void)arg;
    char phases[128];
    ferry_error e;
    check_eq(launch_accel(FERRY_ACCEL_KVM, phases, &e), -FERRY_ELAUNCH);
    check_has(e.msg, "kvm");
    check(!strstr(phases, "greeting"));
    return 0;
}

/* A guest that never runs an instruction: a sleep in its place, where kvm is asked for. */
static FERRY_CO int hang_body(void *arg)
{
    (void)arg;
    char here[] = "./fake-qemu";
    shell("printf '#!/bin/sh\ncase \"$*\" in *\"-accel kvm\"*) exec sleep 1000;; esac\n"
          "exec qemu-system-x86_64 \"$@\"\n' > fake-qemu && chmod +x fake-qemu");
    for (int i = 0; i < 2; i++) {
        struct launch l = {.spec = {.qemu = here}};
        if (!check_eq(launch_start(&l), 0)) {
            launch_done(&l);
            return 0;
        }
        check_eq(ferry_machine_accel(l.m), FERRY_ACCEL_TCG);
        check_has(ferry_machine_no_kvm(l.m),
                  "no answer from the appliance while booting");
        /* The second time it is known. */
        check(ferry_machine_times(l.m).total_ms >= FERRY_ACCEL_KVM_MS || i == 1);
        check(strcmp(l.phases,
                     i == 0 ? "starting qemu,booting,starting qemu,booting,greeting,"
                            : "starting qemu,booting,greeting,") == 0);
        launch_done(&l);
    }
    return 0;
}

/* That it does not boot under kvm says nothing if it does not boot at all. */
static FERRY_CO int broken_body(void *arg)
{
    (void)arg;
    char app[] = "app";
    shell("rm -rf guestferry app && mkdir app && ln -s \"$FERRY_APPLIANCE\"/* app/");
    shell("rm app/initramfs && head -c 64k /dev/zero | tr '\\0' x > app/initramfs");
    write_manifest(app);
    struct launch l = {.spec = {.appliance = app}};
    check_eq(launch_start(&l), -FERRY_ELAUNCH);
    check_has(l.e.msg, "panic");
    check(access("guestferry/kvm", F_OK) != 0);
    launch_done(&l);
    return 0;
}

static bool kvm_works;

static void automatic(void **state)
{
    (void)state;
    kvm_works = run_on_uv(auto_body, NULL) == 1;
    if (kvm_works)
        printf("kvm works here: there was nothing to fall back from\n");
}

static void explicit(void **state)
{
    (void)state;
    if (kvm_works)
        skip();
    run_on_uv(kvm_body, NULL);
}

static void a_guest_that_hangs(void **state)
{
    (void)state;
    if (ferry_accel_kvm_opens(NULL) != 0)
        skip();
    run_on_uv(hang_body, NULL);
}

static void a_broken_appliance(void **state)
{
    (void)state;
    run_on_uv(broken_body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic),
        cmocka_unit_test(explicit),
        cmocka_unit_test(a_guest_that_hangs),
        cmocka_unit_test(a_broken_appliance),
    };
    return run_launch_tests(tests);
}
