/* Users of libguestfs report that its cancel test "reliably hangs" on a busy machine (its issue
 * 225): a cancel that crosses the daemon's answer leaves the two sides at different places of one
 * stream, each waiting for the other. Here 8 processes keep the machine busy, and every cancel is
 * aimed at the moment of the answer: calls, uploads and downloads are cancelled after about as long
 * as the last ones of their kind took. None may hang, or cost the VM its life.
 *
 * FERRY_ROUNDS; FERRY_SEED repeats the choices, not the moments. */
#include "harness/vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUSY 8
#define HANG_MS 100000
/* Longer than HANG_MS: the grace period must not end what hangs. */
#define GRACE_MS (2 * HANG_MS)
#define BYTES 100000

static pid_t busy[BUSY];
static uint8_t *bytes;
static unsigned dice;

/* ---- the load --------------------------------------------------------------------------------- */

static void start_busy(void)
{
    for (int i = 0; i < BUSY; i++) {
        pid_t parent = getpid();
        busy[i] = fork();
        assert_true(busy[i] >= 0);
        if (busy[i] > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned n = 0; getppid() == parent;)
            while (++n % 1000000)
                ;
        _exit(0);
    }
}

static void end_busy(void)
{
    for (int i = 0; i < BUSY; i++) {
        if (busy[i] <= 0)
            continue;
        kill(busy[i], SIGKILL);
        assert_int_equal(waitpid(busy[i], NULL, 0), busy[i]);
        busy[i] = 0;
    }
}

/* ---- what is cancelled -------------------------------------------------------------------------- */

static int stat_start(ferry_op **ret)
{
    return ferry_stat_start(vm, "/file", ret, &err);
}

static int upload_start(ferry_op **ret)
{
    return ferry_upload_mem_start(vm, bytes, BYTES, "/new", NULL, ret, &err);
}

static int download_start(ferry_op **ret)
{
    return ferry_download_mem_start(vm, "/file", NULL, ret, &err);
}

static struct kind {
    const char *name;
    int (*start)(ferry_op **ret);
    long us; /* how long the last ones took, about */
    unsigned ok, cancelled;
} kinds[] = {
    {.name = "stat", .start = stat_start},
    {.name = "upload", .start = upload_start},
    {.name = "download", .start = download_start},
};
#define NKINDS (sizeof kinds / sizeof *kinds)

static long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The moment is the test's input. Polls, so as to be on a CPU when it comes. */
static void wait_us(ferry_op *op, long us)
{
    for (long end = now_us() + us; now_us() < end;)
        if (ferry_op_poll(op, NULL) != FERRY_OP_PENDING)
            return;
}

static void end_of(ferry_op *op, struct kind *k, unsigned round)
{
    ferry_progress now;
    if (ferry_op_wait(op, HANG_MS) != 0) {
        ferry_op_poll(op, &now);
        fail_msg("round %u: %s hangs, \"%s\"", round, k->name, now.phase);
    }
    int r = ferry_op_error(op, &err);
    if (r != 0 && r != -FERRY_ECANCELED)
        fail_msg("round %u: %s: %d: %s", round, k->name, r, err.msg);
    k->ok += r == 0;
    k->cancelled += r != 0;
    ferry_op_free(op);
}

static void measure(struct kind *k)
{
    ferry_op *op = NULL;
    long start = now_us();
    assert_ok(k->start(&op));
    assert_int_equal(ferry_op_wait(op, HANG_MS), 0);
    k->us = now_us() - start;
    ferry_op_free(op);
}

/* Walks towards the moment at which half of them are done when the cancel comes. */
static void one(struct kind *k, unsigned round)
{
    ferry_op *op = NULL;
    unsigned ok = k->ok;
    assert_ok(k->start(&op));
    wait_us(op, k->us * (50 + rand_r(&dice) % 100) / 100);
    ferry_op_cancel(op);
    end_of(op, k, round);
    k->us = k->ok > ok ? k->us * 3 / 4 : k->us * 4 / 3 + 1;
}

static void under_load(void **state)
{
    (void)state;
    unsigned rounds = from_env("FERRY_ROUNDS", 90);
    dice = seed_for_chance();
    for (size_t i = 0; i < NKINDS; i++)
        measure(&kinds[i]);
    for (unsigned i = 0; i < rounds; i++) {
        one(&kinds[(unsigned)rand_r(&dice) % NKINDS], i);
        if (i % 10 == 0)
            assert_int_equal(guest_stat("/file").size, BYTES);
    }
    for (size_t i = 0; i < NKINDS; i++)
        print_message("    %s: %u done, %u cancelled\n", kinds[i].name, kinds[i].ok,
                      kinds[i].cancelled);
    assert_int_equal(ferry_vm_get_state(vm), FERRY_VM_UP);
    assert_guest_is("/file", bytes, BYTES);
}

/* The load is there from before the launch until after it is over, so that teardown, which counts
 * children, sees ours only. */
static int setup(void **state)
{
    vm_opts.grace_ms = GRACE_MS;
    bytes = filled(BYTES, 5);
    start_busy();
    vm_setup(state);
    assert_ok(ferry_upload_mem(vm, bytes, BYTES, "/file", NULL, &err));
    return 0;
}

static int teardown(void **state)
{
    end_busy();
    free(bytes);
    return vm_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(under_load)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
