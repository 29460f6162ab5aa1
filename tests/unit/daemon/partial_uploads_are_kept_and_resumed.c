/* An upload with `keep` that is stopped leaves a partial of exactly the bytes it says, the old file
 * as it was, and what it left can be compared (digests) and gone on with (resume_at). What has the
 * partial's name and is none is left alone. */
#include "guest.h"

#include "base/auto.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/partial.h"
#include "guest_main.h"
#include "proto/codec.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define MIB (1024 * 1024)
#define LEN (40 * MIB)
#define PARTIAL "/f" FERRY_PARTIAL_SUFFIX

static char *content; /* LEN bytes */
static bool no_modes; /* the file system keeps none */

static int setup(void **state)
{
    (void)state;
    content = test_bytes(LEN, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(content);
    return 0;
}

/* ---- calls --------------------------------------------------------------------------------- */

/* Code and leftover of a REPLY; path is the caller's. */
static FERRY_CO int reply(ferry_stream *st, ferry_left *left)
{
    FERRY_AUTO(slice) ferry_slice body = {0};
    ferry_error e = {0};
    fx_upload_ret ret = {0};
    *left = (ferry_left){0};
    check_equal(ferry_stream_wait_reply(st, &body), 0);
    int r = ferry_codec_reply(body.data, body.len, (xdrproc_t)xdr_fx_upload_ret,
                              sizeof ret, &ret, &e);
    check_equal(ferry_codec_left(body.data, body.len, left), 0);
    ferry_stream_close(st);
    return r;
}

static FERRY_CO ferry_stream *open_upload(struct guest *g, fx_upload_args a)
{
    a.path = (char *)"/f";
    return guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
}

/* Sends content from..to, in frames that are no multiple of anything when `odd`. */
static FERRY_CO int send_part(ferry_stream *st, size_t from, size_t to, bool odd)
{
    int r = 0;
    for (size_t step = odd ? 99991 : 262144; r == 0 && from < to; from += step)
        r = guest_send(st, content + from, to - from < step ? to - from : step);
    return r;
}

/* ... and stops when the daemon has read all of it. */
static FERRY_CO int stop_when_read(ferry_stream *st, uint64_t bytes, ferry_left *left)
{
    while (ferry_stream_acked(st) < bytes)
        ferry_yield();
    ferry_stream_reset(st, -FERRY_ECANCELED);
    return reply(st, left);
}

static FERRY_CO void stop_after(struct guest *g, size_t bytes, ferry_left *left)
{
    ferry_stream *st = open_upload(g, (fx_upload_args){.keep = true, .total = LEN});
    check_equal(send_part(st, 0, bytes, bytes % 2), 0);
    check_equal(stop_when_read(st, bytes, left), -FERRY_ECANCELED);
}

static FERRY_CO ferry_stream *open_digests(struct guest *g, bool partial,
                                           uint64_t offset, uint64_t length)
{
    fx_digests_args a = {(char *)"/f", partial, offset, length};
    return guest_open(g, FX_PROC_DIGESTS, (xdrproc_t)xdr_fx_digests_args, &a);
}

/* The stamp, and how many pieces are those of `content` from `from` on; the REPLY says the rest. */
static FERRY_CO int compare(ferry_stream *st, size_t from, uint64_t *ret_stamp,
                            size_t *ret_same, ferry_left *left)
{
    uint8_t all[8 + 64 * FERRY_DIGEST_SIZE], ours[FERRY_DIGEST_SIZE];
    size_t len = 0, same = 0;
    ferry_piece p;
    while (ferry_stream_read(st, &p) > 0) {
        if (check(p.data.len <= sizeof all - len))
            memcpy(all + len, p.data.data, p.data.len);
        len += p.data.len;
        ferry_slice_done(&p.data);
    }
    for (size_t at = 8; at < len; at += FERRY_DIGEST_SIZE, same++) {
        ferry_digest(content + from + same * MIB, MIB, ours);
        if (memcmp(all + at, ours, sizeof ours) != 0)
            break;
    }
    *ret_stamp = len ? ferry_get64(all) : 0;
    *ret_same = same;
    return reply(st, left);
}

/* ---- what is there ---------------------------------------------------------------------------- */

static void plant_old_file(struct guest *g)
{
    check(write_file(guest_path(g, "/f"), "old content", 11, 0644));
}

/* The partial is what was said of it, and the old file as it was. */
static void partial_is(struct guest *g, const ferry_left *left)
{
    struct stat st;
    check_equal(left->kind, FERRY_LEFT_PARTIAL);
    if (!check(left->path && strcmp(left->path, PARTIAL) == 0))
        return;
    check_equal(lstat(guest_path(g, PARTIAL), &st), 0);
    check(S_ISREG(st.st_mode) && (no_modes || (st.st_mode & 077) == 0));
    check_equal(st.st_size, left->bytes);
    check(file_is(guest_path(g, PARTIAL), content, left->bytes));
    check(file_is(guest_path(g, "/f"), "old content", 11));
    check_equal(count_entries(g->root), 2);
}

/* ---- tests ------------------------------------------------------------------------------------- */

/* At most what was in flight is missing: two batches being written, one waiting, one coming. */
static void kept_at_any_point(struct guest *g)
{
    for (size_t i = 0; i < 24; i++) {
        size_t bytes = 4 * MIB + i * 1234567 + i % 2;
        ferry_left left;
        plant_old_file(g);
        stop_after(g, bytes, &left);
        partial_is(g, &left);
        check(left.bytes <= bytes && left.bytes + 4 * MIB >= bytes);
        free(left.path);
    }
}

/* In the middle of the pipeline, without waiting until the daemon has read it. */
static void kept_while_it_runs(struct guest *g)
{
    for (unsigned i = 0; i < 40; i++) {
        ferry_left left;
        plant_old_file(g);
        unlink(guest_path(g, PARTIAL));
        ferry_stream *st = open_upload(g, (fx_upload_args){.keep = true});
        check_equal(send_part(st, 0, (i % 20 + 1) * MIB, false), 0);
        for (unsigned turns = i * 7 % 50; turns > 0; turns--)
            ferry_yield();
        ferry_stream_reset(st, -FERRY_ETIMEDOUT);
        check_equal(reply(st, &left), -FERRY_ETIMEDOUT);
        if (left.kind == FERRY_LEFT_PARTIAL)
            partial_is(g, &left);
        else
            check_equal(left.kind, FERRY_LEFT_NOTHING);
        free(left.path);
    }
}

/* Less than a piece could not be taken over by anybody. */
static void too_little_is_not_kept(struct guest *g)
{
    ferry_left left;
    stop_after(g, MIB - 1, &left);
    check_equal(left.kind, FERRY_LEFT_NOTHING);
    check(!left.path);
    check_equal(count_entries(g->root), 0);
}

static FERRY_CO void resume(struct guest *g, size_t at, uint64_t stamp, size_t to)
{
    ferry_left left;
    fx_upload_args a = {.keep = true, .resume_at = at, .resume_stamp = stamp};
    ferry_stream *st = open_upload(g, a);
    check_equal(send_part(st, at, to, false), 0);
    if (to < LEN) {
        check_equal(stop_when_read(st, to - at, &left), -FERRY_ECANCELED);
        partial_is(g, &left);
        check(left.bytes >= at);
    } else {
        ferry_stream_finish(st);
        check_equal(reply(st, &left), 0);
        check_equal(left.kind, FERRY_LEFT_NOTHING);
        check(file_is(guest_path(g, "/f"), content, LEN));
        check_equal(count_entries(g->root), 1);
    }
    free(left.path);
}

static void resumed_in_steps(struct guest *g)
{
    ferry_left left;
    struct stat st;
    plant_old_file(g);
    check_equal(chmod(guest_path(g, "/f"), 0640), 0);
    stop_after(g, 9 * MIB + 77, &left);
    free(left.path);
    for (size_t to = 12 * MIB + 5; to <= LEN; to = to == LEN      ? LEN + 1
                                                   : to * 2 < LEN ? to * 2
                                                                  : LEN) {
        uint64_t stamp;
        size_t same;
        check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
        partial_is(g, &left);
        check_equal(same, left.bytes / MIB);
        free(left.path);
        resume(g, same * MIB, stamp, to);
    }
    check_equal(stat(guest_path(g, "/f"), &st), 0);
    check(no_modes || (st.st_mode & 07777) == 0640); /* of what it replaces, as always */
}

/* Nothing was sent yet: all that had been equal is still there. */
static void stopped_at_its_first_byte(struct guest *g)
{
    ferry_left left;
    uint64_t stamp;
    size_t same;
    plant_old_file(g);
    stop_after(g, 6 * MIB, &left);
    free(left.path);
    check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
    free(left.path);
    ferry_stream *st = open_upload(g, (fx_upload_args){.keep = true,
                                                       .resume_at = same * MIB,
                                                       .resume_stamp = stamp});
    check_equal(send_part(st, same * MIB, same * MIB + 10, false), 0);
    check_equal(stop_when_read(st, 10, &left), -FERRY_ECANCELED);
    partial_is(g, &left);
    check_equal(left.bytes, same * MIB);
    free(left.path);
}

/* Between the comparison and the upload somebody else has been at it. */
static void changed_since_it_was_compared(struct guest *g)
{
    ferry_left left;
    uint64_t stamp;
    size_t same;
    plant_old_file(g);
    stop_after(g, 6 * MIB, &left);
    free(left.path);
    check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
    free(left.path);
    FERRY_AUTO(fd) int fd = open(guest_path(g, PARTIAL), O_WRONLY);
    check_equal(pwrite(fd, "x", 1, 0), 1);
    struct timespec other[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 12345}};
    check_equal(futimens(fd, other), 0); /* a coarse clock may not have moved */
    ferry_stream *st = open_upload(g, (fx_upload_args){.keep = true,
                                                       .resume_at = same * MIB,
                                                       .resume_stamp = stamp});
    ferry_stream_finish(st);
    check_equal(reply(st, &left), -FERRY_ECHANGED);
    check_equal(left.kind,
                FERRY_LEFT_PARTIAL); /* it is still there, whatever it is now */
    check(left.bytes >= same * MIB);
    free(left.path);
    check(file_is(guest_path(g, "/f"), "old content", 11));
}

