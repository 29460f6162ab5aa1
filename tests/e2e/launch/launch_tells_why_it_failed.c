/* Each way a launch fails by itself: the code, the words, and nothing left. The words come
 * from the real qemu and kernel. */
#include "launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct expected {
    int code;
    const char *words[4];
};

static FERRY_CO void fails(struct launch *l, struct expected x)
{
    if (l->spec.accel == FERRY_ACCEL_AUTO)
        l->spec.accel = FERRY_ACCEL_TCG;
    check_eq(launch_start(l), x.code);
    printf("%s\n", l->e.msg);
    for (int i = 0; x.words[i]; i++)
        check_has(l->e.msg, x.words[i]);
    launch_done(l);
}

/* ---- images ------------------------------------------------------------------------ */

static FERRY_CO int locked_body(void *arg)
{
    (void)arg;
    shell("qemu-img create -q -f qcow2 l.qcow2 8M && truncate -s 1M l.img");
    struct launch holder = {.spec = {.accel = FERRY_ACCEL_TCG}};
    add_image(&holder, "l.qcow2", NULL, false);
    add_image(&holder, "l.img", NULL, false);
    if (!check_eq(launch_start(&holder), 0))
        return 0;

    static const char *const names[] = {"l.qcow2", "l.img"};
    for (int i = 0; i < 4; i++) {
        struct launch l = {.spec = {.accel = FERRY_ACCEL_TCG}};
        add_image(&l, names[i % 2], NULL, i >= 2);
        check_eq(launch_start(&l), -FERRY_EBUSY);
        check_has(l.e.msg, names[i % 2]);
        check_has(l.e.msg, "is in use by another process (qemu says: Failed to get");
        ferry_machine_free(l.m);
        ferry_drive_done(&l.drives[0]);
    }
    ferry_machine_kill(holder.m);
    launch_done(&holder);

    /* Two readers are fine. */
    struct launch one = {.spec = {.accel = FERRY_ACCEL_TCG}};
    struct launch two = {.spec = {.accel = FERRY_ACCEL_TCG}};
    add_image(&one, "l.qcow2", NULL, true);
    add_image(&two, "l.qcow2", NULL, true);
    check_eq(launch_start(&one), 0);
    check_eq(launch_start(&two), 0);
    ferry_link_close(two.channel);
    ferry_machine_free(two.m);
    ferry_drive_done(&two.drives[0]);
    launch_done(&one);
    return 0;
}

static FERRY_CO int format_body(void *arg)
{
    (void)arg;
    shell("head -c 1M /dev/urandom > junk");
    static const char *const formats[] = {"qcow2", "vmdk", "vdi"};
    for (int i = 0; i < 3; i++) {
        struct launch l = {0};
        char not_one[32];
        snprintf(not_one, sizeof not_one, "not a %s image", formats[i]);
        add_image(&l, "junk", formats[i], false);
        fails(&l, (struct expected){-FERRY_EFORMAT, {"/junk", not_one, "--format raw"}});
    }
    return 0;
}

static FERRY_CO int backing_body(void *arg)
{
    (void)arg;
    shell("qemu-img create -q -f qcow2 base.qcow2 8M");
    shell("qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2");
    shell("rm base.qcow2");
    struct launch l = {0};
    add_image(&l, "over.qcow2", NULL, false);
    fails(&l, (struct expected){-FERRY_ENOENT,
                                {"over.qcow2", "backing file", "base.qcow2"}});
    return 0;
}

/* It was there when it was added. */
static FERRY_CO int vanished_body(void *arg)
{
    (void)arg;
    struct launch l = {0};
    shell("truncate -s 1M gone.img");
    add_image(&l, "gone.img", NULL, false);
    shell("rm gone.img");
    fails(&l, (struct expected){-FERRY_ENOENT, {"gone.img", "No such file"}});
    return 0;
}

/* ---- qemu ---------------------------------------------------------------------------- */

static void write_qemu(const char *script)
{
    FILE *f = fopen("fake-qemu", "we");
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    shell("chmod +x fake-qemu");
}

