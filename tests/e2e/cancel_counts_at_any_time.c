/* A cancel is heard before the first instruction of an op, in the middle, and never
 * after its end; from any thread, from a signal handler, by op, by token, for all at
 * once. What had been done when it came is success; what is reported cancelled has
 * not happened. */
#include "harness/vm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BIG (100 * MIB)

static int setup(void **state)
{
    vm_setup_ext4(state);
    make_file(scratch("big"), BIG, 1);
    assert_ok(ferry_upload(vm, scratch("big"), "/big", NULL, &err));
    return 0;
}

static ferry_op *start_upload(void)
{
    ferry_op *op = NULL;
    assert_ok(ferry_upload_start(vm, scratch("big"), "/new", NULL, &op, &err));
    return op;
}

static void assert_cancelled(ferry_op *op)
{
    assert_ends(op, FERRY_ECANCELED);
    assert_true(err.where[0] && err.msg[0]);
    ferry_op_free(op);
}

static void assert_nothing_new(void)
{
    assert_guest_ls("/", "big");
}

/* ---- when ----------------------------------------------------------------------- */

static void before_the_first_instruction(void **state)
{
    (void)state;
    ferry_vm_set_rate_max(vm, SLOWLY);
    for (int i = 0; i < 20; i++) {
        ferry_op *op = start_upload();
        ferry_op_cancel(op);
        assert_cancelled(op);
    }
    ferry_vm_set_rate_max(vm, 0);
    assert_nothing_new();
}

static long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void busy_wait_us(long us)
{
    for (long end = now_us() + us; now_us() < end;)
        ;
}

static long us_of_a_mkdir(void)
{
    long start = now_us();
    for (int i = 0; i < 10; i++) {
        assert_ok(ferry_mkdir(vm, "/dir", NULL, &err));
        assert_ok(ferry_rm_rf(vm, "/dir", &err));
    }
    return (now_us() - start) / 20;
}

/* The cancel comes at every point of a mkdir's way there and back, from 0 to twice
 * the time it takes, and once when it is over. Either it is done and says so, or it is not. */
static void cancelled_means_not_done(void **state)
{
    (void)state;
    unsigned ended[4] = {0};
    ferry_stat_info st = {0};
    long us = us_of_a_mkdir();
    for (int i = 0; i < 200; i++) {
        ferry_op *op = NULL;
        assert_ok(ferry_mkdir_start(vm, "/dir", NULL, &op, &err));
        busy_wait_us(us * i / 100);
        if (i == 199)
            assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
        ferry_op_cancel(op);
        assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
        ferry_op_state end = ferry_op_poll(op, NULL);
        ended[end]++;
        assert_int_equal(ferry_op_error(op, NULL),
                         end == FERRY_OP_OK ? 0 : -FERRY_ECANCELED);
        ferry_op_free(op);

        int there = ferry_stat(vm, "/dir", &st, &err);
        assert_int_equal(there, end == FERRY_OP_OK ? 0 : -FERRY_ENOENT);
        if (there == 0)
            assert_ok(ferry_rm_rf(vm, "/dir", &err));
    }
    print_message("    %u done, %u cancelled\n", ended[FERRY_OP_OK],
                  ended[FERRY_OP_CANCELLED]);
    assert_int_equal(ended[FERRY_OP_OK] + ended[FERRY_OP_CANCELLED], 200);
    assert_true(ended[FERRY_OP_OK] > 0 && ended[FERRY_OP_CANCELLED] > 0);
    assert_nothing_new();
}

static void after_the_end_and_twice(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    assert_ok(ferry_ping_start(vm, &op, &err));
    assert_ends(op, 0);
    ferry_op_cancel(op);
    ferry_op_cancel(op);
    assert_ends(op, 0);
    ferry_op_free(op);

    ferry_vm_set_rate_max(vm, SLOWLY);
    op = start_upload();
    ferry_op_cancel(op);
    ferry_op_cancel(op);
    assert_cancelled(op);
    ferry_vm_set_rate_max(vm, 0);
    ferry_op_free(NULL);
    assert_nothing_new();
}

/* ---- how ------------------------------------------------------------------------ */

static ferry_op *handlers_op;
static ferry_op_token handlers_token;
static volatile sig_atomic_t handled;

static void on_alarm(int sig)
{
    (void)sig;
    handled = 1;
    if (handlers_op)
        ferry_op_cancel(handlers_op);
    ferry_ctx_cancel(ctx, handlers_token);
}

/* SIGALRM, once, when we sleep. Returns what was there. It was a timer of 50 ms once: on a busy
 * machine it could be over before the wait that it was to interrupt had begun. */
static struct sigaction set_alarm(void)
{
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, old;
    handled = 0;
    sigaction(SIGALRM, &sa, &old);
    signal_asleep(SIGALRM);
    return old;
}

/* An upload that waits for its source as long as it takes. */
static ferry_op *start_waiting(int fds[2])
{
    ferry_op *op = NULL;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_ok(ferry_upload_fd_start(vm, fds[0], "/new", NULL, &op, &err));
    return op;
}

