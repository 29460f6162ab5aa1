/* libguestfs looks at its cancel flag between chunks: a transfer that waits for a FIFO without
 * a writer, or for a pipe that nobody empties, never sees it. Here the wait itself ends; so does
 * one that the stall timeout ends; and afterwards the VM does real work. */
#include "harness/vm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void assert_cancelled(ferry_op *op)
{
    assert_ends(op, FERRY_ECANCELED);
    ferry_op_free(op);
    assert_ok(ferry_ping(vm, &err));
}

static const char *silent_fifo(void)
{
    const char *fifo = scratch("fifo");
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    return fifo;
}

static void upload_from_a_fifo_without_writer(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    assert_ok(ferry_upload_start(vm, silent_fifo(), "/f", NULL, &op, &err));
    assert_int_equal(ferry_op_wait(op, 100), -FERRY_EAGAIN);
    ferry_op_cancel(op);
    assert_cancelled(op);
    assert_fails(ferry_stat(vm, "/f", &(ferry_stat_info){0}, &err), FERRY_ENOENT, "/f");
}

static void download_to_a_pipe_that_nobody_empties(void **state)
{
    (void)state;
    int fds[2];
    void *data = filled(4 * MIB, 1);
    assert_ok(ferry_upload_mem(vm, data, 4 * MIB, "/big", NULL, &err));
    free(data);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    ferry_op *op = NULL;
    assert_ok(ferry_download_fd_start(vm, "/big", fds[1], NULL, &op, &err));
    assert_int_equal(ferry_op_wait(op, 100), -FERRY_EAGAIN);
    ferry_op_cancel(op);
    assert_cancelled(op);
    close(fds[0]);
    close(fds[1]);
}

static void stall_timeout_ends_a_silent_source(void **state)
{
    (void)state;
    ferry_upload_opts o = {.size = sizeof o, .stall_ms = 300};
    assert_fails(ferry_upload(vm, silent_fifo(), "/f", &o, &err), FERRY_ETIMEDOUT,
                 "nothing has moved");
    assert_ok(ferry_ping(vm, &err));
}

/* A handler that knows only the token; the op may be anything by then. */
static ferry_op_token token;

static void on_alarm(int sig)
{
    (void)sig;
    ferry_ctx_cancel(ctx, token);
}

static void alarm_in_ms(int ms)
{
    struct itimerval t = {.it_value = {ms / 1000, ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &t, NULL);
}

static void token_cancels_from_a_signal_handler(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    signal(SIGALRM, on_alarm);
    assert_ok(ferry_upload_start(vm, silent_fifo(), "/f", NULL, &op, &err));
    token = ferry_op_get_token(op);
    alarm_in_ms(50);
    assert_cancelled(op);

    ferry_ctx_cancel(ctx, token); /* its op is gone: nothing happens */
    ferry_ctx_cancel(ctx, 0);
    ferry_ctx_cancel(ctx, ~(ferry_op_token)0);
    assert_ok(ferry_ping(vm, &err));
    signal(SIGALRM, SIG_DFL);
}

static void cancel_before_the_first_instruction(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        ferry_op *op = NULL;
        assert_ok(ferry_upload_start(vm, silent_fifo(), "/f", NULL, &op, &err));
        ferry_op_cancel(op);
        ferry_op_cancel(op); /* twice is once */
        assert_cancelled(op);
    }
}

static void cancel_all_spares_what_comes_later(void **state)
{
    (void)state;
    ferry_op *op[8];
    const char *fifo = silent_fifo();
    for (int i = 0; i < 8; i++)
        assert_ok(ferry_upload_start(vm, fifo, "/f", NULL, &op[i], &err));
    ferry_vm_cancel_all(vm);
    assert_ok(ferry_ping(vm, &err));
    for (int i = 0; i < 8; i++)
        assert_cancelled(op[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(upload_from_a_fifo_without_writer),
        vm_test(download_to_a_pipe_that_nobody_empties),
        vm_test(stall_timeout_ends_a_silent_source),
        vm_test(token_cancels_from_a_signal_handler),
        vm_test(cancel_before_the_first_instruction),
        vm_test(cancel_all_spares_what_comes_later),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
