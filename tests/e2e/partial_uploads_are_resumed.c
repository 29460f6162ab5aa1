/* An upload that was stopped anywhere, with keep_partial, leaves the bytes it says it leaves, and
 * `resume` goes on from them: what arrives in the end is the source, whatever had become of the
 * partial in between. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN (40 * MIB + 12345)
#define OLD "what was there before\n"
#define PARTIAL "/d/file.ferry-partial"

static uint8_t *data;
static char digest[65];

static int setup(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    host("mkfs.ext4 -q -F -E lazy_itable_init=0 '%s'", vm_image("disk.img", GIB));
    assert_ok(ferry_add_drive_scratch(vm, 72 * MIB, &err));
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_mkdir(vm, "/d", NULL, &err));
    data = filled(LEN, 1);
    make_file(scratch("source"), LEN, 1);
    snprintf(digest, sizeof digest, "%.64s",
             host("sha256sum < '%s'", scratch("source")));
    return 0;
}

static int teardown(void **state)
{
    free(data);
    return vm_teardown(state);
}

/* ---- steps ------------------------------------------------------------------------ */

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

static const ferry_upload_opts keep = {.size = sizeof keep, .keep_partial = 1};
static const ferry_upload_opts resume = {.size = sizeof resume, .resume = 1};

static void put_old(void)
{
    assert_ok(ferry_upload_mem(vm, OLD, strlen(OLD), "/d/file", NULL, &err));
}

static void cancel(ferry_op *op)
{
    ferry_op_cancel(op);
    assert_ends(op, FERRY_ECANCELED);
}

/* What the op says is there, and nothing else has changed. Its length. */
static uint64_t assert_kept(ferry_op *op)
{
    ferry_leftover left = leftover(op);
    assert_int_equal(left.kind, FERRY_LEFT_PARTIAL);
    assert_string_equal(left.path, PARTIAL);
    assert_true(left.bytes <= LEN);
    assert_guest_is(PARTIAL, data, left.bytes);
    assert_guest_is("/d/file", OLD, strlen(OLD));
    assert_guest_ls("/d", "file file.ferry-partial");
    return left.bytes;
}

/* The first `len` bytes come through a pipe that stays open: the upload stands at this point
 * when the cancel comes. */
static uint64_t keep_after(uint64_t len)
{
    struct want w = {.bytes = len};
    int fds[2];
    put_old();
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/d/file", &keep, &w.op, &err));
    for (uint64_t done = 0; done < len;) {
        ssize_t n = write(fds[1], data + done, len - done);
        assert_true(n > 0);
        done += (uint64_t)n;
    }
    wait_for(&w);
    cancel(w.op);
    uint64_t kept = assert_kept(w.op);
    ferry_op_free(w.op);
    close(fds[0]);
    close(fds[1]);
    return kept;
}

static void assert_complete(void)
{
    char *sum = NULL;
    assert_ok(ferry_checksum(vm, "sha256", "/d/file", &sum, &err));
    assert_string_equal(sum, digest);
    free(sum);
    assert_guest_ls("/d", "file");
}

