/* What a download sends is the file, or the part of it that was asked for, with its size ahead
 * and its holes as holes. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1024 * 1024)

static void compare(struct guest *g, const char *data, size_t len, uint64_t offset,
                    uint64_t length)
{
    FERRY_AUTO(mem) void *got = NULL;
    size_t n = 0, from = offset < len ? offset : len;
    size_t expect = length == 0 || length > len - from ? len - from : length;
    ferry_error e = {0};
    if (!check_equal(guest_download(g, "/f", offset, length, &got, &n, NULL, &e), 0)) {
        fprintf(stderr, "%s\n", e.msg);
        return;
    }
    if (check_equal(n, expect))
        check(memcmp(got, data + from, n) == 0);
}

static void any_size_and_any_part(struct guest *g)
{
    static const size_t sizes[] = {0,       1,       4095,    4096,        4097,
                                   1048575, 1048576, 1048577, 5 * MIB + 3, 20 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i];
        FERRY_AUTO(mem) char *data = test_bytes(len, (unsigned)i);
        check(write_file(guest_path(g, "/f"), data, len, 0644));
        compare(g, data, len, 0, 0);
        compare(g, data, len, len / 2, 0);
        compare(g, data, len, len / 3, 4096);
        compare(g, data, len, 1, len / 2 + 1);
        compare(g, data, len, 0, len + 1000);
        compare(g, data, len, len, 0);
        compare(g, data, len, len + 5, 3);
    }
}

static void holes_are_not_read(struct guest *g)
{
    FERRY_AUTO(mem) char *expect = calloc(1, 64 * MIB);
    FERRY_AUTO(mem) char *island = test_bytes(2 * MIB, 4);
    FERRY_AUTO(mem) void *got = NULL;
    size_t n;
    uint64_t holes;
    {
        FERRY_AUTO(fd) int fd =
            open(guest_path(g, "/f"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        static const size_t at[] = {3 * MIB, 20 * MIB + 8192, 50 * MIB};
        check_equal(ftruncate(fd, 64 * MIB), 0);
        for (size_t i = 0; i < 3; i++) {
            memcpy(expect + at[i], island, 2 * MIB);
            check_equal(pwrite(fd, island, 2 * MIB, (off_t)at[i]), 2 * MIB);
        }
    }
    check_equal(guest_download(g, "/f", 0, 0, &got, &n, &holes, NULL), 0);
    check_equal(n, 64 * MIB);
    check(memcmp(got, expect, 64 * MIB) == 0);
    check(holes >= 56ull * MIB);
    compare(g, expect, 64 * MIB, 10 * MIB, 30 * MIB);
    compare(g, expect, 64 * MIB, 4 * MIB + 1, 40 * MIB);
    compare(g, expect, 64 * MIB, 63 * MIB, 0);
}

static void what_cannot_be_is_told(struct guest *g)
{
    void *got;
    size_t n;
    ferry_error e = {0};
    check_equal(mkfifo(guest_path(g, "/fifo"), 0644), 0);
    check_equal(guest_download(g, "/", 0, 0, &got, &n, NULL, &e), -FERRY_EISDIR);
    check_equal(guest_download(g, "/fifo", 0, 0, &got, &n, NULL, &e), -FERRY_EINVAL);
    check_equal(guest_download(g, "/no", 0, 0, &got, &n, NULL, &e), -FERRY_ENOENT);
    check(strcmp(e.msg, "/no: no such file or directory") == 0);
}

/* A host that has seen enough resets; the daemon's reply comes, and the next call works. The file is
 * longer than PIECES_READ of the largest pieces, and as many that may be on their way: it is
 * never done. */
#define LARGE (64 * MIB)
#define PIECES_READ 10
static void can_be_cancelled_in_the_middle(struct guest *g)
{
    FERRY_AUTO(mem) char *data = test_bytes(LARGE, 1);
    check(write_file(guest_path(g, "/f"), data, LARGE, 0644));
    for (int i = 0; i < PIECES_READ; i++) {
        fx_download_args a = {(char *)"/f", 0, 0};
        ferry_piece piece;
        ferry_stream *st =
            guest_open(g, FX_PROC_DOWNLOAD, (xdrproc_t)xdr_fx_download_args, &a);
        for (int k = 0; k < i; k++)
            if (check(ferry_stream_read(st, &piece) > 0))
                ferry_slice_done(&piece.data);
        ferry_stream_reset(st, -FERRY_ECANCELED);
        check_equal(guest_reply(st, NULL, NULL, 0, NULL), -FERRY_ECANCELED);
    }
    compare(g, data, LARGE, 0, 0);
}

struct one {
    struct guest *g;
    int number;
};

static FERRY_CO int transfer_both_ways(void *arg)
{
    struct one *o = arg;
    char path[32];
    size_t len = (size_t)o->number * 300000 + 11, n = 0;
    FERRY_AUTO(mem) char *data = test_bytes(len, (unsigned)o->number);
    FERRY_AUTO(mem) void *got = NULL;
    snprintf(path, sizeof path, "/many%d", o->number);
    check_equal(guest_upload(o->g, path, data, len, 50000, NULL, NULL), 0);
    check_equal(guest_download(o->g, path, 0, 0, &got, &n, NULL, NULL), 0);
    check_equal(n, len);
    check(got && memcmp(got, data, len) == 0);
    return 0;
}

static void many_at_once_do_not_mix(struct guest *g)
{
    struct one ones[20];
    ferry_scope s;
    ferry_scope_open(&s, 0);
    for (int i = 0; i < 20; i++) {
        ones[i] = (struct one){g, i};
        check_equal(ferry_spawn(&s, "transfer", transfer_both_ways, &ones[i]), 0);
    }
    check_equal(ferry_scope_join(&s), 0);
}

GUEST_TEST(any_size_and_any_part)
GUEST_TEST(holes_are_not_read)
GUEST_TEST(what_cannot_be_is_told)
GUEST_TEST(can_be_cancelled_in_the_middle)
GUEST_TEST(many_at_once_do_not_mix)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_size_and_any_part),
        cmocka_unit_test(test_holes_are_not_read),
        cmocka_unit_test(test_what_cannot_be_is_told),
        cmocka_unit_test(test_can_be_cancelled_in_the_middle),
        cmocka_unit_test(test_many_at_once_do_not_mix),
    };
    return guest_run(tests);
}
