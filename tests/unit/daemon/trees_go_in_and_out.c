/* copy_in and copy_out of the daemon itself: the same tree in and out, cancelled anywhere without a part of a
 * file left, stopped by a full disk and by records that cannot be, with the entry named. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"
#include "tree/wire.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES 300
#define SIZE 5000

/* ---- streams by hand ------------------------------------------------------------------------- */

struct bytes {
    uint8_t *data;
    size_t len, cap;
};

static inline void ferry_auto_bytes(struct bytes *b)
{
    free(b->data);
}

static uint8_t *more(struct bytes *b, size_t n)
{
    if (b->len + n > b->cap) {
        b->cap = 2 * (b->len + n);
        b->data = realloc(b->data, b->cap);
        if (!b->data)
            abort();
    }
    b->len += n;
    return b->data + b->len - n;
}

static void put(struct bytes *b, ferry_tree_record r)
{
    ferry_tree_encode(&r, more(b, ferry_tree_length(&r)));
}

static void put_file(struct bytes *b, const char *name, size_t size, unsigned seed)
{
    FERRY_AUTO(mem) void *content = test_bytes(size, seed);
    put(b, (ferry_tree_record){.type = FERRY_TREE_FILE,
                               .name = name,
                               .size = size,
                               .meta = {.mode = 0640}});
    put(b, (ferry_tree_record){.type = FERRY_TREE_DATA, .size = size});
    memcpy(more(b, size), content, size);
    put(b, (ferry_tree_record){.type = FERRY_TREE_DONE});
}

static void put_tree(struct bytes *b)
{
    put(b,
        (ferry_tree_record){.type = FERRY_TREE_DIR, .name = "", .meta = {.mode = 0755}});
    for (unsigned i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%u", i);
        put_file(b, name, SIZE, i);
    }
    put(b, (ferry_tree_record){.type = FERRY_TREE_LEAVE});
}

static FERRY_CO ferry_stream *open_in(struct guest *g, const char *name, bool keep_going)
{
    fx_copy_in_args a = {(char *)"/", (char *)(uintptr_t)name, 0, keep_going};
    return guest_open(g, FX_PROC_COPY_IN, (xdrproc_t)xdr_fx_copy_in_args, &a);
}

static FERRY_CO int end_in(ferry_stream *st, ferry_error *e)
{
    fx_copy_in_ret ret = {0};
    int r = guest_reply(st, (xdrproc_t)xdr_fx_copy_in_ret, &ret, sizeof ret, e);
    return r == 0 ? (int)ret.value : r;
}

/* Sends it in pieces; the reply's files or code. */
static FERRY_CO int copy_in(struct guest *g, const char *name, const struct bytes *b,
                            size_t piece, ferry_error *e)
{
    ferry_stream *st = open_in(g, name, false);
    int r = 0;
    for (size_t at = 0; r == 0 && at < b->len; at += piece)
        r = guest_send(st, b->data + at, piece < b->len - at ? piece : b->len - at);
    ferry_stream_finish(st);
    return end_in(st, e);
}

static FERRY_CO int copy_out(struct guest *g, const char *path, struct bytes *ret,
                             ferry_error *e)
{
    fx_copy_out_args a = {(char *)(uintptr_t)path, 0, true};
    fx_copy_out_ret files = {0};
    ferry_stream *st =
        guest_open(g, FX_PROC_COPY_OUT, (xdrproc_t)xdr_fx_copy_out_args, &a);
    ferry_piece p;
    while (ferry_stream_read(st, &p) > 0) {
        memcpy(more(ret, p.data.len), p.data.data, p.data.len);
        ferry_slice_done(&p.data);
    }
    int r = guest_reply(st, (xdrproc_t)xdr_fx_copy_out_ret, &files, sizeof files, e);
    return r == 0 ? (int)files.value : r;
}

