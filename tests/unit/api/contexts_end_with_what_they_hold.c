/* A context that is closed takes its VMs along, launched or not, freed or not; and a kill counts
 * from the moment a launch was asked for. */
#include "harness/real.h"

#include <guestferry/ctx.h>
#include <guestferry/op.h>
#include <guestferry/vm.h>

#include <string.h>
#include <uv.h>

static const ferry_vm_opts nowhere = {.size = sizeof nowhere, .appliance = "/nowhere"};

/* The leak checker of ASan looks at this one. */
static void vms_need_no_free(void **state)
{
    (void)state;
    ferry_ctx *ctx = NULL;
    ferry_vm *kept = NULL, *freed = NULL;
    assert_int_equal(ferry_ctx_new(&ctx, NULL), 0);
    assert_int_equal(ferry_vm_new(ctx, NULL, &kept, NULL), 0);
    assert_int_equal(ferry_vm_new(ctx, NULL, &freed, NULL), 0);
    ferry_vm_free(freed);
    ferry_ctx_free(ctx);
}

static void free_in_callback(ferry_op *op, void *user)
{
    ferry_vm_free(user);
    ferry_op_free(op);
}

static void note(void *user)
{
    ++*(int *)user;
}

static void a_callback_may_free_its_vm(void **state)
{
    (void)state;
    uv_loop_t uv;
    ferry_ctx *ctx = NULL;
    ferry_vm *vm = NULL;
    ferry_op *op = NULL;
    int closed = 0;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_ctx_new_on_loop(&uv, &ctx, NULL), 0);
    assert_int_equal(ferry_vm_new(ctx, &nowhere, &vm, NULL), 0);
    assert_int_equal(ferry_launch_start(vm, &op, NULL), 0);
    assert_int_equal(ferry_op_on_done(op, free_in_callback, vm), 0);
    ferry_ctx_close(ctx, note, &closed);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(closed, 1);
    assert_int_equal(uv_loop_close(&uv), 0);
}

static void kill_ends_a_launch_that_was_asked_for(void **state)
{
    (void)state;
    uv_loop_t uv;
    ferry_ctx *ctx = NULL;
    ferry_vm *vm = NULL;
    ferry_op *op = NULL;
    ferry_error e = {0};
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_ctx_new_on_loop(&uv, &ctx, NULL), 0);
    assert_int_equal(ferry_vm_new(ctx, &nowhere, &vm, NULL), 0);
    for (int killed = 1; killed >= 0;
         killed--) { /* once: the next launch starts afresh */
        assert_int_equal(ferry_launch_start(vm, &op, NULL), 0);
        if (killed)
            ferry_vm_kill(vm);
        uv_run(&uv, UV_RUN_DEFAULT);
        assert_int_equal(ferry_op_poll(op, NULL), FERRY_OP_FAILED);
        assert_int_equal(ferry_op_error(op, &e) == -FERRY_EDEAD, killed);
        assert_int_equal(strstr(e.msg, "killed while") != NULL, killed);
        ferry_op_free(op);
    }
    ferry_ctx_free(ctx);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&uv), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_need_no_free),
        cmocka_unit_test(a_callback_may_free_its_vm),
        cmocka_unit_test(kill_ends_a_launch_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