/* To the end; `same` bytes of the partial's `found` are not sent again. */
static void resume_all(uint64_t found, uint64_t same)
{
    ferry_op *op = NULL;
    ferry_progress p;
    assert_ok(ferry_upload_start(vm, scratch("source"), "/d/file", &resume, &op, &err));
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

/* ---- tests ------------------------------------------------------------------------ */

static void from_any_point(void **state)
{
    (void)state;
    unsigned seed = seed_for_chance();
    for (unsigned i = 0; i < 4; i++) {
        uint64_t len = 5 * MIB + (uint64_t)rand_r(&seed) % (LEN - 5 * MIB);
        uint64_t kept = keep_after(len);
        assert_in_range(kept, len - 5 * MIB, len); /* what was in flight is lost */
        resume_all(kept, whole(kept));
    }
}

/* A resumed upload that is stopped keeps again, never less than it had found equal. */
static void stopped_again_and_again(void **state)
{
    (void)state;
    uint64_t kept = keep_after(6 * MIB);
    for (uint64_t at = 10 * MIB; at < LEN; at += 10 * MIB) {
        struct want w = {.bytes = at};
        assert_ok(
            ferry_upload_start(vm, scratch("source"), "/d/file", &resume, &w.op, &err));
        wait_for(&w);
        ferry_op_cancel(w.op);
        assert_int_equal(ferry_op_wait(w.op, PATIENCE_MS), 0);
        bool ended = ferry_op_poll(w.op, NULL) == FERRY_OP_OK;
        uint64_t now = ended ? 0 : assert_kept(w.op);
        if (!ended)
            assert_in_range(now, whole(kept), LEN);
        ferry_op_free(w.op);
        kept = now;
        if (ended) /* a fast machine */
            return assert_complete();
    }
    resume_all(kept, whole(kept));
}

/* While it is compared the partial stays as it was. */
static void stopped_before_it_has_begun(void **state)
{
    (void)state;
    uint64_t kept = keep_after(20 * MIB);
    ferry_op *op = NULL;
    ferry_vm_set_rate_max(vm, SLOWLY);
    assert_ok(ferry_upload_start(vm, scratch("source"), "/d/file", &resume, &op, &err));
    cancel(op);
    ferry_op_free(op);
    ferry_vm_set_rate_max(vm, 0);
    assert_guest_is(PARTIAL, data, kept);
    resume_all(kept, whole(kept));
}

static void tamper(uint64_t offset)
{
    ferry_upload_opts at = {.size = sizeof at, .offset = offset, .in_place = 1};
    assert_ok(ferry_upload_mem(vm, "tampered", 8, PARTIAL, &at, &err));
}

static void partial_that_differs(void **state)
{
    (void)state;
    uint64_t kept = keep_after(20 * MIB);
    tamper(12 * MIB + 5);
    resume_all(kept, 12 * MIB);

    kept = keep_after(20 * MIB);
    tamper(1);
    resume_all(kept, 0); /* starts over */

    assert_ok(ferry_upload(vm, scratch("source"), PARTIAL, NULL, &err));
    assert_ok(
        ferry_truncate_size(vm, PARTIAL, 2 * LEN, &err)); /* longer than the source */
    resume_all(2 * LEN, whole(LEN));

    resume_all(0, 0); /* there is none: an upload like any other */
}

static void from_memory_and_from_a_pipe(void **state)
{
    (void)state;
    keep_after(20 * MIB);
    assert_ok(ferry_upload_mem(vm, data, LEN, "/d/file", &resume, &err));
    assert_complete();

    /* A pipe cannot be read again: it is sent whole, and the partial is of no use any more. */
    keep_after(20 * MIB);
    int fds[2];
    ferry_op *op = NULL;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/d/file", &resume, &op, &err));
    assert_int_equal(write(fds[1], "short", 5), 5);
    close(fds[1]);
    assert_ends(op, 0);
    assert_int_equal(leftover(op).resumed, 0);
    ferry_op_free(op);
    close(fds[0]);
    assert_guest_is("/d/file", "short", 5);
    assert_guest_ls("/d", "file");
}

/* What was committed is told, of a device and of a file. */
static void in_place(void **state)
{
    (void)state;
    static const char *const targets[] = {"/dev/sdb", "/d/file"};
    for (unsigned i = 0; i < 2; i++) {
        ferry_upload_opts o = {.size = sizeof o, .offset = MIB + 512};
        ferry_download_opts part = {.size = sizeof part, .offset = o.offset};
        struct want w = {.bytes = 9 * MIB};
        int fds[2];
        void *got = NULL;
        size_t len = 0;
        put_old();
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_ok(ferry_upload_fd_start(vm, fds[0], targets[i], &o, &w.op, &err));
        for (uint64_t done = 0; done < w.bytes;)
            done += (uint64_t)write(fds[1], data + done, w.bytes - done);
        wait_for(&w);
        cancel(w.op);
        ferry_leftover left = leftover(w.op);
        assert_int_equal(left.kind, FERRY_LEFT_WRITTEN);
        assert_in_range(left.bytes, 4 * MIB, 9 * MIB);
        assert_null(left.path);
        part.length = left.bytes;
        assert_ok(ferry_download_mem(vm, targets[i], &part, &got, &len, &err));
        assert_int_equal(len, left.bytes);
        assert_memory_equal(got, data, len);
        free(got);
        ferry_op_free(w.op);
        close(fds[0]);
        close(fds[1]);
    }
    assert_ok(ferry_rm(vm, "/d/file", &err));
}

static void what_cannot_be_resumed(void **state)
{
    (void)state;
    ferry_upload_opts o = resume;
    o.in_place = 1;
    assert_fails(ferry_upload(vm, scratch("source"), "/d/file", &o, &err), FERRY_EINVAL,
                 "resume");
    o.in_place = 0;
    o.offset = 1;
    assert_fails(ferry_upload(vm, scratch("source"), "/d/file", &o, &err), FERRY_EINVAL,
                 "resume");
    assert_fails(ferry_upload(vm, scratch("source"), "/dev/sdb", &resume, &err),
                 FERRY_EINVAL, "/dev/sdb");
    assert_fails(ferry_upload(vm, scratch("source"), "/none/file", &resume, &err),
                 FERRY_ENOENT, "/none");
    assert_fails(ferry_upload(vm, scratch("source"), "/d", &resume, &err), FERRY_EISDIR,
                 "/d");
}

/* The disk is full: what fitted is kept, and goes on when there is room. */
static void full_disk(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    assert_ok(ferry_mkfs(vm, "ext4", "/dev/sdb", NULL, &err));
    assert_ok(ferry_mkdir(vm, "/small", NULL, &err));
    assert_ok(ferry_mount(vm, "/dev/sdb", "/small", &err));
    assert_ok(ferry_upload_mem(vm, data, 30 * MIB, "/small/in_the_way", NULL, &err));
    assert_ok(ferry_upload_start(vm, scratch("source"), "/small/f", &keep, &op, &err));
    assert_ends(op, FERRY_ENOSPC);
    ferry_leftover left = leftover(op);
    assert_int_equal(left.kind, FERRY_LEFT_PARTIAL);
    assert_in_range(left.bytes, 10 * MIB, LEN - 1);
    assert_guest_is("/small/f.ferry-partial", data, left.bytes);
    assert_ok(ferry_rm(vm, "/small/in_the_way", &err));
    uint64_t kept = left.bytes;
    ferry_op_free(op);

    assert_ok(ferry_upload_start(vm, scratch("source"), "/small/f", &resume, &op, &err));
    assert_ends(op, 0);
    assert_int_equal(leftover(op).resumed, whole(kept));
    ferry_op_free(op);
    assert_guest_is("/small/f", data, LEN);
    assert_ok(ferry_umount(vm, "/small", &err));
}

/* What an op says before it has ended, and one that is no transfer. */
static void asked_too_early_or_wrongly(void **state)
{
    (void)state;
    ferry_leftover left = {.size = sizeof left}, none = {0};
    ferry_op *op = NULL;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/d/file", &keep, &op, &err));
    assert_int_equal(ferry_op_get_leftover(op, &left), -FERRY_EAGAIN);
    assert_int_equal(ferry_op_get_leftover(op, NULL), -FERRY_EINVAL);
    assert_int_equal(ferry_op_get_leftover(op, &none), -FERRY_EINVAL);
    cancel(op);
    assert_int_equal(leftover(op).kind, FERRY_LEFT_NOTHING);
    ferry_op_free(op);
    close(fds[0]);
    close(fds[1]);

    assert_ok(ferry_ping_start(vm, &op, &err));
    assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
    assert_int_equal(leftover(op).kind, FERRY_LEFT_NOTHING);
    ferry_op_free(op);
    assert_ok(ferry_rm_start(vm, "/none", &op, &err));
    assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
    assert_int_equal(leftover(op).kind, FERRY_LEFT_UNKNOWN);
    ferry_op_free(op);
}

static bool vm_is_dead(void *arg)
{
    (void)arg;
    return ferry_vm_get_state(vm) == FERRY_VM_DEAD;
}

/* Kills the VM as soon as the resumed upload has begun to write. */
static void kill_while_copying(void)
{
    ferry_op *op = NULL;
    ferry_progress now = {.phase = ""};
    ferry_vm_set_rate_max(vm, SLOWLY);
    assert_ok(ferry_upload_start(vm, scratch("source"), "/d/file", &resume, &op, &err));
    while (ferry_op_poll(op, &now) == FERRY_OP_PENDING &&
           strcmp(now.phase, "copying") != 0)
        ferry_op_wait(op, 1);
    ferry_vm_kill(vm);
    assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
    assert_true(eventually(vm_is_dead, NULL));
    assert_int_equal(ferry_op_poll(op, NULL), FERRY_OP_FAILED);
    assert_int_equal(leftover(op).kind, FERRY_LEFT_UNKNOWN);
    ferry_op_free(op);
    ferry_vm_set_rate_max(vm, 0);
}

/* The VM dies under a resumed upload. Nobody knows what that leaves; but the part that had been
 * compared is there, whatever lies behind it, and the next one finds out. */
static void killed_under_a_resumed_upload(void **state)
{
    (void)state;
    uint64_t kept = keep_after(20 * MIB);
    assert_ok(ferry_sync(vm, &err));
    kill_while_copying();
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    ferry_op *op = NULL;
    assert_ok(ferry_upload_start(vm, scratch("source"), "/d/file", &resume, &op, &err));
    assert_ends(op, 0);
    assert_in_range(leftover(op).resumed, whole(kept), LEN);
    ferry_op_free(op);
    assert_complete();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(from_any_point),
        vm_test(stopped_again_and_again),
        vm_test(stopped_before_it_has_begun),
        vm_test(partial_that_differs),
        vm_test(from_memory_and_from_a_pipe),
        vm_test(in_place),
        vm_test(what_cannot_be_resumed),
        vm_test(full_disk),
        vm_test(asked_too_early_or_wrongly),
        vm_test(killed_under_a_resumed_upload),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
