/* What a domain's XML says of its disks: those that are files or devices, why others are
 * not to be had, and XML that is none. */
#include "launch/libvirt/disks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void reads(const char *xml, const char *want)
{
    json_t *list = json_array();
    assert_int_equal(ferry_domain_disks(xml, list), 0);
    char *got = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(got, want);
    free(got);
    json_decref(list);
}

static void each_kind(void **state)
{
    (void)state;
    reads("<domain type='kvm'><name>x</name></domain>", "[]");
    reads(
        "<domain><devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        "<source file='/d/a &amp; b.img'/><backingStore type='file'>"
        "<source file='/d/base'/></backingStore><target dev='vda' bus='virtio'/></disk>"
        "<disk type='file' device='cdrom'><source file='/cd.iso'/></disk>"
        "<disk type='block'><source dev='/dev/vg/lv'/><target dev='sdb'/><readonly/>"
        "</disk></devices></domain>",
        "[{\"format\":\"qcow2\",\"path\":\"/d/a & b.img\",\"readonly\":false,"
        "\"target\":\"vda\"},"
        "{\"format\":\"raw\",\"path\":\"/dev/vg/lv\",\"readonly\":true,"
        "\"target\":\"sdb\"}]");
    reads("<domain><devices>"
          "<disk type='network'><source protocol='rbd' name='p/i'/>"
          "<target dev='vda'/></disk>"
          "<disk type='file'><target dev='vdb'/></disk>"
          "<disk type='file'><source file='/x'><encryption format='luks'/></source>"
          "<target dev='vdc'/></disk></devices></domain>",
          "[{\"format\":\"raw\",\"path\":null,\"readonly\":false,\"target\":\"vda\","
          "\"why\":\"is a network disk\"},"
          "{\"format\":\"raw\",\"path\":null,\"readonly\":false,\"target\":\"vdb\","
          "\"why\":\"has no medium\"},"
          "{\"format\":\"raw\",\"path\":\"/x\",\"readonly\":false,\"target\":\"vdc\","
          "\"why\":\"is encrypted by qemu\"}]");
}

static void refuses(const char *xml)
{
    json_t *list = json_array();
    assert_int_equal(ferry_domain_disks(xml, list), -EINVAL);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
}

static void no_domain(void **state)
{
    (void)state;
    refuses("");
    refuses("<domain>");
    refuses("<network/>");
    /* Entities that grow: libxml2's own bound ends it. */
    refuses(
        "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;'>"
        "]><x>&d;</x>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind),
        cmocka_unit_test(no_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