static void digests_tell_where_it_differs(struct guest *g)
{
    ferry_left left;
    uint64_t stamp;
    size_t same;
    plant_old_file(g);
    check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
    check_equal(left.kind,
                FERRY_LEFT_NOTHING); /* there is no partial, and that is no error */
    check_equal(stamp, 0);

    check(write_file(guest_path(g, PARTIAL), content, 5 * MIB + 99, 0600));
    FERRY_AUTO(fd) int fd = open(guest_path(g, PARTIAL), O_WRONLY);
    check_equal(pwrite(fd, "tampered", 8, 3 * MIB + 1000), 8);
    check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
    check_equal(same, 3);
    check_equal(left.kind, FERRY_LEFT_PARTIAL);
    check_equal(left.bytes, 5 * MIB + 99);
    free(left.path);
    check_equal(compare(open_digests(g, true, 0, 2 * MIB + 1), 0, &stamp, &same, &left),
                0);
    check_equal(same, 2);
    free(left.path);

    check(write_file(guest_path(g, "/f"), content, 5 * MIB, 0600));
    check_equal(compare(open_digests(g, false, MIB, LEN), MIB, &stamp, &same, &left), 0);
    check_equal(same, 4);
    check_equal(left.kind, FERRY_LEFT_NOTHING);
}

