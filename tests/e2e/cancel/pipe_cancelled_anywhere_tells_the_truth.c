/* The classic test of a user cancel: one thread feeds the pipe that is uploaded, or drains the one
 * that is downloaded to, and cancels at a random position, most often a small one. libguestfs
 * clears its flag when a transfer starts, so its test has to assert the cancel again and again;
 * here it is asked for once, and everybody goes on as if it had not been: the feeder feeds, the
 * drainer drains.
 *
 *      CANCELLED   the error says so, and the old file is there unharmed
 *      OK          every byte arrived, and is the right one
 *      nothing else, and in the end the VM does real work
 *
 * FERRY_ROUNDS rounds each way; FERRY_SEED repeats the positions of a run that failed. */
#include "harness/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST (4 * MIB)  /* bytes of the longest transfer */
#define PIECE 65536     /* most that the threads move at once */
#define LATEST_US 20000 /* about as long as a commit takes in a slow appliance */
#define HANG_MS 60000   /* longer than anything but a hang takes */
#define WORK_EVERY 10   /* rounds */

static uint8_t *bytes; /* MOST of them: a transfer's are the first ones */
static unsigned dice;

static const size_t sizes[] = {0, 1, 5000, 300000, MOST};
#define NSIZES (sizeof sizes / sizeof *sizes)

static int setup(void **state)
{
    vm_setup(state);
    dice = seed_for_chance();
    bytes = filled(MOST, 7);
    char name[32];
    assert_ok(ferry_upload_mem(vm, "", 0, "/up", NULL, &err));
    assert_ok(ferry_mkdir(vm, "/down", NULL, &err));
    for (size_t i = 0; i < NSIZES; i++) {
        snprintf(name, sizeof name, "/down/%zu", sizes[i]);
        assert_ok(ferry_upload_mem(vm, bytes, sizes[i], name, NULL, &err));
    }
    return 0;
}

static int teardown(void **state)
{
    free(bytes);
    return vm_teardown(state);
}

/* 0 .. most, each number of bits as likely as the next. */
static size_t skewed(size_t most)
{
    unsigned bits = 0;
    while (most >> bits)
        bits++;
    size_t below = (size_t)1 << (unsigned)rand_r(&dice) % (bits + 1);
    size_t n = (size_t)rand_r(&dice) % below; /* RAND_MAX is 2^31 - 1 */
    return n < most ? n : most;
}

/* ---- the other thread ------------------------------------------------------------------------- */

struct side {
    ferry_op *op;
    ferry_op_token token; /* half of the cancels come by token */
    int fd;
    size_t position; /* where it cancels */
    size_t len;      /* of all */
    unsigned late; /* not 0: it cancels after the last byte and the end, by so many us */
    size_t moved;
    bool right; /* all that was drained */
    pthread_t thread;
};

static void cancel_once(struct side *s)
{
    if (s->position % 2)
        ferry_ctx_cancel(ctx, s->token);
    else
        ferry_op_cancel(s->op);
}

/* Up to the position, then from there on: how many bytes may be moved now. */
static size_t next_piece(struct side *s, bool *cancelled)
{
    if (s->moved >= s->position && !*cancelled) {
        cancel_once(s);
        *cancelled = true;
    }
    size_t end = *cancelled ? s->len : s->position;
    return end - s->moved < PIECE ? end - s->moved : PIECE;
}

static void spin(unsigned us)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t start = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000, now;
    do {
        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    } while (now < start + us);
}

static void *feed(void *arg)
{
    struct side *s = arg;
    bool cancelled = s->late; /* not yet, but not by position */
    for (size_t n; (n = next_piece(s, &cancelled)) > 0;) {
        ssize_t k = write(s->fd, bytes + s->moved, n);
        if (k <= 0)
            break; /* EPIPE: the op has ended, and its pipe is closed */
        s->moved += (size_t)k;
    }
    close(s->fd);
    if (s->late) {
        spin(s->late); /* the moment is the test's input */
        cancel_once(s);
    }
    return NULL;
}

/* To the end, which comes when the op has ended; a position that is never reached is one after
 * the end. */
static void *drain(void *arg)
{
    struct side *s = arg;
    bool cancelled = false;
    uint8_t piece[PIECE];
    s->right = true;
    for (;;) {
        size_t n = next_piece(s, &cancelled);
        ssize_t k = read(s->fd, piece, n ? n : 1);
        if (k <= 0)
            break;
        s->right &= s->moved + (size_t)k <= s->len &&
                    memcmp(piece, bytes + s->moved, (size_t)k) == 0;
        s->moved += (size_t)k;
    }
    close(s->fd);
    return NULL;
}

