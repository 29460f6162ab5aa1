/* From qemu's words to a code and a line for a person. The words are those of qemu 7.2,
 * as it wrote them on this project's machines; e2e/launch has qemu write them again. */
#include "launch/blame.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define EXITED(n) W_EXITCODE(n, 0)
#define KILLED(n) W_EXITCODE(0, n)
#define JSON0                                                                          \
    "qemu-system-x86_64: -blockdev {\"node-name\":\"drive0\",\"driver\":\"qcow2\","    \
    "\"file\":{\"driver\":\"file\",\"filename\":\"/d/a.qcow2\"}}: "

static char path0[] = "/d/a.qcow2", path1[] = "/d/b.vdi", qcow2[] = "qcow2",
            vdi[] = "vdi";
static ferry_drive drives[] = {{.path = path0, .format = qcow2},
                               {.path = path1, .format = vdi, .target = 1}};
static const ferry_machine_spec spec = {.drives = drives, .ndrives = 2};

static ferry_evidence evidence(int status, const char *words)
{
    return (ferry_evidence){.spec = &spec,
                            .qemu = "/usr/bin/qemu-system-x86_64",
                            .words = words,
                            .panic = "",
                            .oom = "",
                            .last = "",
                            .status = status};
}

static void assert_blamed(const ferry_evidence *ev, int code, const char *msg)
{
    ferry_error e = {0};
    assert_int_equal(ferry_blame(ev, -FERRY_ELAUNCH, &e), code);
    assert_int_equal(e.code, code);
    assert_string_equal(e.msg, msg);
}

static void assert_words(const char *words, int code, const char *msg)
{
    ferry_evidence ev = evidence(EXITED(1), words);
    assert_blamed(&ev, code, msg);
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_OTHER);
}

static void images(void **state)
{
    (void)state;
    assert_words(JSON0 "Failed to get \"write\" lock\n"
                       "Is another process using the image [/d/a.qcow2]?\n",
                 -FERRY_EBUSY,
                 "/d/a.qcow2 is in use by another process "
                 "(qemu says: Failed to get \"write\" lock)");
    assert_words(
        "qemu-system-x86_64: -device {\"driver\":\"scsi-hd\",\"drive\":\"drive1\"}:"
        " Failed to get \"write\" lock\n"
        "Is another process using the image [/d/b.vdi]?\n",
        -FERRY_EBUSY,
        "/d/b.vdi is in use by another process "
        "(qemu says: Failed to get \"write\" lock)");
    assert_words(
        JSON0 "Image is not in qcow2 format\n", -FERRY_EFORMAT,
        "/d/a.qcow2: not a qcow2 image (qemu says: Image is not in qcow2 format); "
        "say which it is (--format raw, qcow2, vmdk or vdi)");
    assert_words(
        "qemu-system-x86_64: warning: TCG doesn't support requested feature\n" JSON0
        "Could not open backing file: Could not open '/d/base.qcow2': No such file "
        "or directory\n",
        -FERRY_ENOENT,
        "/d/a.qcow2: its backing file: Could not open backing file: Could not open "
        "'/d/base.qcow2': No such file or directory");
    assert_words(
        JSON0 "Could not open '/d/a.qcow2': Permission denied\n", -FERRY_EACCES,
        "/d/a.qcow2: qemu says: Could not open '/d/a.qcow2': Permission denied");
}

static void a_qemu_that_is_too_old(void **state)
{
    (void)state;
    static const char *const words[] = {
        "qemu-system-x86_64: -blockdev: invalid option",
        "qemu-system-x86_64: -chardev socket,id=x,fd=3: Invalid parameter 'fd'",
        "qemu-system-x86_64: -device virtio-scsi-pci: 'virtio-scsi-pci' is not a valid "
        "device model name",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ferry_evidence ev = evidence(EXITED(1), words[i]);
        ferry_error e = {0};
        assert_int_equal(ferry_blame(&ev, -FERRY_ELAUNCH, &e), -FERRY_ELAUNCH);
        assert_non_null(strstr(e.msg, "/usr/bin/qemu-system-x86_64 is too old"));
        assert_non_null(strstr(e.msg, strchr(words[i], ' ') + 1)); /* the feature */
        assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_OTHER);
    }
}

