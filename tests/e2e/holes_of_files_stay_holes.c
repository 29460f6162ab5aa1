/* A sparse file of 8 GiB with three islands of data goes in and comes out: its holes
 * are neither sent nor written, on either side, and the image grows by what the
 * islands take. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (8 * GIB)
#define ISLAND MIB
/* First byte, somewhere, and a last one that ends on no boundary before a hole at
 * the end. */
static const uint64_t islands[] = {0, 3 * GIB + 5 * MIB, 7 * GIB + 12288};
#define NISLANDS 3

static const char *make_islands(void)
{
    const char *path = scratch("islands");
    for (size_t i = 0; i < NISLANDS; i++)
        put_bytes(path, islands[i], ISLAND, (unsigned)i);
    assert_int_equal(truncate(path, (off_t)SIZE), 0);
    return path;
}

static void assert_islands(const char *path)
{
    assert_int_equal(file_size(path), SIZE);
    assert_in_range(file_allocated(path), NISLANDS * ISLAND, NISLANDS * ISLAND + MIB);
    assert_same_holes(scratch("islands"), path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *got = malloc(ISLAND), *data = malloc(ISLAND);
    for (size_t i = 0; i < NISLANDS; i++) {
        fill(data, ISLAND, (unsigned)i);
        assert_int_equal(pread(fd, got, ISLAND, (off_t)islands[i]), ISLAND);
        assert_memory_equal(got, data, ISLAND);
    }
    free(got);
    free(data);
    close(fd);
}

static void upload_keeps_holes(void **state)
{
    (void)state;
    uint64_t before = file_allocated(scratch("disk.img"));
    assert_ok(ferry_upload(vm, make_islands(), "/islands", NULL, &err));
    ferry_stat_info st = guest_stat("/islands");
    assert_int_equal(st.size, SIZE);
    assert_in_range(st.blocks * 512, NISLANDS * ISLAND, NISLANDS * ISLAND + MIB);
    assert_ok(ferry_sync(vm, &err));
    assert_in_range(file_allocated(scratch("disk.img")), before,
                    before + NISLANDS * ISLAND + 64 * MIB);
}

static void download_keeps_holes(void **state)
{
    (void)state;
    assert_ok(ferry_download(vm, "/islands", scratch("path"), NULL, &err));
    assert_islands(scratch("path"));

    int fd = open(scratch("fd"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_ok(ferry_download_fd(vm, "/islands", fd, NULL, &err));
    close(fd);
    assert_islands(scratch("fd"));
}

/* A pipe has no holes: it gets zeroes, as many as the hole was long. The reader here
 * is wc. */
static void pipe_gets_zeroes(void **state)
{
    (void)state;
    ferry_download_opts opts = {.size = sizeof opts,
                                .offset = islands[1] - 32 * MIB,
                                .length = 64 * MIB};
    host("mkfifo '%s'", scratch("fifo"));
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "sha256sum <\"$0\" >\"$1\"", scratch("fifo"),
              scratch("sum"), NULL);
        _exit(127);
    }
    assert_ok(ferry_download(vm, "/islands", scratch("fifo"), &opts, &err));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    host("dd if='%s' bs=64K iflag=skip_bytes,count_bytes skip=%llu count=%llu "
         "status=none"
         " | sha256sum | cmp - '%s'",
         scratch("islands"), (unsigned long long)opts.offset,
         (unsigned long long)opts.length, scratch("sum"));
}

/* Into a file that is full of something: what was there must not shine through. */
static void hole_clears_what_was_there(void **state)
{
    (void)state;
    char *data = filled(8 * MIB, 9);
    const char *sparse = scratch("sparse");
    ferry_upload_opts in_place = {.size = sizeof in_place, .in_place = 1};
    put_bytes(sparse, 2 * MIB, 4096, 10);
    assert_int_equal(truncate(sparse, 8 * MIB), 0);
    assert_ok(ferry_upload_mem(vm, data, 8 * MIB, "/full", NULL, &err));
    assert_ok(ferry_upload(vm, sparse, "/full", &in_place, &err));
    assert_in_range(guest_stat("/full").blocks * 512, 4096, 64 * KIB);

    memset(data, 0, 8 * MIB);
    fill(data + 2 * MIB, 4096, 10);
    assert_guest_is("/full", data, 8 * MIB);

    int fd = open(scratch("host-full"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    put_bytes(scratch("host-full"), 0, 8 * MIB, 11);
    assert_ok(ferry_download_fd(vm, "/full", fd, NULL, &err));
    close(fd);
    assert_file_is(scratch("host-full"), data, 8 * MIB);
    assert_in_range(file_allocated(scratch("host-full")), 4096, 64 * KIB);
    free(data);
}

static void others_see_the_same(void **state)
{
    (void)state;
    vm_shutdown();
    host("e2fsck -fn '%s'", scratch("disk.img"));
    /* dump writes holes as data: the map is compared by what debugfs says of the
     * inode. */
    assert_has(host("debugfs -R 'stat /islands' '%s'", scratch("disk.img")),
               "Size: 8589934592");
    for (size_t i = 0; i < NISLANDS; i++) {
        const char *said =
            host("debugfs -R 'bmap /islands %llu' '%s' 2>/dev/null",
                 (unsigned long long)(islands[i] / 4096), scratch("disk.img"));
        unsigned long long block = strtoull(said, NULL, 10);
        assert_true(block > 0);
        host("dd if='%s' of='%s' bs=4096 skip=%llu count=1 status=none",
             scratch("disk.img"), scratch("block"), block);
        char *data = filled(ISLAND, (unsigned)i);
        assert_file_is(scratch("block"), data, 4096);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(upload_keeps_holes),  vm_test(download_keeps_holes),
        vm_test(pipe_gets_zeroes),    vm_test(hole_clears_what_was_there),
        vm_test(others_see_the_same),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
