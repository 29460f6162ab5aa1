/* A hole that the host sends is a hole in the file (also where a preallocation had been), and in
 * place it makes zeroes of what was there; offset leaves the rest alone. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1024 * 1024)

/* Pieces of an upload: data with a seed, or a hole. */
struct part {
    size_t data;
    size_t hole;
};

static int upload_parts(struct guest *g, const fx_upload_args *a,
                        const struct part *parts, size_t n, char **ret_image,
                        size_t *ret_len)
{
    FERRY_AUTO(mem) char *image = calloc(1, 1);
    size_t len = 0;
    ferry_error e = {0};
    ferry_stream *st = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, a);
    for (size_t i = 0; i < n; i++) {
        size_t more = parts[i].data + parts[i].hole;
        image = realloc(image, len + more + 1);
        memset(image + len, 0, more);
        if (parts[i].data) {
            FERRY_AUTO(mem) char *data = test_bytes(parts[i].data, (unsigned)i + 1);
            memcpy(image + len, data, more);
            check_equal(guest_send(st, data, parts[i].data), 0);
        } else {
            check_equal(ferry_stream_write_hole(st, parts[i].hole), 0);
        }
        len += more;
    }
    ferry_stream_finish(st);

    fx_upload_ret ret = {0};
    int r = guest_reply(st, (xdrproc_t)xdr_fx_upload_ret, &ret, sizeof ret, &e);
    if (r < 0)
        fprintf(stderr, "%s\n", e.msg);
    else
        check_equal(ret.value, len);
    *ret_image = ferry_take(&image);
    *ret_len = len;
    return r;
}

static void holes_take_no_space(struct guest *g)
{
    static const struct part layouts[][6] = {
        {{0, 64 * MIB}},
        {{4096, 0}, {0, 64 * MIB}, {4096, 0}},
        {{0, 10 * MIB}, {3 * MIB, 0}, {0, 30 * MIB}, {MIB + 17, 0}, {0, 12345}},
        {{12 * MIB, 0}, {0, 20 * MIB}, {5, 0}, {0, 4096 * 3}, {100000, 0}},
        {{1, 0}, {0, 1}, {1, 0}, {0, 40 * MIB}},
    };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        size_t n = 0, data = 0, len;
        FERRY_AUTO(mem) char *image = NULL;
        fx_upload_args a = {.path = (char *)"/sparse"};
        struct stat st;
        while (n < 6 && (layouts[i][n].data || layouts[i][n].hole))
            data += layouts[i][n++].data;
        a.total =
            i % 2 ? 100 * MIB : 0; /* a host that was wrong about it does no harm */
        check_equal(upload_parts(g, &a, layouts[i], n, &image, &len), 0);
        check(file_is(guest_path(g, "/sparse"), image, len));
        check_equal(stat(guest_path(g, "/sparse"), &st), 0);
        check((size_t)st.st_blocks * 512 < data + MIB);
    }
}

static void in_place_makes_zeroes_of_what_was_there(struct guest *g)
{
    static const struct part parts[] = {{MIB, 0},
                                        {0, 2 * MIB},
                                        {MIB + 1, 0},
                                        {0, 3 * MIB + 5}};
    struct stat before, after;
    size_t len;
    FERRY_AUTO(mem) char *old = test_bytes(12 * MIB, 99);
    FERRY_AUTO(mem) char *image = NULL;
    fx_upload_args a = {.path = (char *)"/f", .in_place = true};
    check(write_file(guest_path(g, "/f"), old, 12 * MIB, 0600));
    check_equal(stat(guest_path(g, "/f"), &before), 0);
    check_equal(upload_parts(g, &a, parts, 4, &image, &len), 0);
    check(file_is(guest_path(g, "/f"), image, len)); /* and not a byte of the old more */
    check_equal(stat(guest_path(g, "/f"), &after), 0);
    check_equal(after.st_ino, before.st_ino);
    check_equal(after.st_mode, before.st_mode);
}

static void offset_leaves_the_rest_alone(struct guest *g)
{
    static const size_t offsets[] = {1, 4096, 1000000, 3 * MIB + 7, 6 * MIB, 9 * MIB};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        size_t off = offsets[i], len = i % 2 ? 2 * MIB + 3 : 100, end = off + len;
        FERRY_AUTO(mem) char *expect = calloc(1, 12 * MIB);
        FERRY_AUTO(mem) char *old = test_bytes(6 * MIB, 99);
        FERRY_AUTO(mem) char *data = test_bytes(len, (unsigned)i);
        fx_upload_args a = {.offset = off};
        memcpy(expect, old, 6 * MIB);
        memcpy(expect + off, data, len);
        check(write_file(guest_path(g, "/f"), old, 6 * MIB, 0600));
        check_equal(guest_upload(g, "/f", data, len, 0, &a, NULL), 0);
        check(file_is(guest_path(g, "/f"), expect, end > 6 * MIB ? end : 6 * MIB));
    }
}

static void in_place_makes_a_file_that_is_not_there(struct guest *g)
{
    struct stat st;
    fx_upload_args a = {.in_place = true, .mode = 0640};
    check_equal(guest_upload(g, "/new", "abc", 3, 0, &a, NULL), 0);
    check(file_is(guest_path(g, "/new"), "abc", 3));
    check_equal(stat(guest_path(g, "/new"), &st), 0);
    check_equal(st.st_mode, S_IFREG | 0640);
}

static void absurd_lengths_are_refused(struct guest *g)
{
    ferry_error e = {0};
    fx_upload_args a = {.path = (char *)"/f"};
    ferry_stream *st = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
    check_equal(ferry_stream_write_hole(st, UINT64_MAX - 5), 0);
    check_equal(guest_send(st, "x", 1), 0);
    ferry_stream_finish(st);
    check_equal(guest_reply(st, NULL, NULL, 0, &e), -FERRY_EFBIG);
    check_equal(count_entries(g->root), 0);
}

GUEST_TEST(holes_take_no_space)
GUEST_TEST(in_place_makes_zeroes_of_what_was_there)
GUEST_TEST(offset_leaves_the_rest_alone)
GUEST_TEST(in_place_makes_a_file_that_is_not_there)
GUEST_TEST(absurd_lengths_are_refused)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holes_take_no_space),
        cmocka_unit_test(test_in_place_makes_zeroes_of_what_was_there),
        cmocka_unit_test(test_offset_leaves_the_rest_alone),
        cmocka_unit_test(test_in_place_makes_a_file_that_is_not_there),
        cmocka_unit_test(test_absurd_lengths_are_refused),
    };
    return guest_run(tests);
}
