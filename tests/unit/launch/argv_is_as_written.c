/* The command line is a contract with qemu, with the daemon (port name, serial numbers) and
 * with the guard (descriptors): a change of it is a change of this file, on purpose. */
#include "launch/argv.h"

#include "base/auto.h"
#include "base/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define USR                                                                            \
    "{\"node-name\":\"usr\",\"driver\":\"raw\",\"read-only\":true,\"file\":{"          \
    "\"driver\":\"file\",\"filename\":\"/a,b/usr.img\",\"locking\":\"off\"}}\n"

#define DISK(n)                                                                        \
    "{\"driver\":\"scsi-hd\",\"id\":\"disk" n "\",\"bus\":\"scsi.0\",\"scsi-id\":" n   \
    ",\"drive\":\"drive" n "\",\"serial\":\"ferry" n                                   \
    "\",\"werror\":\"report\",\"rerror\":\"report\"}"

static ferry_argv_in input(void)
{
    return (ferry_argv_in){
        .platform = ferry_platform_find("x86_64"),
        .qemu = "/usr/bin/qemu-system-x86_64",
        .kernel = "/a/vmlinux",
        .initramfs = "/a/initramfs",
        .usr = "/a,b/usr.img",
        .bios = "/a/qboot.rom",
        .accel = FERRY_ACCEL_TCG,
        .sandbox = true,
    };
}

/* The arguments that follow `name`, one a line. */
static void values_of(char **argv, const char *name, char *buf, size_t size)
{
    buf[0] = '\0';
    for (size_t i = 0; argv[i] && argv[i + 1]; i++)
        if (strcmp(argv[i], name) == 0)
            snprintf(buf + strlen(buf), size - strlen(buf), "%s\n", argv[i + 1]);
}

#define assert_values(argv, name, expected)                                            \
    do {                                                                               \
        char values_[4096];                                                            \
        values_of(argv, name, values_, sizeof values_);                                \
        assert_string_equal(values_, expected);                                        \
    } while (0)

