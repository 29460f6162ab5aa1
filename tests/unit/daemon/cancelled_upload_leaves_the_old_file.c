/* A reset upload, or one whose connection ends, leaves what was there: same bytes, same inode, no
 * temporary, no open descriptor. Wherever it is caught: before the first byte, in what would have
 * been a small file, in the pipeline, and at the last byte. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct stat before;

static void plant_old_file(struct guest *g)
{
    check(write_file(guest_path(g, "/f"), "old content", 11, 0644));
    check_equal(stat(guest_path(g, "/f"), &before), 0);
}

static void old_file_is_there(struct guest *g)
{
    struct stat st;
    check(file_is(guest_path(g, "/f"), "old content", 11));
    check_equal(stat(guest_path(g, "/f"), &st), 0);
    check_equal(st.st_ino, before.st_ino);
    check_equal(count_entries(g->root), 1);
}

/* Sends `bytes` of an upload, waits until the daemon has read half of it (so that it is inside), and
 * resets. The REPLY says that everything has been undone. */
static void cancel_after(struct guest *g, size_t bytes)
{
    fx_upload_args a = {.path = (char *)"/f"};
    FERRY_AUTO(mem) char *data = test_bytes(262144, 1);
    ferry_error e = {0};
    ferry_stream *st = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
    int r = 0;
    for (size_t at = 0; r == 0 && at < bytes;) {
        size_t n = bytes - at < 262144 ? bytes - at : 262144;
        r = guest_send(st, data, n);
        at += n;
    }
    check_equal(r, 0);
    ferry_stream_reset(st, -FERRY_ECANCELED);
    r = guest_reply(st, NULL, NULL, 0, &e);
    check_equal(r, -FERRY_ECANCELED);
    check(strcmp(e.where, "upload") == 0);
    old_file_is_there(g);
}

static void at_any_point(struct guest *g)
{
    static const size_t points[] = {0,       1,       4096,    262144,  1048575,
                                    1048576, 1310720, 5242880, 33554432};
    plant_old_file(g);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof points / sizeof *points; i++)
            cancel_after(g, points[i]);
    /* And the daemon is as it was. */
    check_equal(guest_call(g, FX_PROC_PING, NULL, NULL, NULL, NULL, 0, NULL), 0);
}

/* A reset that crosses the END: either it came too late, and the new file is there whole, or the old
 * one is. */
static void crossing_the_end(struct guest *g)
{
    unsigned cancelled = 0;
    for (int i = 0; i < 200; i++) {
        size_t len = i % 2 ? 3000 : 1500000;
        fx_upload_args a = {.path = (char *)"/f"};
        FERRY_AUTO(mem) char *data = test_bytes(len, (unsigned)i);
        check(write_file(guest_path(g, "/f"), "old content", 11, 0644));
        check_equal(stat(guest_path(g, "/f"), &before), 0);

        ferry_stream *st =
            guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
        check_equal(guest_send(st, data, len), 0);
        ferry_stream_finish(st);
        for (int turns = i % 7; turns > 0; turns--)
            ferry_yield();
        ferry_stream_reset(st, -FERRY_ECANCELED);
        int r = guest_reply(st, NULL, NULL, 0, NULL);
        if (r == -FERRY_ECANCELED) {
            cancelled++;
            old_file_is_there(g);
        } else {
            check(file_is(guest_path(g, "/f"), data, len));
        }
        check_equal(count_entries(g->root), 1);
    }
    check(cancelled > 0);
}

/* in_guest() ends the connection under the upload; the check comes after. */
static void end_of_connection(struct guest *g)
{
    fx_upload_args a = {.path = (char *)"/f"};
    FERRY_AUTO(mem) char *data = test_bytes(262144, 1);
    plant_old_file(g);
    ferry_stream *st = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
    for (int i = 0; i < 20; i++)
        check_equal(guest_send(st, data, 262144), 0);
    ferry_stream_close(st);
}

static void test_end_of_connection(void **state)
{
    char dir[80], path[96];
    (void)state;
    snprintf(dir, sizeof dir, "%s/root", guest_scratch);
    assert_int_equal(mkdir(dir, 0755), 0);
    in_guest_at(dir, end_of_connection);
    snprintf(path, sizeof path, "%s/f", dir);
    assert_true(file_is(path, "old content", 11));
    assert_int_equal(count_entries(dir), 1);
    unlink(path);
    rmdir(dir);
}

/* A new file does not appear, not even empty. */
static void new_file_does_not_appear(struct guest *g)
{
    fx_upload_args a = {.path = (char *)"/new"};
    FERRY_AUTO(mem) char *data = test_bytes(3000000, 1);
    for (int large = 0; large < 2; large++) {
        ferry_stream *st =
            guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
        check_equal(guest_send(st, data, large ? 3000000 : 100), 0);
        ferry_stream_reset(st, -FERRY_ETIMEDOUT);
        check_equal(guest_reply(st, NULL, NULL, 0, NULL), -FERRY_ETIMEDOUT);
        check_equal(count_entries(g->root), 0);
    }
}

/* A file system without O_TMPFILE: there the temporary has a name. */
static void test_at_any_point_on_ntfs(void **state)
{
    (void)state;
    if (!in_guest_on("ntfs", 128, at_any_point))
        skip();
}

GUEST_TEST(at_any_point)
GUEST_TEST(crossing_the_end)
GUEST_TEST(new_file_does_not_appear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_any_point),
        cmocka_unit_test(test_at_any_point_on_ntfs),
        cmocka_unit_test(test_crossing_the_end),
        cmocka_unit_test(test_end_of_connection),
        cmocka_unit_test(test_new_file_does_not_appear),
    };
    return guest_run(tests);
}
