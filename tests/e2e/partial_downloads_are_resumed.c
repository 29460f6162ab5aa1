/* A download that was stopped anywhere, also by the end of its VM, leaves with keep_partial the
 * bytes it says it leaves, and `resume` goes on from them. On the host, what has a partial's
 * name and is not ours is not touched. */
#include "harness/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN (120 * MIB + 4321)
#define OLD_LEN 12345

static uint8_t *data;

static int setup(void **state)
{
    vm_setup_ext4(state);
    data = filled(LEN, 1);
    assert_ok(ferry_upload_mem(vm, data, LEN, "/file", NULL, &err));
    assert_ok(ferry_sync(vm, &err));
    return 0;
}

static int teardown(void **state)
{
    free(data);
    return vm_teardown(state);
}

/* ---- steps ------------------------------------------------------------------------ */

static const ferry_download_opts keep = {.size = sizeof keep, .keep_partial = 1};
static const ferry_download_opts resume = {.size = sizeof resume, .resume = 1};

struct want {
    ferry_op *op;
    uint64_t bytes;
};

/* Until it has moved so far, or has ended. */
static void wait_for(const struct want *w)
{
    ferry_progress now;
    uint64_t deadline = now_ms() + PATIENCE_MS;
    while (ferry_op_poll(w->op, &now) == FERRY_OP_PENDING && now.bytes < w->bytes) {
        assert_in_range(now_ms(), 0, deadline);
        ferry_op_wait(w->op, 10);
    }
}

static ferry_leftover leftover(ferry_op *op)
{
    ferry_leftover left = {.size = sizeof left};
    assert_int_equal(ferry_op_get_leftover(op, &left), 0);
    return left;
}

static const char *target(void)
{
    return scratch("target");
}

static const char *partial(void)
{
    return scratch("target.ferry-partial");
}

static void put_old(void)
{
    make_file(target(), OLD_LEN, 9);
}

static void assert_old(void)
{
    void *old = filled(OLD_LEN, 9);
    assert_file_is(target(), old, OLD_LEN);
    free(old);
}

static void assert_complete(void)
{
    assert_file_is(target(), data, LEN);
    assert_int_equal(access(partial(), F_OK), -1);
}

/* What the op says is there; its length. */
static uint64_t assert_kept(ferry_op *op)
{
    ferry_leftover left = leftover(op);
    assert_int_equal(left.kind, FERRY_LEFT_PARTIAL);
    assert_string_equal(left.path, partial());
    assert_in_range(left.bytes, MIB, LEN);
    assert_file_is(partial(), data, left.bytes);
    assert_old();
    return left.bytes;
}

/* qemu dies when so many bytes are here. */
static uint64_t keep_after(uint64_t bytes)
{
    struct want w = {.bytes = bytes};
    put_old();
    ferry_vm_set_rate_max(vm, 4 * SLOWLY);
    assert_ok(ferry_download_start(vm, "/file", target(), &keep, &w.op, &err));
    wait_for(&w);
    ferry_vm_kill(vm);
    assert_ends(w.op, FERRY_EDEAD);
    uint64_t kept = assert_kept(w.op);
    ferry_op_free(w.op);
    ferry_vm_set_rate_max(vm, 0);
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    return kept;
}

static void resume_all(uint64_t found, uint64_t same)
{
    ferry_op *op = NULL;
    ferry_progress p;
    assert_ok(ferry_download_start(vm, "/file", target(), &resume, &op, &err));
    assert_ends(op, 0);
    ferry_leftover left = leftover(op);
    assert_int_equal(left.kind, FERRY_LEFT_NOTHING);
    assert_int_equal(left.found, found);
    assert_int_equal(left.resumed, same);
    ferry_op_poll(op, &p);
    assert_int_equal(p.bytes, LEN);
    assert_int_equal(p.total, LEN);
    ferry_op_free(op);
    assert_complete();
}

static uint64_t whole(uint64_t bytes)
{
    return bytes / MIB * MIB;
}

