/* What can be seen before a launch is refused before it, with the name of the file and the
 * next step; what is accepted comes out absolute and with a format. */
#include "launch/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64]; /* the current directory of every test */

static int enter_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/ferry-drive-XXXXXX");
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_dir(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void make_file(const char *name, mode_t mode, const char *content)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void assert_refused(const char *path, const ferry_drive_opts *o, int code,
                           const char *part)
{
    ferry_drive untouched = {.scratch_bytes = 4711}, d = untouched;
    ferry_error e = {0};
    assert_int_equal(ferry_drive_check(path, o, &d, &e), code);
    assert_int_equal(e.code, code);
    if (!strstr(e.msg, part) || !strstr(e.msg, path))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", e.msg, path, part);
    assert_memory_equal(&d, &untouched, sizeof d);
}

static void assert_accepted(const char *path, const ferry_drive_opts *o,
                            const char *format)
{
    ferry_drive d = {0};
    ferry_error e = {0};
    char expected[256];
    if (ferry_drive_check(path, o, &d, &e) != 0)
        fail_msg("%s: %s", path, e.msg);
    snprintf(expected, sizeof expected, "%s%s%s", path[0] == '/' ? "" : dir,
             path[0] == '/' ? "" : "/", path);
    assert_string_equal(d.path, expected);
    assert_string_equal(d.format, format);
    assert_int_equal(d.readonly, o && o->readonly);
    ferry_drive_done(&d);
    assert_null(d.path);
}

static void missing(void **state)
{
    (void)state;
    assert_refused("none.img", NULL, -FERRY_ENOENT, "no such image");
    assert_refused("no/dir.img", NULL, -FERRY_ENOENT, "no such image");
    make_file("file", 0600, "x");
    assert_refused("file/x.img", NULL, -FERRY_ENOTDIR, "not a directory");
}

static void not_a_disk(void **state)
{
    (void)state;
    assert_int_equal(mkdir("d.img", 0700), 0);
    assert_refused("d.img", NULL, -FERRY_EISDIR, "directory");
    assert_int_equal(mkfifo("f.img", 0600), 0);
    assert_refused("f.img", NULL, -FERRY_EINVAL, "FIFO");
    assert_refused("/dev/null", NULL, -FERRY_EINVAL, "character device");
    make_file("empty.img", 0600, "");
    assert_refused("empty.img", NULL, -FERRY_EFORMAT, "empty");

    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "s.img"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_refused("s.img", NULL, -FERRY_EINVAL, "socket");
    close(fd);
}

/* Permissions mean nothing to root: the process becomes somebody else for the test. */
static void no_permission(void **state)
{
    (void)state;
    make_file("secret.img", 0000, "x");
    make_file("kept.img", 0444, "x");
    bool root = geteuid() == 0;
    if (root) {
        assert_int_equal(chmod(".", 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    ferry_drive_opts ro = {.size = sizeof ro, .readonly = 1};
    assert_refused("secret.img", NULL, -FERRY_EACCES, "cannot be read");
    assert_refused("secret.img", &ro, -FERRY_EACCES, "cannot be read");
    assert_refused("kept.img", NULL, -FERRY_EACCES, "read-only (--ro)");
    assert_accepted("kept.img", &ro, "raw");
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static void format_follows_the_extension(void **state)
{
    (void)state;
    static const struct {
        const char *name, *format;
    } known[] = {
        {"a.img", "raw"},       {"a.raw", "raw"},     {"a.iso", "raw"},
        {"a.bin", "raw"},       {"a.qcow2", "qcow2"}, {"a.qcow", "qcow2"},
        {"a.vmdk", "vmdk"},     {"a.vdi", "vdi"},     {"A.QCOW2", "qcow2"},
        {"a.b:c,d.img", "raw"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        make_file(known[i].name, 0600, "x");
        assert_accepted(known[i].name, NULL, known[i].format);
    }
}

static void format_is_never_guessed(void **state)
{
    (void)state;
    make_file("noext", 0600, "QFI\xfb");
    make_file("disk.xyz", 0600, "QFI\xfb");
    assert_int_equal(mkdir("dir.qcow2", 0700), 0);
    make_file("dir.qcow2/disk", 0600, "x");
    assert_refused("noext", NULL, -FERRY_EFORMAT, "--format");
    assert_refused("disk.xyz", NULL, -FERRY_EFORMAT, "--format");
    assert_refused("dir.qcow2/disk", NULL, -FERRY_EFORMAT, "--format");

    ferry_drive_opts o = {.size = sizeof o, .format = "qcow2"};
    assert_accepted("disk.xyz", &o, "qcow2");
    o.format = "vhdx";
    assert_refused("disk.xyz", &o, -FERRY_EINVAL, "vhdx");
}

static void name_must_be_utf8(void **state)
{
    (void)state;
    make_file("\xff.img", 0600, "x");
    assert_refused("\xff.img", NULL, -FERRY_EINVAL, "UTF-8");
    make_file("f\xc3\xa4hre.img", 0600, "x");
    assert_accepted("f\xc3\xa4hre.img", NULL, "raw");
}

static void scratch_sizes(void **state)
{
    (void)state;
    ferry_drive d = {0};
    ferry_error e = {0};
    assert_int_equal(ferry_drive_scratch(0, NULL, &d, &e), -FERRY_EINVAL);
    assert_int_equal(ferry_drive_scratch(513, NULL, &d, &e), -FERRY_EINVAL);
    assert_int_equal(ferry_drive_scratch(UINT64_MAX - 511, NULL, &d, &e), -FERRY_EINVAL);
    assert_int_equal(ferry_drive_scratch(1 << 20, NULL, &d, &e), 0);
    assert_null(d.path);
    assert_int_equal(d.scratch_bytes, 1 << 20);
    ferry_drive_done(&d);
}

/* A program that holds fcntl locks on its image would lose them all if we so much as
 * opened and closed it. */
static void locks_of_the_host_survive(void **state)
{
    (void)state;
    make_file("locked.img", 0600, "x");
    int fd = open("locked.img", O_RDWR | O_CLOEXEC);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    assert_int_equal(fcntl(fd, F_SETLK, &l), 0);
    assert_accepted("locked.img", NULL, "raw");

    pid_t pid = fork();
    if (pid == 0) {
        struct flock q = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _exit(fcntl(fd, F_GETLK, &q) == 0 && q.l_type == F_WRLCK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter_dir, leave_dir)
    const struct CMUnitTest tests[] = {
        TEST(missing),
        TEST(not_a_disk),
        TEST(no_permission),
        TEST(format_follows_the_extension),
        TEST(format_is_never_guessed),
        TEST(name_must_be_utf8),
        TEST(scratch_sizes),
        TEST(locks_of_the_host_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
