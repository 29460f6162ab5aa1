/* An option struct of a newer caller is taken if what we do not know in it is not set, and
 * refused if it is; one whose size was forgotten is refused too. */
#include <guestferry/transfer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static ferry_ctx *ctx;
static ferry_vm *vm;
static ferry_error e;

static int setup(void **state)
{
    (void)state;
    return ferry_ctx_new(&ctx, NULL) || ferry_vm_new(ctx, NULL, &vm, NULL);
}

static int teardown(void **state)
{
    (void)state;
    ferry_vm_free(vm);
    ferry_ctx_free(ctx);
    return 0;
}

static void transfers(void **state)
{
    (void)state;
    struct {
        ferry_upload_opts known;
        uint64_t later;
    } up = {.known.size = sizeof up, .later = 1};
    struct {
        ferry_download_opts known;
        uint64_t later;
    } down = {.known.size = sizeof down, .later = 1};
    ferry_op *op = NULL;

    assert_int_equal(ferry_upload_mem(vm, "", 0, "/f", &up.known, &e), -FERRY_EINVAL);
    assert_non_null(strstr(e.msg, "does not know"));
    assert_int_equal(ferry_download(vm, "/f", "/nowhere/f", &down.known, &e),
                     -FERRY_EINVAL);
    up.later = down.later = 0;
    up.known.priority = 2;
    assert_int_equal(ferry_upload_mem(vm, "", 0, "/f", &up.known, &e), -FERRY_EINVAL);
    assert_non_null(strstr(e.msg, "priority is 2"));
    /* The VM is not launched: that is found out later. */
    up.known.priority = FERRY_PRIORITY_LOW;
    assert_int_equal(ferry_upload_mem(vm, "", 0, "/f", &up.known, &e), -FERRY_ESTATE);
    assert_int_equal(ferry_download_mem_start(vm, "/f", &down.known, &op, &e), 0);
    ferry_op_free(op);
    up.known.size = down.known.size = 0;
    assert_int_equal(ferry_upload(vm, "f", "/f", &up.known, &e), -FERRY_EINVAL);
    assert_non_null(strstr(e.msg, "sizeof(ferry_upload_opts)"));
    assert_int_equal(ferry_download_fd(vm, "/f", 1, &down.known, &e), -FERRY_EINVAL);
}

static void vms_and_drives(void **state)
{
    (void)state;
    ferry_vm_opts bare = {.cpus = 2}; /* no size */
    ferry_drive_opts drive = {.readonly = 1};
    ferry_vm *other = NULL;
    assert_int_equal(ferry_vm_new(ctx, &bare, &other, &e), -FERRY_EINVAL);
    assert_non_null(strstr(e.msg, "sizeof(ferry_vm_opts)"));
    assert_int_equal(ferry_add_drive(vm, "/nowhere.img", &drive, &e), -FERRY_EINVAL);
    drive.size = sizeof drive;
    assert_int_equal(ferry_add_drive(vm, "/nowhere.img", &drive, &e), -FERRY_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers),
        cmocka_unit_test(vms_and_drives),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