/* A symbolic link, a directory, a file with another name, one of somebody else's. */
static void plant(struct guest *g, unsigned what)
{
    char path[512];
    snprintf(path, sizeof path, "%s", guest_path(g, PARTIAL));
    check(write_file(guest_path(g, "/victim"), content, 3 * MIB, 0600));
    if (what == 0)
        check_equal(symlink("victim", path), 0);
    else if (what == 1)
        check_equal(mkdir(path, 0755), 0);
    else if (what == 2)
        check_equal(link(guest_path(g, "/victim"), path), 0);
    else
        check_equal(rename(guest_path(g, "/victim"), path) | chown(path, 1000, 1000), 0);
}

static void what_is_no_partial_is_left_alone(struct guest *g)
{
    for (unsigned what = 0; what < 4; what++) {
        struct stat before, after;
        ferry_left left;
        uint64_t stamp;
        size_t same;
        plant(g, what);
        check_equal(lstat(guest_path(g, PARTIAL), &before), 0);
        check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
        check_equal(stamp, 0);
        stop_after(g, 6 * MIB, &left);
        check_equal(left.kind, FERRY_LEFT_NOTHING);
        check_equal(lstat(guest_path(g, PARTIAL), &after), 0);
        check_equal(after.st_ino, before.st_ino);
        check_equal(after.st_nlink, before.st_nlink);
        check(access(guest_path(g, "/victim"), F_OK) < 0 ||
              file_is(guest_path(g, "/victim"), content, 3 * MIB));
        unlink(guest_path(g, "/victim"));
        check_equal(remove(guest_path(g, PARTIAL)), 0);
        check_equal(count_entries(g->root), 0);
    }
}