static void without_drives(void **state)
{
    (void)state;
    FERRY_AUTO(strv) char **argv = NULL;
    ferry_argv_in in = input();
    assert_int_equal(ferry_argv_build(&in, &argv), 0);

    static const char *const head[] = {
        "/usr/bin/qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    };
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        assert_string_equal(argv[i], head[i]);

    assert_values(argv, "-accel", "tcg\n");
    assert_values(argv, "-m", "512\n");
    assert_values(argv, "-smp", "1\n");
    assert_values(argv, "-bios", "/a/qboot.rom\n");
    assert_values(argv, "-kernel", "/a/vmlinux\n");
    assert_values(argv, "-initrd", "/a/initramfs\n");
    assert_values(argv, "-sandbox",
                  "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                  "resourcecontrol=deny\n");
    assert_values(argv, "-chardev",
                  "socket,id=qmp,fd=5\n"
                  "socket,id=console,fd=6\n"
                  "socket,id=channel,fd=4\n");
    assert_values(argv, "-mon", "chardev=qmp,mode=control\n");
    assert_values(argv, "-serial", "chardev:console\n");
    assert_values(argv, "-blockdev", USR);
    assert_values(argv, "-add-fd", "");
    assert_values(argv, "-netdev", "");

    char device[1024];
    values_of(argv, "-device", device, sizeof device);
    assert_non_null(strstr(device, "virtio-blk-pci,drive=usr,ioeventfd=off\n"));
    assert_non_null(
        strstr(device, "virtserialport,chardev=channel,name=org.guestferry.0\n"));
}

static void console_is_the_serial_port(void **state)
{
    (void)state;
    FERRY_AUTO(strv) char **argv = NULL;
    ferry_argv_in in = input();
    assert_int_equal(ferry_argv_build(&in, &argv), 0);

    char append[1024], expected[1024];
    const ferry_platform *p = in.platform;
    values_of(argv, "-append", append, sizeof append);
    snprintf(expected, sizeof expected, "console=%s quiet %s %s %s\n", p->console,
             p->append, p->append_tcg, p->append_tcg_one_cpu);
    assert_string_equal(append, expected);
    assert_non_null(strstr(append, "panic=-1")); /* with -no-reboot: a panic ends qemu */
}

/* The timer of a second CPU cannot do without what is left out for one. */
static void two_cpus_keep_their_timers(void **state)
{
    (void)state;
    FERRY_AUTO(strv) char **argv = NULL;
    ferry_argv_in in = input();
    in.cpus = 2;
    assert_int_equal(ferry_argv_build(&in, &argv), 0);
    char append[1024];
    values_of(argv, "-append", append, sizeof append);
    assert_null(strstr(append, "nolapic_timer"));
}

static void a_reader_of_the_console_gets_it_all(void **state)
{
    (void)state;
    FERRY_AUTO(strv) char **argv = NULL;
    ferry_argv_in in = input();
    in.verbose = true;
    in.accel = FERRY_ACCEL_KVM;
    assert_int_equal(ferry_argv_build(&in, &argv), 0);

    char append[1024], expected[1024];
    values_of(argv, "-append", append, sizeof append);
    snprintf(expected, sizeof expected, "console=%s %s\n", in.platform->console,
             in.platform->append);
    assert_string_equal(append, expected);
}

/* kvm has ways of its own. */
static void emulated_guests_are_told_their_ticks(void **state)
{
    (void)state;
    ferry_argv_in in = input();
    in.ticks_khz = 2596112;
    FERRY_AUTO(mem) char *tcg = ferry_argv_append(&in);
    assert_non_null(strstr(tcg, " tsc_early_khz=2596112"));
    in.accel = FERRY_ACCEL_KVM;
    FERRY_AUTO(mem) char *kvm = ferry_argv_append(&in);
    assert_null(strstr(kvm, "tsc_early_khz"));
}

/* A template's daemon is told nothing, so that its key does not depend on it. */
static void traces_reach_the_daemon_of_a_boot(void **state)
{
    (void)state;
    ferry_argv_in in = input();
    FERRY_AUTO(mem) char *plain = ferry_argv_append(&in);
    assert_null(strstr(plain, "ferry.trace"));
    in.trace = FERRY_TRACE_daemon | FERRY_TRACE_proto;
    FERRY_AUTO(mem) char *traced = ferry_argv_append(&in);
    assert_string_equal(strstr(traced, " ferry.trace="), " ferry.trace=proto,daemon");
    in.ram = FERRY_RAM_SHARED;
    FERRY_AUTO(mem) char *template = ferry_argv_append(&in);
    assert_string_equal(template, plain);
}

static void choices_are_passed_on(void **state)
{
    (void)state;
    FERRY_AUTO(strv) char **argv = NULL;
    ferry_argv_in in = input();
    in.accel = FERRY_ACCEL_KVM;
    in.memory_mib = 1024;
    in.cpus = 2;
    in.sandbox = false;
    assert_int_equal(ferry_argv_build(&in, &argv), 0);

    assert_values(argv, "-accel", "kvm\n");
    char device[1024];
    values_of(argv, "-device", device, sizeof device);
    assert_null(strstr(device, "ioeventfd=off")); /* kvm's own eventfds are cheaper */
    assert_values(argv, "-cpu", "host\n");
    assert_values(argv, "-m", "1024\n");
    assert_values(argv, "-smp", "2\n");
    assert_values(argv, "-sandbox", "");
}

static void drives_in_order(void **state)
{
    (void)state;
    char one[] = "/d/a,b:c \"q\".img", two[] = "/d/two.qcow2";
    char raw[] = "raw", qcow2[] = "qcow2";
    ferry_drive drives[] = {
        {.path = one, .format = raw, .target = 0},
        {.format = raw, .scratch_bytes = 1 << 20, .target = 1},
        {.path = two, .format = qcow2, .readonly = true, .target = 2},
        {.format = raw, .scratch_bytes = 1 << 20, .target = 3},
    };
    FERRY_AUTO(strv) char **argv = NULL;
    ferry_argv_in in = input();
    in.drives = drives;
    in.ndrives = 4;
    assert_int_equal(ferry_argv_build(&in, &argv), 0);

    assert_values(
        argv, "-blockdev",
        USR
        "{\"node-name\":\"drive0\",\"driver\":\"raw\",\"read-only\":false,"
        "\"cache\":{\"direct\":false,\"no-flush\":false},"
        "\"file\":{\"driver\":\"file\",\"filename\":\"/d/a,b:c \\\"q\\\".img\","
        "\"discard\":\"unmap\"},\"discard\":\"unmap\",\"detect-zeroes\":\"unmap\"}\n"
        "{\"node-name\":\"drive1\",\"driver\":\"raw\",\"read-only\":false,"
        "\"cache\":{\"direct\":false,\"no-flush\":true},"
        "\"file\":{\"driver\":\"file\",\"filename\":\"/dev/fdset/1\","
        "\"discard\":\"unmap\"},\"discard\":\"unmap\",\"detect-zeroes\":\"unmap\"}\n"
        "{\"node-name\":\"drive2\",\"driver\":\"qcow2\",\"read-only\":true,"
        "\"cache\":{\"direct\":false,\"no-flush\":false},"
        "\"file\":{\"driver\":\"file\",\"filename\":\"/d/two.qcow2\"}}\n"
        "{\"node-name\":\"drive3\",\"driver\":\"raw\",\"read-only\":false,"
        "\"cache\":{\"direct\":false,\"no-flush\":true},"
        "\"file\":{\"driver\":\"file\",\"filename\":\"/dev/fdset/3\","
        "\"discard\":\"unmap\"},\"discard\":\"unmap\",\"detect-zeroes\":\"unmap\"}\n");
    assert_values(argv, "-add-fd", "fd=7,set=1\nfd=8,set=3\n");

    char device[4096];
    values_of(argv, "-device", device, sizeof device);
    assert_non_null(
        strstr(device, "virtio-scsi-pci,id=scsi,hotplug=off,ioeventfd=off\n" DISK(
                           "0") "\n" DISK("1") "\n" DISK("2") "\n"));
}

/* Its descriptor is the one behind those of scratch disks. */
static void lane_is_shared_memory(void **state)
{
    (void)state;
    ferry_drive drives[] = {
        {.format = (char *)(uintptr_t) "raw", .scratch_bytes = 512, .target = 0},
        {.format = (char *)(uintptr_t) "raw", .scratch_bytes = 512, .target = 1},
    };
    for (unsigned n = 0; n <= 2; n += 2) {
        FERRY_AUTO(strv) char **argv = NULL;
        ferry_argv_in in = input();
        in.drives = drives;
        in.ndrives = n;
        in.lane_bytes = 18 << 20;
        assert_int_equal(ferry_argv_build(&in, &argv), 0);
        assert_values(argv, "-m", "512,maxmem=2560M\n");
        assert_values(argv, "-object",
                      n == 0 ? "memory-backend-file,id=lane,share=on,size=18874368,"
                               "mem-path=/proc/self/fd/7\n"
                             : "memory-backend-file,id=lane,share=on,size=18874368,"
                               "mem-path=/proc/self/fd/9\n");
        char device[4096];
        values_of(argv, "-device", device, sizeof device);
        assert_non_null(strstr(device, "virtio-pmem-pci,memdev=lane\n"));
    }
}

/* The other row: no firmware, the board's own serial port. */
static void aarch64(void **state)
{
    (void)state;
    FERRY_AUTO(strv) char **argv = NULL;
    const ferry_platform *p = ferry_platform_find("aarch64");
    assert_non_null(p);
    ferry_argv_in in = input();
    in.platform = p;
    in.qemu = "/usr/bin/qemu-system-aarch64";
    in.kernel = "/a/Image";
    in.bios = NULL;
    assert_int_equal(ferry_argv_build(&in, &argv), 0);
    assert_values(argv, "-machine", "virt\n");
    assert_values(argv, "-cpu", "max,pauth=off,sve=off\n");
    assert_values(argv, "-bios", "");
    assert_values(argv, "-kernel", "/a/Image\n");
    assert_values(argv, "-append",
                  "console=ttyAMA0 quiet panic=-1 oops=panic mitigations=off "
                  "cryptomgr.notests random.trust_cpu=on init_on_alloc=0 "
                  "hardened_usercopy=off psi=0 audit=0 lsm=capability "
                  "cgroup_disable=memory\n");
    assert_false(p->lane);
}

static void unknown_architecture(void **state)
{
    (void)state;
    assert_null(ferry_platform_find("vax"));
    assert_non_null(ferry_platform_host());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_drives),
        cmocka_unit_test(console_is_the_serial_port),
        cmocka_unit_test(two_cpus_keep_their_timers),
        cmocka_unit_test(a_reader_of_the_console_gets_it_all),
        cmocka_unit_test(emulated_guests_are_told_their_ticks),
        cmocka_unit_test(traces_reach_the_daemon_of_a_boot),
        cmocka_unit_test(choices_are_passed_on),
        cmocka_unit_test(drives_in_order),
        cmocka_unit_test(lane_is_shared_memory),
        cmocka_unit_test(aarch64),
        cmocka_unit_test(unknown_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
