/* An upload whose checksum is another, or missing, is FERRY_EIO, and the target is as it was; with the right one
 * it is the new file. A download's checksum is right to a reader that computes its own. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"
#include "proto/seal.h"

#include <stdlib.h>
#include <string.h>

#define MIB (1024 * 1024)

/* One job of the daemon, its pipeline, and on both sides of a piece. */
static const size_t sizes[] = {0, 1, 7, 8, 9, 4096, 5000, MIB, 5 * MIB + 3};
#define NSIZES (sizeof sizes / sizeof *sizes)

static FERRY_CO ferry_stream *open_upload(struct guest *g)
{
    fx_upload_args a = {.path = (char *)"/f", .verify = true};
    return guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
}

static FERRY_CO int end_upload(ferry_stream *st, ferry_error *e)
{
    fx_upload_ret ret = {0};
    int r = guest_reply(st, (xdrproc_t)xdr_fx_upload_ret, &ret, sizeof ret, e);
    return r == 0 ? (int)ret.value : r;
}

static FERRY_CO int upload_sealed(struct guest *g, const char *data, size_t len)
{
    ferry_seal seal;
    ferry_stream *st = open_upload(g);
    int r = ferry_seal_init(&seal);
    for (size_t at = 0; r == 0 && at < len; at += 100000) {
        ferry_buf *b = NULL;
        r = ferry_buf_copy(data + at, len - at < 100000 ? len - at : 100000, &b);
        if (r == 0)
            r = ferry_seal_write(&seal, st, (ferry_slice){b, b->data, b->len});
    }
    if (r == 0)
        r = ferry_seal_finish(&seal, st);
    ferry_seal_done(&seal);
    check_equal(r, 0);
    return end_upload(st, NULL);
}

static void the_right_checksum(struct guest *g)
{
    for (size_t i = 0; i < NSIZES; i++) {
        FERRY_AUTO(mem) char *data = test_bytes(sizes[i], (unsigned)i);
        check_equal(upload_sealed(g, data, sizes[i]), sizes[i]);
        check(file_is(guest_path(g, "/f"), data, sizes[i]));
    }
}

static void another_checksum(struct guest *g)
{
    static const char zeroes[FERRY_SEAL_SIZE];
    check(write_file(guest_path(g, "/f"), "old", 3, 0644));
    for (size_t i = 0; i < NSIZES; i++) {
        FERRY_AUTO(mem) char *data = test_bytes(sizes[i], (unsigned)i);
        ferry_error e = {0};
        ferry_stream *st = open_upload(g);
        if (sizes[i] > 0)
            guest_send(st, data, sizes[i]);
        guest_send(st, zeroes, sizeof zeroes);
        ferry_stream_finish(st);
        check_equal(end_upload(st, &e), -FERRY_EIO);
        check(strncmp(e.msg, "/f: the checksum", 16) == 0);
        check(file_is(guest_path(g, "/f"), "old", 3));
        check_equal(count_entries(g->root), 1);
    }
}

static void no_checksum(struct guest *g)
{
    ferry_stream *st = open_upload(g);
    ferry_stream_finish(st);
    check_equal(end_upload(st, NULL), -FERRY_EIO);
    st = open_upload(g);
    check_equal(ferry_stream_write_hole(st, 1000), 0);
    ferry_stream_finish(st);
    check_equal(end_upload(st, NULL), -FERRY_EIO);
    check_equal(count_entries(g->root), 0);
}

static void downloads(struct guest *g)
{
    for (size_t i = 0; i < NSIZES; i++) {
        FERRY_AUTO(mem) char *data = test_bytes(sizes[i], (unsigned)i);
        fx_download_args a = {.path = (char *)"/f", .verify = true};
        fx_download_ret ret = {0};
        ferry_seal seal;
        size_t at = 0;
        check(write_file(guest_path(g, "/f"), data, sizes[i], 0644));
        ferry_stream *st =
            guest_open(g, FX_PROC_DOWNLOAD, (xdrproc_t)xdr_fx_download_args, &a);
        int r = ferry_seal_init(&seal) < 0 ? -1 : 1;
        while (r > 0) {
            ferry_piece p = {0};
            r = ferry_seal_read(&seal, st, &p);
            size_t n = r > 0 ? p.data.len : 0;
            if (n > 0 && check(n <= sizes[i] - at))
                check(memcmp(p.data.data, data + at, n) == 0);
            at += n;
            ferry_slice_done(&p.data);
        }
        ferry_seal_done(&seal);
        check_equal(r, 0);
        check_equal(at, sizes[i]);
        check_equal(guest_reply(st, (xdrproc_t)xdr_fx_download_ret, &ret, sizeof ret,
                                NULL),
                    0);
        check_equal(ret.value, sizes[i]);
    }
}

GUEST_TEST(the_right_checksum)
GUEST_TEST(another_checksum)
GUEST_TEST(no_checksum)
GUEST_TEST(downloads)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_right_checksum),
        cmocka_unit_test(test_another_checksum),
        cmocka_unit_test(test_no_checksum),
        cmocka_unit_test(test_downloads),
    };
    return guest_run(tests);
}