/* Another transfer has it: neither read, nor replaced, nor removed. */
static void one_that_is_in_use_is_busy(struct guest *g)
{
    ferry_left left;
    uint64_t stamp;
    size_t same;
    check(write_file(guest_path(g, PARTIAL), "in use", 6, 0600));
    FERRY_AUTO(fd) int fd = open(guest_path(g, PARTIAL), O_RDWR);
    check_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left),
                -FERRY_EBUSY);
    stop_after(g, 6 * MIB, &left);
    check_equal(left.kind, FERRY_LEFT_NOTHING);
    fx_upload_args keep = {.keep = true};
    check_equal(guest_upload(g, "/f", content, 2 * MIB, 0, &keep, NULL), 0);
    check(file_is(guest_path(g, PARTIAL), "in use", 6));
}

static void success_takes_an_older_one_away(struct guest *g)
{
    check(write_file(guest_path(g, PARTIAL), content, 2 * MIB, 0600));
    check_equal(guest_upload(g, "/f", content, 3 * MIB, 0, NULL, NULL), 0);
    check_equal(count_entries(g->root), 2); /* it was not asked for */
    fx_upload_args keep = {.keep = true};
    check_equal(guest_upload(g, "/f", content, 3 * MIB, 0, &keep, NULL), 0);
    check_equal(count_entries(g->root), 1);
}

/* A hole of the prefix counts, and is one. */
static void holes_are_kept(struct guest *g)
{
    struct stat st;
    ferry_left left;
    ferry_stream *up = open_upload(g, (fx_upload_args){.keep = true});
    check_equal(send_part(up, 0, 2 * MIB, false), 0);
    check_equal(ferry_stream_write_hole(up, 100 * MIB), 0);
    check_equal(send_part(up, 0, 10, false), 0);
    check_equal(stop_when_read(up, 102 * MIB + 10, &left), -FERRY_ECANCELED);
    check_equal(left.kind, FERRY_LEFT_PARTIAL);
    check_equal(left.bytes, 102 * MIB);
    check_equal(stat(guest_path(g, PARTIAL), &st), 0);
    check_equal(st.st_size, 102 * MIB);
    check(st.st_blocks * 512 < 4 * MIB);
    free(left.path);
}

/* Through a link, below a directory: the path is that of the image. */
static void beside_the_file_a_link_leads_to(struct guest *g)
{
    ferry_left left;
    check_equal(mkdir(guest_path(g, "/d"), 0755), 0);
    check_equal(symlink("/d/real", guest_path(g, "/f")), 0);
    stop_after(g, 6 * MIB, &left);
    check_equal(left.kind, FERRY_LEFT_PARTIAL);
    check(left.path && strcmp(left.path, "/d/real" FERRY_PARTIAL_SUFFIX) == 0);
    check(file_is(guest_path(g, "/d/real" FERRY_PARTIAL_SUFFIX), content, left.bytes));
    free(left.path);
}

