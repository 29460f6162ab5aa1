/* What is before ":/" is an image if it is a file, or is called like one; a local file keeps
 * its colons. The table is the rule of `gferry cp --help` and the manual. */
#include "side.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static char dir[] = "/tmp/gferry-side-XXXXXX";

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || chdir(dir) < 0)
        return -1;
    touch("disk.qcow2");
    touch("plain"); /* an image without an extension */
    touch("a:b");   /* a local file with a colon */
    mkdir("vm", 0700);
    touch("vm/x.img");
    mkdir("x:", 0700); /* so that x:/y is a local path */
    touch("x:/there");
    touch("two.img");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    static const char *const files[] = {"disk.qcow2", "plain",    "a:b",
                                        "vm/x.img",   "x:/there", "two.img"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    rmdir("vm");
    rmdir("x:");
    return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static void assert_side(const char *operand, const char *format, enum side_kind kind,
                        const char *image, const char *path)
{
    struct side s;
    char why[SIDE_WHY] = "";
    print_message("%s\n", operand);
    assert_int_equal(side_parse(operand, format, &s, why), 0);
    assert_int_equal(s.kind, kind);
    assert_string_equal(s.path, path);
    if (image)
        assert_string_equal(s.image, image);
    else
        assert_null(s.image);
    side_done(&s);
}

static void images(void **state)
{
    (void)state;
    assert_side("disk.qcow2:/root/", NULL, SIDE_IMAGE, "disk.qcow2", "/root/");
    assert_side("disk.qcow2:/", NULL, SIDE_IMAGE, "disk.qcow2", "/");
    assert_side("vm/x.img:/etc", NULL, SIDE_IMAGE, "vm/x.img", "/etc");
    assert_side("./plain:/etc", NULL, SIDE_IMAGE, "./plain", "/etc");
    /* The last split whose left side is a file: a ":/" may be in the guest's path too. */
    assert_side("disk.qcow2:/a:/b", NULL, SIDE_IMAGE, "disk.qcow2", "/a:/b");
    assert_side("disk.qcow2:/a:b", NULL, SIDE_IMAGE, "disk.qcow2", "/a:b");
    /* Not there, but called like an image: the error must be about the image. */
    assert_side("gone.qcow2:/etc", NULL, SIDE_IMAGE, "gone.qcow2", "/etc");
    assert_side("no/dir/GONE.IMG:/etc", NULL, SIDE_IMAGE, "no/dir/GONE.IMG", "/etc");
    /* --format says that it is an image, whatever it is called. */
    assert_side("gone:/etc", "raw", SIDE_IMAGE, "gone", "/etc");
}

static void local_paths(void **state)
{
    (void)state;
    assert_side("file", NULL, SIDE_LOCAL, NULL, "file");
    assert_side("/abs/file", NULL, SIDE_LOCAL, NULL, "/abs/file");
    assert_side("disk.qcow2", NULL, SIDE_LOCAL, NULL, "disk.qcow2");
    assert_side("a:b", NULL, SIDE_LOCAL, NULL, "a:b");
    assert_side("./new:name", NULL, SIDE_LOCAL, NULL, "./new:name");
    assert_side("x:/there", NULL, SIDE_LOCAL, NULL, "x:/there");
    assert_side("x:/not-yet", NULL, SIDE_LOCAL, NULL, "x:/not-yet");
    assert_side("-", NULL, SIDE_STDIO, NULL, "-");
    assert_side("./-", NULL, SIDE_LOCAL, NULL, "./-");
}

static void assert_refused(const char *operand, const char *part)
{
    struct side s;
    char why[SIDE_WHY] = "";
    assert_int_equal(side_parse(operand, NULL, &s, why), -EINVAL);
    if (!strstr(why, part))
        fail_msg("'%s' is not in '%s'", part, why);
}

static void neither(void **state)
{
    (void)state;
    assert_refused("./y:/z", "no image './y'");
    assert_refused("disk.qcow2:etc", "disk.qcow2:/etc");
    assert_refused("gone.img:etc", "gone.img:/etc");
}

static void assert_image(const char *operand, const char *image, const char *path,
                         bool given)
{
    struct side s;
    char why[SIDE_WHY] = "";
    bool got;
    print_message("%s\n", operand);
    assert_int_equal(side_parse_image(operand, NULL, &s, &got, why), 0);
    assert_int_equal(s.kind, SIDE_IMAGE);
    assert_string_equal(s.image, image);
    assert_string_equal(s.path, path);
    assert_int_equal(got, given);
    side_done(&s);
}

static void image_alone_is_its_root(void **state)
{
    (void)state;
    assert_image("disk.qcow2", "disk.qcow2", "/", false);
    assert_image("disk.qcow2:", "disk.qcow2", "/", false);
    assert_image("disk.qcow2:/etc", "disk.qcow2", "/etc", true);
    assert_image("gone:/etc", "gone", "/etc", true); /* nothing local can be meant */
    assert_image("plain", "plain", "/", false);
}

static void formats_follow_extensions(void **state)
{
    (void)state;
    assert_string_equal(side_format("a.img"), "raw");
    assert_string_equal(side_format("/x.y/a.QCOW2"), "qcow2");
    assert_string_equal(side_format("a.vmdk"), "vmdk");
    assert_string_equal(side_format("a.vdi"), "vdi");
    assert_null(side_format("/x.img/a"));
    assert_null(side_format("a"));
    assert_null(side_format("a.txt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images),
        cmocka_unit_test(local_paths),
        cmocka_unit_test(neither),
        cmocka_unit_test(image_alone_is_its_root),
        cmocka_unit_test(formats_follow_extensions),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