/* A partial as an earlier try would have left it. */
static void put_partial(uint64_t len)
{
    int fd = open(partial(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

/* ---- stopped ---------------------------------------------------------------------- */

static void qemu_is_killed(void **state)
{
    (void)state;
    uint64_t kept = keep_after(20 * MIB);
    resume_all(kept, whole(kept));
}

/* Resumed and cancelled in turn until it is complete; what was there is never lost. */
static void cancelled_again_and_again(void **state)
{
    (void)state;
    uint64_t had = 30 * MIB;
    unsigned cancelled = 0;
    put_old();
    put_partial(had);
    for (uint64_t at = 0; at <= LEN; at += 35 * MIB) {
        struct want w = {.bytes = at};
        assert_ok(ferry_download_start(vm, "/file", target(), &resume, &w.op, &err));
        wait_for(&w);
        ferry_op_cancel(w.op);
        assert_int_equal(ferry_op_wait(w.op, PATIENCE_MS), 0);
        bool ended = ferry_op_poll(w.op, NULL) == FERRY_OP_OK;
        if (!ended && leftover(w.op).kind == FERRY_LEFT_PARTIAL) {
            uint64_t now = assert_kept(w.op);
            assert_in_range(now, whole(had), LEN);
            had = now;
            cancelled++;
        } else if (!ended) { /* before it had even looked */
            assert_int_equal(leftover(w.op).kind, FERRY_LEFT_NOTHING);
            assert_file_is(partial(), data, had);
        }
        ferry_op_free(w.op);
        if (ended) /* a fast machine */
            return assert_complete();
    }
    assert_in_range(cancelled, 1, 5);
    resume_all(had, whole(had));
}

/* The bytes of a secret file are not everybody's while it is not complete. */
static void no_more_readable_than_its_target(void **state)
{
    (void)state;
    struct stat st;
    put_old();
    assert_int_equal(chmod(target(), 0640), 0);
    struct want w = {.bytes = 5 * MIB};
    ferry_vm_set_rate_max(vm, 2 * SLOWLY);
    assert_ok(ferry_download_start(vm, "/file", target(), &keep, &w.op, &err));
    wait_for(&w);
    ferry_op_cancel(w.op);
    assert_int_equal(ferry_op_wait(w.op, PATIENCE_MS), 0);
    assert_int_equal(leftover(w.op).kind, FERRY_LEFT_PARTIAL);
    ferry_op_free(w.op);
    ferry_vm_set_rate_max(vm, 0);
    assert_int_equal(stat(partial(), &st), 0);
    assert_int_equal(st.st_mode & 027, 0);
    assert_ok(ferry_download(vm, "/file", target(), &resume, &err));
    assert_int_equal(stat(target(), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_complete();
}

static void host_disk_is_full(void **state)
{
    (void)state;
    const char *dir = scratch("small"), *path = scratch("small/target");
    assert_int_equal(mkdir(dir, 0755), 0);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=8m") < 0) {
        print_message("not checked: a full tmpfs (mount: %s)\n", strerror(errno));
        skip();
    }
    ferry_op *op = NULL;
    int r = ferry_download_start(vm, "/file", path, &keep, &op, &err);
    if (r == 0)
        r = ferry_op_wait(op, PATIENCE_MS);
    int code = r == 0 ? ferry_op_error(op, &err) : r;
    ferry_leftover left = leftover(op);
    char copy[512];
    snprintf(copy, sizeof copy, "%s", left.path ? left.path : "");
    uint64_t size = left.path ? file_size(copy) : 0;
    host("umount '%s'", dir);
    ferry_op_free(op);
    assert_int_equal(code, -FERRY_ENOSPC);
    assert_int_equal(left.kind, FERRY_LEFT_PARTIAL);
    assert_string_equal(copy, scratch("small/target.ferry-partial"));
    assert_int_equal(size, left.bytes);
    assert_in_range(size, 7 * MIB, 8 * MIB);
}

/* ---- what is there ---------------------------------------------------------------- */

static void partial_that_differs(void **state)
{
    (void)state;
    put_old();
    put_partial(20 * MIB + 5);
    put_bytes(partial(), 12 * MIB + 5, 8, 77);
    resume_all(20 * MIB + 5, 12 * MIB);

    put_partial(20 * MIB);
    put_bytes(partial(), 0, 1000, 77);
    resume_all(20 * MIB, 0); /* starts over */

    put_partial(LEN);
    put_bytes(partial(), LEN, 3 * MIB, 77); /* longer than the source */
    resume_all(LEN + 3 * MIB, whole(LEN));

    put_partial(100);
    resume_all(100, 0);
}

static void part_of_a_file(void **state)
{
    (void)state;
    ferry_download_opts part = {.size = sizeof part,
                                .offset = 7 * MIB + 11,
                                .length = 10 * MIB,
                                .resume = 1};
    for (unsigned i = 0; i < 2; i++) {
        int fd = open(partial(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        uint64_t have = i ? 10 * MIB : 4 * MIB; /* all of it, too */
        assert_int_equal(write(fd, data + part.offset, have), have);
        close(fd);
        assert_ok(ferry_download(vm, "/file", target(), &part, &err));
        assert_file_is(target(), data + part.offset, part.length);
        assert_int_equal(access(partial(), F_OK), -1);
    }
}

/* A link that was planted leads to somebody else's file; so does a second name of it. */
static void what_is_no_partial_is_left_alone(void **state)
{
    (void)state;
    make_file(scratch("victim"), 3 * MIB, 5);
    for (unsigned what = 0; what < 3; what++) {
        put_old();
        if (what == 0)
            assert_int_equal(symlink("victim", partial()), 0);
        else if (what == 1)
            assert_int_equal(link(scratch("victim"), partial()), 0);
        else
            assert_int_equal(mkdir(partial(), 0755), 0);

        struct want w = {.bytes = 5 * MIB};
        assert_ok(ferry_download_start(vm, "/file", target(), &resume, &w.op, &err));
        wait_for(&w);
        ferry_op_cancel(w.op);
        assert_int_equal(ferry_op_wait(w.op, PATIENCE_MS), 0);
        assert_int_equal(leftover(w.op).kind, FERRY_LEFT_NOTHING);
        assert_int_equal(leftover(w.op).found, 0);
        ferry_op_free(w.op);
        assert_ok(ferry_download(vm, "/file", target(), &resume, &err));
        assert_file_is(target(), data, LEN);
        void *victim = filled(3 * MIB, 5);
        assert_file_is(scratch("victim"), victim, 3 * MIB);
        free(victim);
        assert_int_equal(remove(partial()), 0); /* it is still there */
    }
}

/* Another download has it, of this process or not. */
static void one_that_is_in_use_is_busy(void **state)
{
    (void)state;
    put_old();
    put_partial(3 * MIB);
    int fd = open(partial(), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_fails(ferry_download(vm, "/file", target(), &resume, &err), FERRY_EBUSY,
                 "another download");
    assert_old();
    assert_file_is(partial(), data, 3 * MIB);
    close(fd);
    resume_all(3 * MIB, 3 * MIB);
}

/* Into a descriptor there is no partial, but a count. */
static void descriptor_says_what_was_written(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        int fd = open(scratch("out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(lseek(fd, 10, SEEK_SET), 10);
        struct want w = {.bytes = i ? LEN : 5 * MIB};
        assert_ok(ferry_download_fd_start(vm, "/file", fd, &keep, &w.op, &err));
        wait_for(&w);
        if (!i)
            ferry_op_cancel(w.op);
        assert_int_equal(ferry_op_wait(w.op, PATIENCE_MS), 0);
        ferry_leftover left = leftover(w.op);
        assert_int_equal(left.kind, FERRY_LEFT_WRITTEN);
        assert_in_range(left.bytes, i ? LEN : 1, LEN);
        uint8_t *got = malloc(left.bytes);
        assert_int_equal(pread(fd, got, left.bytes, 10), left.bytes);
        assert_memory_equal(got, data, left.bytes);
        free(got);
        ferry_op_free(w.op);
        close(fd);
    }
    unlink(scratch("out"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(qemu_is_killed),
        vm_test(cancelled_again_and_again),
        vm_test(no_more_readable_than_its_target),
        vm_test(host_disk_is_full),
        vm_test(partial_that_differs),
        vm_test(part_of_a_file),
        vm_test(what_is_no_partial_is_left_alone),
        vm_test(one_that_is_in_use_is_busy),
        vm_test(descriptor_says_what_was_written),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