/* How many of the files are there; every one of them is whole, and nothing else is. */
static int whole_files(const struct guest *g, const char *dir)
{
    int n = 0;
    DIR *d = opendir(guest_path(g, dir));
    for (struct dirent *e; d && (e = readdir(d));) {
        unsigned i;
        char path[300];
        if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.'))
            continue;
        if (!check(sscanf(e->d_name, "f%u", &i) == 1))
            continue;
        FERRY_AUTO(mem) void *content = test_bytes(SIZE, i);
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        check(file_is(guest_path(g, path), content, SIZE));
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void in_and_out_and_in_again(struct guest *g)
{
    static const size_t pieces[] = {1000, 4096, 65536, 262144};
    FERRY_AUTO(bytes) struct bytes b = {0}, out = {0};
    ferry_error e = {0};
    put_tree(&b);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        check_equal(copy_in(g, "t", &b, pieces[i], &e), FILES);
        check_equal(whole_files(g, "/t"), FILES);
    }
    check_equal(copy_out(g, "/t", &out, &e), FILES);
    check_equal(copy_in(g, "again", &out, 50000, &e), FILES);
    check_equal(whole_files(g, "/again"), FILES);
}

static void cancelled_anywhere(struct guest *g)
{
    FERRY_AUTO(bytes) struct bytes b = {0};
    put_tree(&b);
    for (size_t stop = 0; stop < b.len; stop += b.len / 25) {
        ferry_stream *st = open_in(g, "t", false);
        for (size_t at = 0; at < stop; at += 20000)
            guest_send(st, b.data + at, 20000 < stop - at ? 20000 : stop - at);
        ferry_stream_reset(st, -FERRY_ECANCELED);
        check_equal(end_in(st, NULL), -FERRY_ECANCELED);
        whole_files(g, "/t");
    }
}

/* The host hears of it while it is still sending, and the path is the image's. */
static void a_full_disk(struct guest *g)
{
    FERRY_AUTO(bytes) struct bytes b = {0};
    ferry_error e = {0};
    put(&b, (ferry_tree_record){.type = FERRY_TREE_DIR, .name = ""});
    for (unsigned i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "large%u", i);
        put_file(&b, name, 1 << 20, i);
    }
    put(&b, (ferry_tree_record){.type = FERRY_TREE_LEAVE});
    check_equal(copy_in(g, "t", &b, 100000, &e), -FERRY_ENOSPC);
    check(strncmp(e.msg, "/t/large", 8) == 0);
    check(count_entries(guest_path(g, "/t")) < 8);
}

static void full_disk(void **state)
{
    (void)state;
    if (!in_guest_on("tmpfs", 4, a_full_disk))
        skip();
}

static void what_is_no_tree(struct guest *g)
{
    static const char noise[] = "GET / HTTP/1.0\r\n\r\n";
    struct bytes b = {(uint8_t *)(uintptr_t)noise, sizeof noise, 0};
    ferry_error e = {0};
    check_equal(copy_in(g, "t", &b, sizeof noise, &e), -FERRY_EPROTO);
    check_equal(copy_in(g, "../t", &b, sizeof noise, &e), -FERRY_EINVAL);
    b.len = 0;
    check_equal(copy_in(g, "t", &b, 1, &e), -FERRY_EPROTO);
    check_equal(count_entries(g->root), 0);
}

static void what_is_not_there(struct guest *g)
{
    FERRY_AUTO(bytes) struct bytes out = {0};
    ferry_error e = {0};
    check_equal(copy_out(g, "/no", &out, &e), -FERRY_ENOENT);
    check(strcmp(e.msg, "/no: no such file or directory") == 0);
    check_equal(mkfifo(guest_path(g, "/fifo"), 0644), 0);
    check_equal(copy_out(g, "/fifo", &out, &e), -FERRY_EINVAL);
    check_equal(out.len > 100, 0);
}

/* What cannot be made is told to a host that wants to go on. */
static void problems_are_sent(struct guest *g)
{
    FERRY_AUTO(bytes) struct bytes b = {0};
    ferry_piece p = {0};
    ferry_tree_record r;
    put_tree(&b);
    check_equal(mkdir(guest_path(g, "/t"), 0755), 0);
    check_equal(mkdir(guest_path(g, "/t/f7"), 0755), 0);
    ferry_stream *st = open_in(g, "t", true);
    check_equal(guest_send(st, b.data, b.len), 0);
    ferry_stream_finish(st);
    if (check(ferry_stream_read(st, &p) > 0)) {
        check_equal(ferry_tree_decode(FERRY_TREE_PROBLEM, p.data.data + FERRY_TREE_HEADER,
                                      p.data.len - FERRY_TREE_HEADER, &r),
                    0);
        check(strcmp(r.name, "f7") == 0);
        check_equal(r.code, -FERRY_EISDIR);
    }
    ferry_slice_done(&p.data);
    check_equal(end_in(st, NULL), FILES - 1);
}

GUEST_TEST(in_and_out_and_in_again)
GUEST_TEST(cancelled_anywhere)
GUEST_TEST(what_is_no_tree)
GUEST_TEST(what_is_not_there)
GUEST_TEST(problems_are_sent)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out_and_in_again),
        cmocka_unit_test(test_cancelled_anywhere),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(test_what_is_no_tree),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_problems_are_sent),
    };
    return guest_run(tests);
}