static void close_both(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void from_a_signal_handler(void **state)
{
    (void)state;
    for (int by_token = 0; by_token < 2; by_token++) {
        int fds[2];
        ferry_op *op = start_waiting(fds);
        handlers_op = by_token ? NULL : op;
        handlers_token = by_token ? ferry_op_get_token(op) : 0;
        struct sigaction old = set_alarm();
        int r = ferry_op_wait(op, PATIENCE_MS);
        signalled_asleep();
        assert_int_equal(r, -FERRY_EINTR); /* so that a language's handlers may run */
        assert_int_equal(handled, 1);
        sigaction(SIGALRM, &old, NULL);
        assert_cancelled(op);
        close_both(fds);
    }
    handlers_op = NULL;
    handlers_token = 0;
    assert_nothing_new();
}

/* A blocking call is not interrupted by a signal: it goes on waiting. */
static void signal_does_not_end_a_blocking_call(void **state)
{
    (void)state;
    struct sigaction old = set_alarm();
    assert_ok(ferry_download(vm, "/big", scratch("back"), NULL, &err));
    signalled_asleep();
    assert_int_equal(handled, 1);
    sigaction(SIGALRM, &old, NULL);
    assert_same_file(scratch("big"), scratch("back"));
}

static void by_token_after_the_op_is_gone(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    assert_ok(ferry_ping_start(vm, &op, &err));
    ferry_op_token token = ferry_op_get_token(op);
    assert_true(token != 0);
    assert_ends(op, 0);
    ferry_ctx_cancel(ctx, token);
    assert_ends(op, 0);
    ferry_op_free(op);

    /* Whoever comes after it, in the same place, is not meant. */
    int fds[2];
    op = start_waiting(fds);
    assert_true(ferry_op_get_token(op) != token);
    ferry_ctx_cancel(ctx, token);
    ferry_ctx_cancel(ctx, 0);
    ferry_ctx_cancel(ctx, ~(ferry_op_token)0);
    assert_int_equal(ferry_op_wait(op, 50), -FERRY_EAGAIN);
    ferry_ctx_cancel(ctx, ferry_op_get_token(op));
    assert_cancelled(op);
    close_both(fds);
}

static void all_at_once_but_not_later_ones(void **state)
{
    (void)state;
    int fds[10][2];
    ferry_op *ops[10];
    for (int i = 0; i < 10; i++)
        ops[i] = start_waiting(fds[i]);
    ferry_vm_cancel_all(vm);
    assert_ok(ferry_ping(vm, &err)); /* started later: not meant */
    for (int i = 0; i < 10; i++) {
        assert_cancelled(ops[i]);
        close_both(fds[i]);
    }
    assert_nothing_new();
}

/* ---- time ----------------------------------------------------------------------- */

/* In time: who does not run between two lines for so long tries again with more. */
static void timeout_taken_away(uint64_t ms)
{
    int fds[2];
    ferry_op *op = start_waiting(fds);
    uint64_t start = now_ms();
    ferry_op_timeout(op, (int)ms);
    ferry_op_timeout(op, 0);
    bool in_time = now_ms() - start < ms / 2;
    if (in_time)
        assert_int_equal(ferry_op_wait(op, (int)(2 * ms)), -FERRY_EAGAIN);
    ferry_op_cancel(op);
    assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
    ferry_op_free(op);
    close_both(fds);
    if (!in_time)
        timeout_taken_away(2 * ms);
}

static void timeout_is_a_failure_of_its_own(void **state)
{
    (void)state;
    int fds[2];
    ferry_op *op = start_waiting(fds);
    ferry_op_timeout(op, 60000);
    ferry_op_timeout(op, 50); /* the last one counts */
    assert_ends(op, FERRY_ETIMEDOUT);
    assert_has(err.msg, "timed out");
    ferry_op_free(op);
    close_both(fds);

    timeout_taken_away(200);
    assert_nothing_new();
}

/* ---- what runs programs --------------------------------------------------------- */

/* A launch too, at any of its phases: of a qemu that stands still, so that it is in them. */
static void launch_is_cancelled_at_any_phase(void **state)
{
    static const char *const phases[] = {"waiting", "starting qemu", "booting"};
    ferry_vm_opts o = {.size = sizeof o,
                       .qemu = still_qemu(),
                       .accel = FERRY_ACCEL_TCG,
                       .templates = FERRY_TEMPLATE_NEVER};
    ferry_vm *still = NULL;
    vm_shutdown();
    assert_ok(ferry_vm_new(ctx, &o, &still, &err));
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        ferry_op *op = NULL;
        assert_ok(ferry_launch_start(still, &op, &err));
        launch_comes_to(op, phases[i]);
        ferry_op_cancel(op);
        assert_cancelled(op);
        assert_int_not_equal(ferry_vm_get_state(still), FERRY_VM_UP);
        vm_leaves_nothing(state);
    }
    ferry_vm_free(still);
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_nothing_new();
}

static void mkfs_is_cancelled(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    assert_ok(ferry_umount(vm, "/", &err));
    for (int i = 0; i < 10; i++) {
        assert_ok(ferry_mkfs_start(vm, "ext2", "/dev/sda", NULL, &op, &err));
        busy_wait_us(20000L * i);
        ferry_op_cancel(op);
        assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
        assert_ok_or(ferry_op_error(op, &err), FERRY_ECANCELED);
        ferry_op_free(op);
    }
    assert_ok(ferry_mkfs(vm, "ext2", "/dev/sda", NULL, &err)); /* nobody is in its way */
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    vm_shutdown();
    host("e2fsck -fn '%s'", scratch("disk.img"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(before_the_first_instruction),
        vm_test(cancelled_means_not_done),
        vm_test(after_the_end_and_twice),
        vm_test(from_a_signal_handler),
        vm_test(signal_does_not_end_a_blocking_call),
        vm_test(by_token_after_the_op_is_gone),
        vm_test(all_at_once_but_not_later_ones),
        vm_test(timeout_is_a_failure_of_its_own),
        vm_test(launch_is_cancelled_at_any_phase),
        vm_test(mkfs_is_cancelled),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
