/* Files of every size that is a limit of something arrive whole, whatever they are
 * read from and written to: path, descriptor or memory. What was written is read by
 * debugfs. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t sizes[] = {0,       1,   4095,    4096,    4097,
                               MIB - 1, MIB, MIB + 1, 8 * MIB, 300 * MIB};
#define NSIZES (sizeof sizes / sizeof *sizes)
#define LARGE (300 * MIB)

enum way { PATH, FD, MEMORY };
static const char *const ways[] = {"path", "fd", "memory"};

static void upload(enum way way, const char *src, const void *data, size_t len,
                   const char *dst)
{
    if (way == PATH) {
        assert_ok(ferry_upload(vm, src, dst, NULL, &err));
    } else if (way == MEMORY) {
        assert_ok(ferry_upload_mem(vm, data, len, dst, NULL, &err));
    } else {
        int fd = open(src, O_RDONLY | O_CLOEXEC);
        assert_ok(ferry_upload_fd(vm, fd, dst, NULL, &err));
        close(fd);
    }
}

static void download(enum way way, const char *src, const void *data, size_t len,
                     const char *dst)
{
    if (way == MEMORY) {
        assert_guest_is(src, data, len);
        return;
    }
    unlink(dst);
    if (way == PATH) {
        assert_ok(ferry_download(vm, src, dst, NULL, &err));
    } else {
        int fd = open(dst, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_ok(ferry_download_fd(vm, src, fd, NULL, &err));
        assert_int_equal(lseek(fd, 0, SEEK_CUR), len);
        close(fd);
    }
    assert_file_is(dst, data, len);
}

static void one_size(size_t len, unsigned seed)
{
    void *data = filled(len, seed);
    const char *src = scratch("src");
    make_file(src, len, seed);
    for (enum way way = PATH; way <= MEMORY; way++) {
        char name[64];
        snprintf(name, sizeof name, "/%zu.%s", len, ways[way]);
        if (len == LARGE && way == FD)
            continue; /* from 1 MiB on nothing changes any more but the time it takes */
        upload(way, src, data, len, name);
        assert_int_equal(guest_stat(name).size, len);
        download(way, name, data, len, scratch("back"));
    }
    unlink(src);
    free(data);
}

static void all_small_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < NSIZES; i++)
        if (sizes[i] < LARGE)
            one_size(sizes[i], (unsigned)i);
}

static void three_hundred_mebibytes(void **state)
{
    (void)state;
    one_size(LARGE, 99);
}

/* /proc's files say that they are empty, and are not: they were uploaded as nothing,
 * with success. */
static void host_file_of_unknown_length(void **state)
{
    (void)state;
    const char *text = host("cat /proc/version");
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", text);
    int fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
    int r = ferry_upload_fd(vm, fd, "/version", NULL, &err);
    close(fd);
    assert_ok(r);
    assert_guest_is("/version", copy, strlen(copy));
    assert_ok(ferry_upload(vm, "/proc/version", "/version2", NULL, &err));
    assert_guest_is("/version2", copy, strlen(copy));
}

static void parts_of_a_file(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset, length, expected;
    } parts[] = {{1, 1, 1},        {4095, 2, 2},     {0, MIB, MIB},
                 {MIB - 1, 0, 2},  {MIB + 1, 0, 0},  {5, 10 * MIB, MIB - 4},
                 {10 * MIB, 1, 0}, {777, 4096, 4096}};
    uint8_t *data = filled(MIB + 1, 5);
    assert_ok(ferry_upload_mem(vm, data, MIB + 1, "/parts", NULL, &err));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        ferry_download_opts opts = {.size = sizeof opts,
                                    .offset = parts[i].offset,
                                    .length = parts[i].length};
        void *got = NULL;
        size_t len = 0;
        assert_ok(ferry_download_mem(vm, "/parts", &opts, &got, &len, &err));
        assert_int_equal(len, parts[i].expected);
        assert_memory_equal(got, data + (len ? parts[i].offset : 0), len);
        assert_int_equal(((uint8_t *)got)[len], 0);
        free(got);
    }
    free(data);
}

static void memory_has_a_limit(void **state)
{
    (void)state;
    ferry_download_opts opts = {.size = sizeof opts, .max_bytes = MIB};
    void *got = NULL;
    size_t len = 0;
    assert_fails(ferry_download_mem(vm, "/parts", &opts, &got, &len, &err), FERRY_EFBIG,
                 "1048576");
    assert_null(got);
    opts.length = MIB;
    assert_ok(ferry_download_mem(vm, "/parts", &opts, &got, &len, &err));
    assert_int_equal(len, MIB);
    free(got);
}

/* Last: everything on the image, once more, by a reader that is not ours. */
static void others_read_the_same(void **state)
{
    (void)state;
    vm_shutdown();
    host("e2fsck -fn '%s'", scratch("disk.img"));
    for (size_t i = 0; i < NSIZES; i++)
        for (enum way way = PATH; way <= MEMORY; way++) {
            bool large = sizes[i] == LARGE;
            if (large && way == FD)
                continue;
            void *data = filled(sizes[i], large ? 99 : (unsigned)i);
            host("debugfs -R 'dump /%zu.%s %s' '%s'", sizes[i], ways[way],
                 scratch("dumped"), scratch("disk.img"));
            assert_file_is(scratch("dumped"), data, sizes[i]);
            unlink(scratch("dumped"));
            free(data);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(all_small_sizes),
        vm_test(three_hundred_mebibytes),
        vm_test(host_file_of_unknown_length),
        vm_test(parts_of_a_file),
        vm_test(memory_has_a_limit),
        vm_test(others_read_the_same),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