static void ends(void **state)
{
    (void)state;
    ferry_evidence ev = evidence(KILLED(SIGKILL), "qemu-system-x86_64: something\n");
    assert_blamed(&ev, -FERRY_ELAUNCH, "appliance killed by signal 9 (Killed)");

    ev = evidence(-1, "");
    assert_blamed(&ev, -FERRY_ELAUNCH, "appliance killed: its guard process was killed");

    ev = evidence(EXITED(1), "qemu-system-x86_64: cosmic rays\n");
    assert_blamed(&ev, -FERRY_ELAUNCH, "qemu exited with status 1: cosmic rays");
    ev = evidence(EXITED(3), "");
    assert_blamed(&ev, -FERRY_ELAUNCH, "qemu exited with status 3");

    ev = evidence(EXITED(127), "");
    ev.exec_errno = ENOEXEC;
    ferry_error e = {0};
    ferry_blame(&ev, -FERRY_ELAUNCH, &e);
    assert_int_equal(e.os_errno, ENOEXEC);
    assert_non_null(strstr(e.msg, "/usr/bin/qemu-system-x86_64 cannot be run"));

    ev =
        evidence(EXITED(0),
                 "qemu-system-x86_64: terminating on signal 15 from pid 7 (timeout)\n");
    assert_blamed(&ev, -FERRY_ELAUNCH,
                  "qemu was ended: terminating on signal 15 from pid 7 (timeout)");

    ev = evidence(EXITED(0), "");
    ev.last = "reboot: Power down";
    assert_blamed(
        &ev, -FERRY_ELAUNCH,
        "the appliance switched itself off; its last line: reboot: Power down");
    ev.panic = "Kernel panic - not syncing: x";
    assert_blamed(&ev, -FERRY_ELAUNCH,
                  "appliance panicked: Kernel panic - not syncing: x");
    ev.oom = "Out of memory: Killed process 7 (init)";
    assert_blamed(
        &ev, -FERRY_ELAUNCH,
        "appliance ran out of memory (give it more: memory_mib): Out of memory: "
        "Killed process 7 (init)");
}

static void what_kvm_may_be_blamed_for(void **state)
{
    (void)state;
    ferry_evidence ev =
        evidence(KILLED(SIGABRT),
                 "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\n"
                 "qemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: "
                 "kvm_buf_set_msrs: Assertion "
                 "`ret == cpu->kvm_msr_buf->nmsrs' failed.\n");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_BOOT);
    assert_blamed(
        &ev, -FERRY_ELAUNCH,
        "appliance killed by signal 6 (Aborted): failed to set MSR 0x10a to 0x69");

    ev = evidence(EXITED(0), ""); /* a triple fault, with -no-reboot */
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_BOOT);
    ev =
        evidence(EXITED(1), "Could not access KVM kernel module: Permission denied\n"
                            "qemu-system-x86_64: -accel kvm: failed to initialize kvm: "
                            "Permission denied\n");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_ACCEL);
    ev = evidence(KILLED(SIGKILL), ""); /* somebody did that */
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_OTHER);
    /* An image that happens to have the name in it. */
    ev = evidence(EXITED(1), JSON0 "Could not open '/d/kvm.qcow2': Permission denied");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_OTHER);
}

static void a_qemu_without_seccomp(void **state)
{
    (void)state;
    ferry_evidence ev =
        evidence(EXITED(1), "qemu-system-x86_64: -sandbox support is not "
                            "enabled in this QEMU binary\n");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_SANDBOX);
}

static void a_qemu_without_the_lanes_device(void **state)
{
    (void)state;
    ferry_evidence ev =
        evidence(EXITED(1), "qemu-system-x86_64: -device virtio-pmem-pci,memdev=lane: "
                            "'virtio-pmem-pci' is not a valid device model name\n");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_LANE);
    ev = evidence(EXITED(1), "qemu-system-x86_64: -object memory-backend-file,id=lane: "
                             "can't open backing store\n");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_LANE);
    ev = evidence(EXITED(1),
                  JSON0 "Could not open '/d/virtio-pmem.img': No such file\n");
    assert_int_equal(ferry_suspect(&ev), FERRY_SUSPECT_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images),
        cmocka_unit_test(a_qemu_that_is_too_old),
        cmocka_unit_test(ends),
        cmocka_unit_test(what_kvm_may_be_blamed_for),
        cmocka_unit_test(a_qemu_without_seccomp),
        cmocka_unit_test(a_qemu_without_the_lanes_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
