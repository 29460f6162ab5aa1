/* An upload over an existing file changes its content and nothing else: owner, mode,
 * extended attributes and ACL stay, as debugfs has set them and as debugfs finds
 * them. A download over one of the host's likewise. */
#include "harness/vm.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SMALL 5000      /* one job of the daemon */
#define LARGE (3 * MIB) /* its pipeline */

/* A name for each way a file may be replaced. */
static const struct {
    const char *name;
    size_t len;
    int durable;
} files[] = {{"small", SMALL, 0},
             {"large", LARGE, 0},
             {"durable", SMALL, 1},
             {"empty", 0, 0}};
#define NFILES (sizeof files / sizeof *files)

static void debugfs(const char *image, const char *verb, const char *name,
                    const char *words)
{
    const char *said = host("debugfs -w -R '%s %s %s' '%s'", verb, name, words, image);
    if (strchr(said, '\n') != strrchr(said, '\n')) /* the first line is its version */
        fail_msg("debugfs %s %s %s: %s", verb, name, words, said);
}

/* cap_net_bind_service=ep, as the kernel stores it. */
static const uint8_t capability[20] = {1, 0, 0, 2, 0, 4};

/* Owner 1000:1001, set-id bits, an attribute of a user's, a capability as a package
 * sets it. */
static void make_old_file(const char *image, const char *name)
{
    make_file(scratch("old"), 777, 1);
    host("debugfs -w -R 'write %s %s' '%s'", scratch("old"), name, image);
    debugfs(image, "sif", name, "mode 0106754");
    debugfs(image, "sif", name, "uid 1000");
    debugfs(image, "sif", name, "gid 1001");
    debugfs(image, "ea_set", name, "user.note kept");

    char verb[PATH_MAX];
    FILE *f = fopen(scratch("capability"), "we");
    assert_non_null(f);
    assert_int_equal(fwrite(capability, sizeof capability, 1, f), 1);
    fclose(f);
    snprintf(verb, sizeof verb, "ea_set -f %s", scratch("capability"));
    debugfs(image, verb, name, "security.capability");
}

static int launch_with_old_files(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    const char *disk = vm_image("disk.img", 256 * MIB);
    host("mkfs.ext4 -q -F '%s'", disk);
    for (size_t i = 0; i < NFILES; i++)
        make_old_file(disk, files[i].name);
    make_old_file(disk, "in-place");
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    return 0;
}

static void assert_old_owner(const char *path, size_t len)
{
    ferry_stat_info st = guest_stat(path);
    assert_int_equal(st.mode, S_IFREG | 06754);
    assert_int_equal(st.uid, 1000);
    assert_int_equal(st.gid, 1001);
    assert_int_equal(st.size, len);
    assert_int_equal(st.nlink, 1);
}

static void content_is_replaced_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < NFILES; i++) {
        char path[64];
        ferry_upload_opts opts = {/* of a new file: they must not matter */
                                  .size = sizeof opts,
                                  .mode = 0600,
                                  .uid = 7,
                                  .gid = 8,
                                  .durable = files[i].durable};
        void *data = filled(files[i].len, 2);
        snprintf(path, sizeof path, "/%s", files[i].name);
        uint64_t ino = guest_stat(path).ino;
        assert_old_owner(path, 777);
        assert_ok(ferry_upload_mem(vm, data, files[i].len, path, &opts, &err));
        assert_old_owner(path, files[i].len);
        assert_int_not_equal(guest_stat(path).ino, ino); /* it is another one */
        assert_guest_is(path, data, files[i].len);
        free(data);
    }
}

static void in_place_is_the_same_file(void **state)
{
    (void)state;
    uint8_t *data = filled(LARGE, 3);
    ferry_upload_opts opts = {.size = sizeof opts, .in_place = 1};
    uint64_t ino = guest_stat("/in-place").ino;
    assert_ok(ferry_upload_mem(vm, data, LARGE, "/in-place", &opts, &err));
    assert_guest_is("/in-place", data, LARGE);
    assert_ok(ferry_upload_mem(vm, data + 1, SMALL, "/in-place", &opts, &err));
    assert_guest_is("/in-place", data + 1, SMALL); /* the content, not the first bytes */
    assert_int_equal(guest_stat("/in-place").ino, ino);
    free(data);
}

static void offset_writes_into_the_file(void **state)
{
    (void)state;
    uint8_t *data = filled(LARGE + SMALL, 4), *part = filled(SMALL, 5);
    ferry_upload_opts opts = {.size = sizeof opts, .offset = MIB + 1};
    assert_ok(ferry_upload_mem(vm, data, LARGE, "/in-place", NULL, &err));
    uint64_t ino = guest_stat("/in-place").ino;

    assert_ok(ferry_upload_mem(vm, part, SMALL, "/in-place", &opts, &err));
    memcpy(data + opts.offset, part, SMALL);
    assert_guest_is("/in-place", data, LARGE);

    opts.offset = LARGE - 100; /* beyond the end: it grows */
    assert_ok(ferry_upload_mem(vm, part, SMALL, "/in-place", &opts, &err));
    memcpy(data + opts.offset, part, SMALL);
    assert_guest_is("/in-place", data, LARGE - 100 + SMALL);
    assert_int_equal(guest_stat("/in-place").ino, ino);

    opts.offset = MIB; /* of a file that is not there: a hole before it */
    assert_ok(ferry_upload_mem(vm, part, SMALL, "/late", &opts, &err));
    memset(data, 0, MIB);
    memcpy(data + MIB, part, SMALL);
    assert_guest_is("/late", data, MIB + SMALL);
    assert_in_range(guest_stat("/late").blocks * 512, SMALL, 64 * KIB);
    free(data);
    free(part);
}

