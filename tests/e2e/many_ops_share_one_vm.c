/* Ops on one VM run side by side: each has its own progress, its own result and its own
 * callback, and one that stands still keeps none of the others from moving. */
#include "harness/vm.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EACH 10

/* ---- callbacks ------------------------------------------------------------------ */

struct calls {
    ferry_op *op;
    unsigned count;
};

static void count_call(ferry_op *op, void *user)
{
    struct calls *c = user;
    assert_ptr_equal(op, c->op);
    assert_int_not_equal(ferry_op_poll(op, NULL), FERRY_OP_PENDING);
    c->count++;
}

/* Dispatches until `want` callbacks have been called, as a foreign event loop does. */
static void dispatch(int want)
{
    uint64_t end = now_ms() + 100000;
    for (int called = 0; called < want;) {
        struct pollfd p = {.fd = ferry_ctx_fd(ctx), .events = POLLIN};
        assert_true(now_ms() < end);
        assert_true(poll(&p, 1, 1000) >= 0);
        called += ferry_ctx_dispatch(ctx);
        assert_in_range(called, 0, want);
    }
}

/* ---- the tests ------------------------------------------------------------------ */

/* Lengths that differ, so that no result can be another's. */
static size_t length(int i)
{
    return (size_t)(6 * MIB) + (size_t)i * 100001;
}

static void assert_progress(ferry_op *op, size_t len, bool ended)
{
    ferry_progress now;
    ferry_op_poll(op, &now);
    assert_non_null(now.phase);
    assert_in_range(now.bytes, ended ? len : 0, len);
    assert_true(now.total == len || (!ended && now.total == 0));
}

static void ten_up_and_ten_down(void **state)
{
    (void)state;
    ferry_op *up[EACH], *down[EACH];
    struct calls calls[2 * EACH] = {0};
    void *data[EACH];
    char name[32];
    for (int i = 0; i < EACH; i++) {
        data[i] = filled(length(i), (unsigned)i);
        snprintf(name, sizeof name, "/down%d", i);
        assert_ok(ferry_upload_mem(vm, data[i], length(i), name, NULL, &err));
    }
    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof name, "/up%d", i);
        assert_ok(
            ferry_upload_mem_start(vm, data[i], length(i), name, NULL, &up[i], &err));
        snprintf(name, sizeof name, "/down%d", i);
        assert_ok(
            ferry_download_start(vm, name, scratch("down%d", i), NULL, &down[i], &err));
        calls[2 * i].op = up[i];
        calls[2 * i + 1].op = down[i];
        assert_int_equal(ferry_op_on_done(up[i], count_call, &calls[2 * i]), 0);
        assert_int_equal(ferry_op_on_done(down[i], count_call, &calls[2 * i + 1]), 0);
    }
    for (int i = 0; i < EACH; i++) {
        assert_progress(up[i], length(i), false);
        assert_progress(down[i], length(i), false);
    }
    dispatch(2 * EACH);
    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof name, "/up%d", i);
        assert_ok(ferry_op_error(up[i], &err));
        assert_ok(ferry_op_error(down[i], &err));
        assert_progress(up[i], length(i), true);
        assert_progress(down[i], length(i), true);
        assert_int_equal(calls[2 * i].count + calls[2 * i + 1].count, 2);
        assert_guest_is(name, data[i], length(i));
        assert_file_is(scratch("down%d", i), data[i], length(i));
        ferry_op_free(up[i]);
        ferry_op_free(down[i]);
        free(data[i]);
    }
}

/* Uploads whose source is silent and downloads that nobody reads hold what is
 * theirs, and everything else goes on. */
static void others_go_on_beside_those_that_stand_still(void **state)
{
    (void)state;
    ferry_op *up[EACH], *down[EACH];
    int in[EACH][2], out[EACH][2];
    char name[32];
    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof name, "/silent%d", i);
        assert_int_equal(pipe2(in[i], O_CLOEXEC) + pipe2(out[i], O_CLOEXEC), 0);
        assert_ok(ferry_upload_fd_start(vm, in[i][0], name, NULL, &up[i], &err));
        assert_ok(ferry_download_fd_start(vm, "/down0", out[i][1], NULL, &down[i], &err));
    }
    void *data = filled(length(0), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(guest_stat("/down3").size, length(3));
    assert_guest_is("/down0", data, length(0));
    assert_ok(ferry_upload_mem(vm, data, length(0), "/beside", NULL, &err));
    free(data);

    for (int i = 0; i < EACH; i++) {
        assert_int_equal(ferry_op_poll(up[i], NULL), FERRY_OP_PENDING);
        assert_int_equal(ferry_op_poll(down[i], NULL), FERRY_OP_PENDING);
        close(in[i][1]);  /* the source ends: an empty file */
        close(out[i][0]); /* the reader leaves */
        assert_ends(up[i], 0);
        assert_ends(down[i], FERRY_EPIPE);
        ferry_op_free(up[i]);
        ferry_op_free(down[i]);
        close(in[i][0]);
        close(out[i][1]);
        snprintf(name, sizeof name, "/silent%d", i);
        assert_int_equal(guest_stat(name).size, 0);
    }
}