static FERRY_CO int qemu_body(void *arg)
{
    (void)arg;
    char missing[] = "/no/qemu", here[] = "./fake-qemu";
    struct launch l = {.spec = {.qemu = missing}};
    fails(&l, (struct expected){-FERRY_ELAUNCH, {"/no/qemu", "install", "FERRY_QEMU"}});

    /* The real one, told something that it does not know: what one too old would say. */
    struct launch old = {.spec = {.qemu = here}};
    write_qemu("exec qemu-system-x86_64 -featured \"$@\"");
    fails(&old,
          (struct expected){-FERRY_ELAUNCH, {"fake-qemu is too old", "-featured"}});

    struct launch script = {.spec = {.qemu = here}};
    shell("printf '#!/no/interpreter\\n' > fake-qemu && chmod +x fake-qemu");
    fails(&script, (struct expected){-FERRY_ELAUNCH, {"fake-qemu cannot be run"}});

    struct launch memory = {.spec = {.memory_mib = 1 << 30}};
    check_eq(launch_start(&memory), -FERRY_ENOMEM);
    check_has(memory.e.msg, "the host has no memory");
    launch_done(&memory);
    return 0;
}

/* A qemu built without seccomp refuses -sandbox, and is started again without it. */
static FERRY_CO int sandbox_body(void *arg)
{
    (void)arg;
    char here[] = "./fake-qemu";
    struct launch l = {.spec = {.accel = FERRY_ACCEL_TCG, .qemu = here}};
    write_qemu(
        "case \"$*\" in *-sandbox*)\n"
        "echo 'qemu-system-x86_64: -sandbox on: -sandbox support is not enabled in "
        "this QEMU binary' >&2; exit 1;; esac\n"
        "exec qemu-system-x86_64 \"$@\"");
    check_eq(launch_start(&l), 0);
    check_has(l.phases, "starting qemu,booting,starting qemu,booting,greeting,");
    launch_done(&l);
    return 0;
}

/* ---- the appliance ------------------------------------------------------------------- */

/* A directory like the real one, to spoil. */
static void copy_appliance(void)
{
    shell("rm -rf app && mkdir app && ln -s \"$FERRY_APPLIANCE\"/* app/");
}

static FERRY_CO int appliance_body(void *arg)
{
    (void)arg;
    char app[] = "app";
    struct launch l = {.spec = {.appliance = app}};
    fails(&l, (struct expected){-FERRY_ELAUNCH,
                                {"no appliance", "app/vmlinux", "./dev build"}});

    copy_appliance();
    shell("rm app/initramfs && head -c 64k /dev/zero | tr '\\0' x > app/initramfs");
    write_manifest(app);
    struct launch panic = {.spec = {.appliance = app}};
    fails(&panic,
          (struct expected){-FERRY_ELAUNCH,
                            {"appliance panicked: Kernel panic - not syncing"}});

    copy_appliance();
    shell("rm app/vmlinux && echo nothing > app/vmlinux");
    write_manifest(app);
    struct launch kernel = {.spec = {.appliance = app}};
    fails(&kernel, (struct expected){-FERRY_ELAUNCH, {"qemu"}});

    struct launch small = {.spec = {.memory_mib = 64}};
    fails(&small, (struct expected){-FERRY_ELAUNCH, {"appliance ran out of memory"}});
    return 0;
}

/* Once it was a deadline of 400 ms for a real boot: on a machine that does everything else slower
 * it had passed before. */
static FERRY_CO int deadline_body(void *arg)
{
    (void)arg;
    struct launch l = {.spec = {.qemu = still_qemu()}, .late_in = "booting"};
    fails(&l,
          (struct expected){-FERRY_ETIMEDOUT, {"did not answer in time while booting"}});
    return 0;
}

#define TEST(name)                                                                     \
    static void name(void **state)                                                     \
    {                                                                                  \
        (void)state;                                                                   \
        run_on_uv(name##_body, NULL);                                                  \
    }
TEST(locked)
TEST(format)
TEST(backing)
TEST(vanished)
TEST(qemu)
TEST(sandbox)
TEST(appliance)
TEST(deadline)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked),    cmocka_unit_test(format),
        cmocka_unit_test(backing),   cmocka_unit_test(vanished),
        cmocka_unit_test(qemu),      cmocka_unit_test(sandbox),
        cmocka_unit_test(appliance), cmocka_unit_test(deadline),
    };
    return run_launch_tests(tests);
}
