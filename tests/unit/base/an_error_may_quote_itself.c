/* An error that is made of another may be written over it. Once the words of qemu that were quoted were
 * overwritten while they were read: "junk.qcow2: not a qcow2 image (qemu says: junk.qcow2: not a qcow2
 * image (qemu says: )". */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void its_words(void **state)
{
    ferry_error e;
    (void)state;
    ferry_fail(&e, -FERRY_EIO, "blockdev-add", "blockdev-add: no such format");
    assert_int_equal(ferry_fail(&e, -FERRY_EFORMAT, "launch", "%s: no image (qemu: %s)",
                                "disk.img", e.msg + strlen("blockdev-add: ")),
                     -FERRY_EFORMAT);
    assert_string_equal(e.msg, "disk.img: no image (qemu: no such format)");
    assert_string_equal(e.where, "launch");
}

static void its_place(void **state)
{
    ferry_error e;
    (void)state;
    ferry_fail(&e, -FERRY_EIO, "upload", "no");
    ferry_fail_os(&e, -FERRY_EDEAD, 5, e.where, "%s: %s", e.where, e.msg);
    assert_string_equal(e.where, "upload");
    assert_string_equal(e.msg, "upload: no");
    assert_int_equal(e.os_errno, 5);
}

static void its_prefix(void **state)
{
    ferry_error e;
    (void)state;
    ferry_fail(&e, -FERRY_EIO, "upload", "no");
    assert_int_equal(ferry_error_prefix(&e, "%s, %s", e.where, e.msg), -FERRY_EIO);
    assert_string_equal(e.msg, "upload, no: no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_words),
        cmocka_unit_test(its_place),
        cmocka_unit_test(its_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
