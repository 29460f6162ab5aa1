/* A source gives exactly the file: holes as holes, from the descriptor's position, which is left
 * behind the last byte; and one that is cut while it is read is an error, not a hole. */
#include "harness/real.h"

#include "api/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1024 * 1024)

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_free(dir);
    return 0;
}

/* 4 MiB: 1 of data, 2 of nothing, 1 of data. */
static int sparse_file(void)
{
    static char data[MIB];
    char path[512];
    memset(data, 'd', sizeof data);
    snprintf(path, sizeof path, "%s/sparse", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    check_eq(pwrite(fd, data, MIB, 0), MIB);
    check_eq(pwrite(fd, data, MIB, 3 * MIB), MIB);
    return fd;
}

static FERRY_CO int read_all(ferry_source *s, uint64_t *ret_len, ferry_error *e)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_source_next(s, &p, e);
        if (r <= 0)
            return r;
        *ret_len += p.hole ? p.hole : p.data.len;
        ferry_slice_done(&p.data);
    }
}

static FERRY_CO int position_moves(void *arg)
{
    (void)arg;
    FERRY_AUTO(fd) int fd = sparse_file();
    check_eq(lseek(fd, 1000, SEEK_SET), 1000);
    ferry_source s = {.fd = fd};
    ferry_error e = {0};
    uint64_t len = 0;
    check_eq(ferry_source_open(&s, &e), 0);
    check_eq(s.length, 4 * MIB - 1000);
    check_eq(read_all(&s, &len, &e), 0);
    check_eq(len, 4 * MIB - 1000);
    ferry_source_done(&s);
    check_eq(lseek(fd, 0, SEEK_CUR), 4 * MIB);
    return 0;
}

static FERRY_CO int cut_before(uint64_t size)
{
    FERRY_AUTO(fd) int fd = sparse_file();
    ferry_source s = {.fd = fd};
    ferry_error e = {0};
    ferry_piece p = {0};
    uint64_t len = 0;
    check_eq(lseek(fd, 0, SEEK_SET), 0);
    check_eq(ferry_source_open(&s, &e), 0);
    check_eq(ferry_source_next(&s, &p, &e), 1);
    ferry_slice_done(&p.data);
    check_eq(ftruncate(fd, (off_t)size), 0);
    check_eq(read_all(&s, &len, &e), -FERRY_ECHANGED);
    check(strstr(e.msg, "became shorter") != NULL);
    ferry_source_done(&s);
    return 0;
}

static FERRY_CO int cut_in_its_hole(void *arg)
{
    (void)arg;
    return cut_before(2 * MIB);
}

static FERRY_CO int cut_in_its_data(void *arg)
{
    (void)arg;
    return cut_before(MIB / 2);
}

static FERRY_CO int ends_in_a_hole(void *arg)
{
    (void)arg;
    FERRY_AUTO(fd) int fd = sparse_file();
    ferry_source s = {.fd = fd};
    ferry_error e = {0};
    uint64_t len = 0;
    check_eq(lseek(fd, 0, SEEK_SET), 0);
    check_eq(ftruncate(fd, 9 * MIB), 0);
    check_eq(ferry_source_open(&s, &e), 0);
    check_eq(read_all(&s, &len, &e), 0);
    check_eq(len, 9 * MIB);
    ferry_source_done(&s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(position_moves),
        TEST_ON_UV(cut_in_its_hole),
        TEST_ON_UV(cut_in_its_data),
        TEST_ON_UV(ends_in_a_hole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