static void thousand_calls_at_once(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static ferry_op *ops[COUNT];
    char name[32];
    assert_ok(ferry_mkdir(vm, "/t", NULL, &err));
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "/t/%03d", i);
        assert_ok(ferry_mkdir_start(vm, name, NULL, &ops[i], &err));
    }
    for (int i = 0; i < COUNT; i++) {
        assert_ends(ops[i], 0);
        ferry_op_free(ops[i]);
    }
    char **names = NULL;
    assert_ok(ferry_ls(vm, "/t", &names, &err));
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "%03d", i);
        assert_string_equal(names[i], name);
    }
    assert_null(names[COUNT]);
    ferry_strings_free(names);
    assert_ok(ferry_rm_rf(vm, "/t", &err));
}

/* ---- callbacks, one by one ------------------------------------------------------ */

static void free_and_start(ferry_op *op, void *user)
{
    ferry_op_free(op);
    assert_ok(ferry_ping_start(vm, user, &err));
}

static void callback_may_free_its_op_and_start_another(void **state)
{
    (void)state;
    ferry_op *op = NULL, *next = NULL;
    assert_ok(ferry_ping_start(vm, &op, &err));
    assert_int_equal(ferry_op_on_done(op, free_and_start, &next), 0);
    dispatch(1);
    assert_non_null(next);
    assert_ends(next, 0);
    ferry_op_free(next);
}

static void callback_is_called_once_even_when_set_late(void **state)
{
    (void)state;
    struct calls c = {0};
    assert_ok(ferry_ping_start(vm, &c.op, &err));
    assert_int_equal(ferry_op_wait(c.op, -1), 0);
    assert_int_equal(ferry_op_on_done(c.op, count_call, &c), 0);
    assert_int_equal(c.count, 0); /* never from inside the call */
    dispatch(1);
    assert_int_equal(c.count, 1);
    assert_int_equal(ferry_op_on_done(c.op, count_call, &c), -FERRY_EEXIST);
    ferry_op_cancel(c.op);
    assert_ok(ferry_ping(vm, &err));
    assert_int_equal(ferry_ctx_dispatch(ctx), 0);
    assert_int_equal(c.count, 1);
    ferry_op_free(c.op);
}

static void freed_op_calls_nobody(void **state)
{
    (void)state;
    struct calls c = {0};
    assert_ok(ferry_ping_start(vm, &c.op, &err));
    assert_int_equal(ferry_op_on_done(c.op, count_call, &c), 0);
    assert_int_equal(ferry_op_wait(c.op, -1), 0); /* it waits for a dispatch */
    ferry_op_free(c.op);
    assert_ok(ferry_ping(vm, &err));
    ferry_ctx_dispatch(ctx);
    assert_int_equal(c.count, 0);
}

static void results_are_of_the_right_call(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    ferry_stat_info st = {0};
    char *text = NULL;
    void *data = NULL;
    size_t len = 0;
    assert_ok(ferry_stat_start(vm, "/down0", &op, &err));
    while (ferry_op_poll(op, NULL) == FERRY_OP_PENDING)
        ferry_op_wait(op, 10);
    assert_fails(ferry_readlink_result(op, &text, &err), FERRY_EINVAL, "stat");
    assert_fails(ferry_download_mem_result(op, &data, &len, &err), FERRY_EINVAL, "stat");
    assert_ok(ferry_stat_result(op, &st, &err));
    assert_int_equal(st.size, length(0));
    st.size = 0;
    assert_ok(ferry_stat_result(op, &st, &err)); /* as often as one likes */
    assert_int_equal(st.size, length(0));
    ferry_op_free(op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(ten_up_and_ten_down),
        vm_test(others_go_on_beside_those_that_stand_still),
        vm_test(thousand_calls_at_once),
        vm_test(callback_may_free_its_op_and_start_another),
        vm_test(callback_is_called_once_even_when_set_late),
        vm_test(freed_op_calls_nobody),
        vm_test(results_are_of_the_right_call),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
