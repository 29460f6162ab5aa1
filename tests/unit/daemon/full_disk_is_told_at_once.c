/* When the image is full, the upload fails while the host is still sending, says so, and leaves the old
 * file and all its space behind. On each file system that this machine can mount: with
 * preallocation and O_DIRECT it is another system call that fails than without. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static unsigned long long free_bytes(const struct guest *g)
{
    struct statvfs fs;
    FERRY_AUTO(fd) int fd = open(g->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (syncfs(fd) < 0 || fstatvfs(fd, &fs) < 0)
        return 0;
    return (unsigned long long)fs.f_bfree * fs.f_frsize;
}

/* Sends until the daemon has had enough. More than there is space for, and no END: the reply must
 * come by itself. */
static int overfill(struct guest *g, const fx_upload_args *a, ferry_error *e)
{
    FERRY_AUTO(mem) char *data = test_bytes(262144, 7);
    ferry_stream *st = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, a);
    int r = 0;
    uint64_t sent = 0;
    while (r == 0 && sent < 1ull << 30) {
        r = guest_send(st, data, 262144);
        sent += 262144;
    }
    check_equal(r, -FERRY_EPIPE); /* "whoever writes goes to wait_reply for the reason" */
    return guest_reply(st, NULL, NULL, 0, e);
}

/* Small files one after the other until there is no more room: each is there whole or not at
 * all. */
static void fill_with_small_ones(struct guest *g)
{
    FERRY_AUTO(mem) char *data = test_bytes(500000, 3);
    char path[32];
    int r = 0, n = 0;
    for (; r == 0 && n < 5000; n++) {
        snprintf(path, sizeof path, "/small%d", n);
        r = guest_upload(g, path, data, 500000, 0, NULL, NULL);
    }
    check_equal(r, -FERRY_ENOSPC);
    check_equal(access(guest_path(g, path), F_OK), -1);
    for (int i = 0; i < n - 1; i++) {
        snprintf(path, sizeof path, "/small%d", i);
        check(file_is(guest_path(g, path), data, 500000));
    }
}

static void body(struct guest *g)
{
    fx_upload_args a = {.path = (char *)"/f"};
    FERRY_AUTO(mem) char *old = test_bytes(100000, 1);
    check_equal(guest_upload(g, "/f", old, 100000, 0, NULL, NULL), 0);
    unsigned long long before = free_bytes(g);

    for (int known = 0; known < 2; known++) {
        ferry_error e = {0};
        a.total = known ? 1ull << 30 : 0;
        check_equal(overfill(g, &a, &e), -FERRY_ENOSPC);
        check(strcmp(e.msg, "/f: no space left") == 0);
        check_equal(e.os_errno, ENOSPC);
        check(file_is(guest_path(g, "/f"), old, 100000));
    }
    /* btrfs frees what it had with its next commits. */
    check(free_bytes(g) + (4 << 20) > before);
    check_equal(guest_upload(g, "/g", old, 100000, 0, NULL, NULL), 0);
    fill_with_small_ones(g);
}

static void on(const char *type, unsigned mib)
{
    if (!in_guest_on(type, mib, body))
        skip();
}

static void test_tmpfs(void **state)
{
    (void)state;
    on("tmpfs", 16);
}

static void test_ext4(void **state)
{
    (void)state;
    on("ext4", 32);
}

static void test_xfs(void **state)
{
    (void)state;
    on("xfs", 320);
}

static void test_btrfs(void **state)
{
    (void)state;
    on("btrfs", 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tmpfs),
        cmocka_unit_test(test_ext4),
        cmocka_unit_test(test_xfs),
        cmocka_unit_test(test_btrfs),
    };
    return guest_run(tests);
}