static void new_file_is_as_the_options_say(void **state)
{
    (void)state;
    ferry_upload_opts opts = {.size = sizeof opts, .mode = 04711, .uid = 12, .gid = 13};
    assert_ok(ferry_upload_mem(vm, "x", 1, "/new", &opts, &err));
    ferry_stat_info st = guest_stat("/new");
    assert_int_equal(st.mode, S_IFREG | 04711);
    assert_int_equal(st.uid, 12);
    assert_int_equal(st.gid, 13);

    assert_ok(ferry_upload_mem(vm, "x", 1, "/plain", NULL, &err));
    st = guest_stat("/plain");
    assert_int_equal(st.mode, S_IFREG | 0644);
    assert_int_equal(st.uid, 0);
    assert_int_equal(st.gid, 0);
}

/* As with cp(1): the link stays, what it leads to gets the content. */
static void link_is_followed(void **state)
{
    (void)state;
    assert_ok(ferry_ln_s(vm, "plain", "/link", &err));
    assert_ok(ferry_ln_s(vm, "/made", "/dangling", &err));
    assert_ok(ferry_upload_mem(vm, "linked", 6, "/link", NULL, &err));
    assert_ok(ferry_upload_mem(vm, "made", 4, "/dangling", NULL, &err));
    assert_int_equal(guest_stat("/link").mode & S_IFMT, S_IFLNK);
    assert_guest_is("/plain", "linked", 6);
    assert_guest_is("/made", "made", 4);
}

static void others_find_it_so(void **state)
{
    (void)state;
    const char *disk = scratch("disk.img"), *said;
    vm_shutdown();
    host("e2fsck -fn '%s'", disk);
    for (size_t i = 0; i < NFILES; i++) {
        said = host("debugfs -R 'stat %s' '%s'", files[i].name, disk);
        assert_has(said, "Mode:  06754");
        assert_has(said, "User:  1000   Group:  1001");
        assert_has(host("debugfs -R 'ea_get %s user.note' '%s'", files[i].name, disk),
                   "kept");
        assert_has(host("debugfs -R 'ea_list %s' '%s'", files[i].name, disk),
                   "security.capability (20)");
    }
}

/* ---- the host's side ------------------------------------------------------------ */

static void host_files_keep_what_is_theirs(void **state)
{
    (void)state;
    struct stat st;
    char value[16] = "";
    const char *path = scratch("host");
    vm_launch();
    assert_ok(ferry_mount_ro(vm, "/dev/sda", "/", &err));
    make_file(path, 10, 6);
    assert_int_equal(chmod(path, 0640), 0);
    bool owners = chown(path, 1000, 1001) == 0; /* where the test may */
    bool xattrs = setxattr(path, "user.note", "kept", 4, 0) == 0;
    assert_int_equal(symlink("host", scratch("host-link")), 0);

    assert_ok(ferry_download(vm, "/plain", scratch("host-link"), NULL, &err));
    assert_file_is(path, "linked", 6);
    assert_int_equal(lstat(scratch("host-link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    if (owners)
        assert_int_equal(st.st_uid * 10000 + st.st_gid, 1000 * 10000 + 1001);
    if (xattrs) {
        assert_int_equal(getxattr(path, "user.note", value, sizeof value), 4);
        assert_string_equal(value, "kept");
    }
}

static void new_host_file_is_as_the_options_say(void **state)
{
    (void)state;
    struct stat st;
    ferry_download_opts opts = {.size = sizeof opts, .mode = 0751, .durable = 1};
    mode_t mask = umask(027);
    assert_ok(ferry_download(vm, "/plain", scratch("plain"), NULL, &err));
    assert_ok(ferry_download(vm, "/plain", scratch("moded"), &opts, &err));
    umask(mask);
    assert_int_equal(stat(scratch("plain"), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    assert_int_equal(stat(scratch("moded"), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0751);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(content_is_replaced_and_nothing_else),
        vm_test(in_place_is_the_same_file),
        vm_test(offset_writes_into_the_file),
        vm_test(new_file_is_as_the_options_say),
        vm_test(link_is_followed),
        vm_test(others_find_it_so),
        vm_test(host_files_keep_what_is_theirs),
        vm_test(new_host_file_is_as_the_options_say),
    };
    return cmocka_run_group_tests(tests, launch_with_old_files, vm_teardown);
}