/* ---- one round ---------------------------------------------------------------------------------- */

static unsigned cancelled_ops, ok_ops;

/* The end of the op, which must be one of two. True: OK. */
static bool end_of(struct side *s, const char *what)
{
    ferry_progress now;
    if (ferry_op_wait(s->op, HANG_MS) != 0) {
        ferry_op_poll(s->op, &now);
        fail_msg("%s cancelled at %zu of %zu hangs: \"%s\", %llu bytes", what,
                 s->position, s->len, now.phase, (unsigned long long)now.bytes);
    }
    memset(&err, 0, sizeof err);
    int r = ferry_op_error(s->op, &err);
    ferry_op_state state = ferry_op_poll(s->op, &now);
    bool ok = state == FERRY_OP_OK && r == 0 && now.bytes == s->len;
    bool gone = state == FERRY_OP_CANCELLED && r == -FERRY_ECANCELED && err.where[0];
    if (!ok && !gone)
        fail_msg("%s cancelled at %zu of %zu: state %d, %d, \"%s\", %llu bytes", what,
                 s->position, s->len, state, r, err.msg, (unsigned long long)now.bytes);
    cancelled_ops += gone;
    ok_ops += ok;
    return ok;
}

static void start_thread(struct side *s, void *(*run)(void *))
{
    s->token = ferry_op_get_token(s->op);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

static size_t old_len; /* of /up */

static void real_work(void)
{
    char text[64];
    int n = snprintf(text, sizeof text, "dice %u", dice);
    assert_ok(ferry_upload_mem(vm, text, (size_t)n, "/work", NULL, &err));
    assert_guest_is("/work", text, (size_t)n);
    assert_guest_ls("/", "down up work"); /* and no temporary */
    assert_guest_is("/up", bytes, old_len);
}

static void upload(size_t len, size_t position, unsigned late)
{
    int fds[2];
    struct side s = {.len = len, .position = position, .late = late};
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    s.fd = fds[1];
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/up", NULL, &s.op, &err));
    start_thread(&s, feed);
    if (end_of(&s, "upload"))
        old_len = s.len;
    close(fds[0]);
    pthread_join(s.thread, NULL);
    ferry_op_free(s.op);
    assert_int_equal(guest_stat("/up").size, old_len);
}

/* A quarter of the cancels cross the commit. */
static void any_upload(void)
{
    size_t len = skewed(MOST), position = skewed(len);
    bool late = rand_r(&dice) % 4 == 0;
    upload(len, position, late ? (unsigned)skewed(LATEST_US) + 1 : 0);
}

static void download(size_t len, size_t position)
{
    int fds[2];
    char name[32];
    struct side s = {.len = len, .position = position};
    snprintf(name, sizeof name, "/down/%zu", len);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    s.fd = fds[0];
    assert_ok(ferry_download_fd_start(vm, name, fds[1], NULL, &s.op, &err));
    start_thread(&s, drain);
    bool ok = end_of(&s, "download");
    close(fds[1]);
    pthread_join(s.thread, NULL);
    ferry_op_free(s.op);
    assert_true(s.right);
    if (ok)
        assert_int_equal(s.moved, s.len);
}

static void any_download(void)
{
    size_t len = sizes[(size_t)rand_r(&dice) % NSIZES];
    download(len, skewed(len));
}

static void many(void (*one)(void), const char *what)
{
    unsigned n = from_env("FERRY_ROUNDS", 100);
    cancelled_ops = ok_ops = 0;
    for (unsigned i = 0; i < n; i++) {
        one();
        if (i % WORK_EVERY == 0)
            real_work();
    }
    print_message("    %u %ss: %u cancelled, %u done\n", n, what, cancelled_ops, ok_ops);
    assert_int_equal(cancelled_ops + ok_ops, n);
}

/* Before the first byte of what cannot be through already: always cancelled. */
static void at_the_first_byte(void **state)
{
    (void)state;
    cancelled_ops = 0;
    upload(MOST, 0, 0);
    download(MOST, 0);
    assert_int_equal(cancelled_ops, 2);
}

static void uploads(void **state)
{
    (void)state;
    many(any_upload, "upload");
    assert_guest_is("/up", bytes, old_len);
}

static void downloads(void **state)
{
    (void)state;
    many(any_download, "download");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(at_the_first_byte),
        vm_test(uploads),
        vm_test(downloads),
    };
    signal(SIGPIPE, SIG_IGN); /* the feeder's */
    return cmocka_run_group_tests(tests, setup, teardown);
}