static void in_place_says_what_was_written(struct guest *g)
{
    for (unsigned i = 0; i < 2; i++) {
        ferry_left left;
        size_t offset = i ? 12345 : 0, len = 7 * MIB + 11;
        FERRY_AUTO(mem) char *got = malloc(LEN);
        plant_old_file(g);
        ferry_stream *up =
            open_upload(g, (fx_upload_args){.in_place = true, .offset = offset});
        check_equal(send_part(up, 0, len, false), 0);
        check_equal(stop_when_read(up, len, &left), -FERRY_ECANCELED);
        check_equal(left.kind, FERRY_LEFT_WRITTEN);
        check(!left.path && left.bytes >= 2 * MIB && left.bytes <= len);
        FERRY_AUTO(fd) int fd = open(guest_path(g, "/f"), O_RDONLY);
        check_equal(pread(fd, got, left.bytes, (off_t)offset), left.bytes);
        check(memcmp(got, content, left.bytes) == 0);

        up = open_upload(g, (fx_upload_args){.in_place = true, .offset = offset});
        check_equal(send_part(up, 0, 100, false), 0);
        ferry_stream_finish(up);
        check_equal(reply(up, &left), 0);
        check_equal(left.kind, FERRY_LEFT_WRITTEN);
        check_equal(left.bytes, 100);
    }
}

/* The disk is full: what fitted, without a gap. */
static void full_disk(struct guest *g)
{
    ferry_left left;
    uint64_t stamp;
    size_t same;
    ferry_stream *up = open_upload(g, (fx_upload_args){.keep = true, .total = LEN});
    send_part(up, 0, LEN, false); /* until it is refused */
    check_equal(reply(up, &left), -FERRY_ENOSPC);
    check_equal(left.kind, FERRY_LEFT_PARTIAL);
    check(left.bytes >= 4 * MIB && left.bytes < LEN);
    check(file_is(guest_path(g, PARTIAL), content, left.bytes));
    free(left.path);
    check_equal(compare(open_digests(g, true, 0, LEN), 0, &stamp, &same, &left), 0);
    check_equal(same, left.bytes / MIB);
    free(left.path);
    check_equal(unlink(guest_path(g, PARTIAL)), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    bool tmpfs = in_guest_on("tmpfs", 16, full_disk);
    bool ext4 = in_guest_on("ext4", 32, full_disk);
    if (!tmpfs && !ext4)
        skip();
}

/* Without O_TMPFILE, where the temporary has a name; and with one writer. */
static void test_resumed_in_steps_on_ntfs(void **state)
{
    (void)state;
    no_modes = true;
    bool mounted = in_guest_on("ntfs", 128, resumed_in_steps);
    no_modes = false;
    if (!mounted)
        skip();
}

GUEST_TEST(kept_at_any_point)
GUEST_TEST(kept_while_it_runs)
GUEST_TEST(too_little_is_not_kept)
GUEST_TEST(resumed_in_steps)
GUEST_TEST(stopped_at_its_first_byte)
GUEST_TEST(changed_since_it_was_compared)
GUEST_TEST(digests_tell_where_it_differs)
GUEST_TEST(what_is_no_partial_is_left_alone)
GUEST_TEST(one_that_is_in_use_is_busy)
GUEST_TEST(success_takes_an_older_one_away)
GUEST_TEST(holes_are_kept)
GUEST_TEST(beside_the_file_a_link_leads_to)
GUEST_TEST(in_place_says_what_was_written)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_at_any_point),
        cmocka_unit_test(test_kept_while_it_runs),
        cmocka_unit_test(test_too_little_is_not_kept),
        cmocka_unit_test(test_resumed_in_steps),
        cmocka_unit_test(test_resumed_in_steps_on_ntfs),
        cmocka_unit_test(test_stopped_at_its_first_byte),
        cmocka_unit_test(test_changed_since_it_was_compared),
        cmocka_unit_test(test_digests_tell_where_it_differs),
        cmocka_unit_test(test_what_is_no_partial_is_left_alone),
        cmocka_unit_test(test_one_that_is_in_use_is_busy),
        cmocka_unit_test(test_success_takes_an_older_one_away),
        cmocka_unit_test(test_holes_are_kept),
        cmocka_unit_test(test_beside_the_file_a_link_leads_to),
        cmocka_unit_test(test_in_place_says_what_was_written),
        cmocka_unit_test(test_full_disk),
    };
    guest_confine();
    return cmocka_run_group_tests(tests, setup, teardown);
}
