/* The XML of our domain, line by line where it matters, and names that are full of what XML
 * has a meaning for. */
#include "launch/libvirt/domain.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char a_img[] = "/d/<a> & \"b\" 'c'.img", b_qcow2[] = "/d/b.qcow2",
            scratch[] = "/proc/1/fd/9", raw[] = "raw", qcow2[] = "qcow2";
static const ferry_drive drives[] = {
    {.path = a_img, .format = raw},
    {.path = b_qcow2, .format = qcow2, .readonly = true, .target = 1},
    {.path = scratch, .format = raw, .scratch_bytes = 512, .target = 2},
};

static char *build(ferry_accel accel, enum ferry_domain_owner owner)
{
    ferry_argv_in in = {
        .platform = ferry_platform_find("x86_64"),
        .kernel = "/a/vmlinux",
        .initramfs = "/a/initramfs",
        .usr = "/a/usr.img",
        .bios = "/a/qboot.rom",
        .drives = drives,
        .ndrives = 3,
        .accel = accel,
        .memory_mib = 768,
        .cpus = 2,
    };
    FERRY_AUTO(mem) char *append = ferry_argv_append(&in);
    ferry_libvirt_spec spec = {.in = &in, .append = append};
    ferry_domain_in d = {.spec = &spec,
                         .name = "ferry-1",
                         .owner = owner,
                         .uid = 4294967294u,
                         .gid = 7};
    char *xml = NULL;
    assert_int_equal(ferry_domain_xml(&d, &xml), 0);
    return xml;
}

static void has(const char *xml, const char *what)
{
    if (!strstr(xml, what))
        fail_msg("%s\nis not in\n%s", what, xml);
}

static void has_not(const char *xml, const char *what)
{
    if (strstr(xml, what))
        fail_msg("%s\nis in\n%s", what, xml);
}

static void emulated(void **state)
{
    (void)state;
    FERRY_AUTO(mem) char *xml = build(FERRY_ACCEL_TCG, FERRY_OWNER_CALLER);
    has(xml, "<domain type=\"qemu\">\n <name>ferry-1</name>\n"
             " <memory unit=\"MiB\">768</memory>\n <vcpu>2</vcpu>\n");
    has(xml, "<type arch=\"x86_64\" machine=\"q35\">hvm</type>\n"
             "  <loader type=\"rom\">/a/qboot.rom</loader>\n"
             "  <kernel>/a/vmlinux</kernel>\n  <initrd>/a/initramfs</initrd>\n"
             "  <cmdline>console=ttyS0 quiet panic=-1 ");
    has(xml, "<feature policy=\"disable\" name=\"erms\"/>");
    has(xml, "<feature policy=\"disable\" name=\"avx2\"/>");
    has(xml,
        "<controller type=\"virtio-serial\" index=\"0\" ports=\"2\" vectors=\"7\">");
    has(xml, "<driver ioeventfd=\"off\"/>");
    /* The guest's end, of whatever kind, is the domain's. */
    has(xml, "<on_poweroff>destroy</on_poweroff>\n <on_reboot>destroy</on_reboot>\n"
             " <on_crash>destroy</on_crash>");
    has(xml, "<target type=\"virtio\" name=\"org.guestferry.0\"/>");
    has(xml, "<memballoon model=\"none\"/>");
    has(xml, "<seclabel type=\"static\" model=\"dac\" relabel=\"no\">\n"
             "  <label>+4294967294:+7</label>");
    has_not(xml, "<emulator>"); /* libvirt's own */
}

static void disks(void **state)
{
    (void)state;
    FERRY_AUTO(mem) char *xml = build(FERRY_ACCEL_TCG, FERRY_OWNER_CALLER);
    /* libxml2 escapes no more than has to be. */
    has(xml, "<source file=\"/d/&lt;a&gt; &amp; &quot;b&quot; 'c'.img\"/>\n"
             "   <target dev=\"sda\" bus=\"scsi\"/>\n   <serial>ferry0</serial>\n"
             "   <address type=\"drive\" controller=\"0\" bus=\"0\" target=\"0\" "
             "unit=\"0\"/>\n  </disk>");
    has(xml, "<driver name=\"qemu\" type=\"raw\" cache=\"writeback\" "
             "error_policy=\"report\" rerror_policy=\"report\" discard=\"unmap\" "
             "detect_zeroes=\"unmap\"/>");
    has(xml, "<driver name=\"qemu\" type=\"qcow2\" cache=\"writeback\" "
             "error_policy=\"report\" rerror_policy=\"report\"/>\n"
             "   <source file=\"/d/b.qcow2\"/>\n"
             "   <target dev=\"sdb\" bus=\"scsi\"/>\n   <serial>ferry1</serial>\n"
             "   <address type=\"drive\" controller=\"0\" bus=\"0\" target=\"1\" "
             "unit=\"0\"/>\n   <readonly/>\n");
    has(xml, "cache=\"unsafe\"");
    has(xml, "<source file=\"/a/usr.img\"/>\n   <target dev=\"vda\" bus=\"virtio\"/>\n"
             "   <readonly/>");
}

static void with_kvm(void **state)
{
    (void)state;
    FERRY_AUTO(mem) char *xml = build(FERRY_ACCEL_KVM, FERRY_OWNER_ANY);
    has(xml, "<domain type=\"kvm\">");
    has(xml, "<cpu mode=\"host-passthrough\" check=\"none\"/>");
    has(xml, "<driver ioeventfd=\"on\"/>");
    has_not(xml, "seclabel"); /* no driver: libvirt would refuse one */
}

/* Another host's libvirtd gives images to its user. usr.img stayed that user's for ever. */
static void on_another_host(void **state)
{
    (void)state;
    FERRY_AUTO(mem) char *xml = build(FERRY_ACCEL_TCG, FERRY_OWNER_QEMU);
    has(xml,
        "<source file=\"/a/usr.img\">\n    <seclabel model=\"dac\" relabel=\"no\"/>");
    has_not(xml, "<label>");
    has(xml, "<source file=\"/d/b.qcow2\"/>");
}

/* 26 letters, then two of them. */
static void many_disks_have_names(void **state)
{
    (void)state;
    ferry_drive many[255];
    for (unsigned i = 0; i < 255; i++) {
        many[i] = drives[0];
        many[i].target = i;
    }
    ferry_argv_in in = {.platform = ferry_platform_find("x86_64"),
                        .kernel = "/k",
                        .initramfs = "/i",
                        .usr = "/u",
                        .bios = "/b",
                        .drives = many,
                        .ndrives = 255,
                        .accel = FERRY_ACCEL_TCG};
    ferry_libvirt_spec spec = {.in = &in, .append = ""};
    ferry_domain_in d = {.spec = &spec, .name = "x"};
    FERRY_AUTO(mem) char *xml = NULL;
    assert_int_equal(ferry_domain_xml(&d, &xml), 0);
    has(xml, "\"sdz\" bus=\"scsi\"/>\n   <serial>ferry25<");
    has(xml, "\"sdaa\" bus=\"scsi\"/>\n   <serial>ferry26<");
    has(xml, "\"sdiu\" bus=\"scsi\"/>\n   <serial>ferry254<");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emulated),
        cmocka_unit_test(disks),
        cmocka_unit_test(with_kvm),
        cmocka_unit_test(on_another_host),
        cmocka_unit_test(many_disks_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
