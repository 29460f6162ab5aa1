/* Transfers with `resume`, each stopped several times at random positions and moments; now and then the
 * source changes in between, or somebody writes into the partial. Whatever is stopped, changed or
 * left:
 *
 *      PARTIAL   exactly the bytes it says, and those of the source at that time
 *      NOTHING   the old file, and no more than an older partial beside it
 *      OK        all of the source as it is now, and no partial
 *
 * FERRY_ROUNDS rounds each way; FERRY_SEED repeats the positions of a run that failed. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST (12 * MIB)
#define TRIES 4 /* stops at most, before the one that is let through */
#define LATEST_US 30000
#define OLD "what was there before\n"

static uint8_t *source; /* the content as it is now, `len` bytes of it */
static size_t len;
static unsigned dice;

static int setup(void **state)
{
    vm_setup(state);
    dice = seed_for_chance();
    source = filled(MOST, 3);
    assert_ok(ferry_mkdir(vm, "/up", NULL, &err));
    assert_ok(ferry_mkdir(vm, "/down", NULL, &err));
    return 0;
}

static int teardown(void **state)
{
    free(source);
    return vm_teardown(state);
}

static size_t below(size_t n)
{
    return (size_t)rand_r(&dice) % n;
}

/* ---- the two directions ----------------------------------------------------------------- */

struct way {
    const char *name, *partial;
    void (*put_source)(void);
    int (*start)(ferry_op **ret_op);
    /* Content of "target" or of the partial; false: there is none. *ret is the caller's. */
    bool (*get)(const char *path, void **ret, size_t *ret_len);
    void (*put)(const char *path, const void *data, size_t n);
};

static void host_put(const char *path, const void *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

static bool host_get(const char *path, void **ret, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    *ret_len = file_size(path);
    *ret = malloc(*ret_len + 1);
    assert_int_equal(read(fd, *ret, *ret_len), *ret_len);
    close(fd);
    return true;
}

static void guest_put(const char *path, const void *data, size_t n)
{
    assert_ok(ferry_upload_mem(vm, data, n, path, NULL, &err));
}

static bool guest_get(const char *path, void **ret, size_t *ret_len)
{
    int r = ferry_download_mem(vm, path, NULL, ret, ret_len, &err);
    assert_ok_or(r, FERRY_ENOENT);
    return r == 0;
}

static void put_up(void)
{
    host_put(scratch("source"), source, len);
}

static int start_up(ferry_op **ret_op)
{
    static const ferry_upload_opts resume = {.size = sizeof resume, .resume = 1};
    return ferry_upload_start(vm, scratch("source"), "/up/target", &resume, ret_op,
                              &err);
}

static void put_down(void)
{
    guest_put("/down/source", source, len);
}

static int start_down(ferry_op **ret_op)
{
    static const ferry_download_opts resume = {.size = sizeof resume, .resume = 1};
    return ferry_download_start(vm, "/down/source", scratch("target"), &resume, ret_op,
                                &err);
}

/* ---- a round ----------------------------------------------------------------------------- */

static void wait_us(unsigned us)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t start = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000, now;
    do {
        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    } while (now < start + us);
}

/* By position or by moment: the first seldom hits the beginning, the second the end. */
static void wait_somewhere(ferry_op *op)
{
    ferry_progress now;
    size_t position = below(2) ? below(len + 1) : 0;
    if (position == 0)
        wait_us((unsigned)below(LATEST_US));
    while (position > 0 && ferry_op_poll(op, &now) == FERRY_OP_PENDING &&
           now.bytes < position)
        ferry_op_wait(op, 1);
}

static void assert_content(const struct way *w, const char *path, const void *want,
                           size_t n)
{
    void *got = NULL;
    size_t got_len = 0;
    assert_true(w->get(path, &got, &got_len));
    assert_int_equal(got_len, n);
    assert_memory_equal(got, want, n);
    free(got);
}

static void assert_complete(const struct way *w)
{
    void *got = NULL;
    size_t got_len = 0;
    assert_content(w, w->name, source, len);
    assert_false(w->get(w->partial, &got, &got_len));
}

/* true: it is complete. */
static bool one_try(const struct way *w, bool stop)
{
    ferry_op *op = NULL;
    ferry_leftover left = {.size = sizeof left};
    assert_ok(w->start(&op));
    if (stop) {
        wait_somewhere(op);
        ferry_op_cancel(op);
    }
    assert_int_equal(ferry_op_wait(op, 60000), 0);
    assert_int_equal(ferry_op_get_leftover(op, &left), 0);
    int r = ferry_op_error(op, &err);
    assert_ok_or(r, stop ? FERRY_ECANCELED : 0);
    if (r < 0) {
        assert_content(w, w->name, OLD, strlen(OLD));
    } else {
        assert_complete(w);
        assert_in_range(left.resumed, 0, left.found);
    }
    /* While both sides are compared it is what somebody may have written into. */
    if (r < 0 && left.kind == FERRY_LEFT_PARTIAL) {
        void *got = NULL;
        size_t n = 0;
        assert_string_equal(left.path, w->partial);
        assert_true(w->get(w->partial, &got, &n));
        assert_int_equal(n, left.bytes);
        if (left.bytes > left.found)
            assert_memory_equal(got, source, left.bytes);
        assert_memory_equal(got, source, left.resumed);
        free(got);
    } else {
        assert_int_equal(left.kind, FERRY_LEFT_NOTHING);
    }
    ferry_op_free(op);
    return r == 0;
}

/* The source changes, or becomes longer or shorter; or the partial is tampered with. */
static void disturb(const struct way *w)
{
    void *got = NULL;
    size_t n = 0;
    switch (below(6)) {
    case 0:
        source[below(len)] ^= 0x55;
        w->put_source();
        break;
    case 1:
        len = MIB + below(MOST - MIB);
        w->put_source();
        break;
    case 2:
        if (w->get(w->partial, &got, &n) && n > 0) {
            ((uint8_t *)got)[below(n)] ^= 0x55;
            w->put(w->partial, got, n);
        }
        free(got);
        break;
    default: break;
    }
}

static void run(const struct way *w)
{
    unsigned rounds = from_env("FERRY_ROUNDS", 10);
    for (unsigned i = 0; i < rounds; i++) {
        len = 2 * MIB + below(MOST - 2 * MIB);
        w->put_source();
        w->put(w->name, OLD, strlen(OLD));
        bool complete = false;
        for (unsigned t = 0; !complete && t < TRIES; t++) {
            complete = one_try(w, true);
            if (!complete)
                disturb(w);
        }
        if (!complete)
            assert_true(one_try(w, false));
    }
}

static void uploads(void **state)
{
    (void)state;
    run(&(struct way){"/up/target", "/up/target.ferry-partial", put_up, start_up,
                      guest_get, guest_put});
}

static void downloads(void **state)
{
    (void)state;
    char target[256], partial[300];
    snprintf(target, sizeof target, "%s", scratch("target"));
    snprintf(partial, sizeof partial, "%s.ferry-partial", target);
    run(&(struct way){target, partial, put_down, start_down, host_get, host_put});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(uploads),
        vm_test(downloads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
