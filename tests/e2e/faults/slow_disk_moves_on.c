/* A disk that has become very slow (1 MB/s): a transfer goes on, and its progress shows it; a cancel
 * ends it when the writes under way have ended, within a grace period that is long enough for that, and leaves the
 * old file and a VM that works. nbdkit's rate filter looks into a file.
 *
 * The usual 2 s are not: two slots of the lane may be on their way to the disk, 4 MiB. It depended on how soon
 * the guest had the lane, before which there are 1 MiB in a write, whether the VM was given up. */
#include "faults.h"
#include "served.h"

#include <stdlib.h>
#include <string.h>

#define LEN (48 * MIB)
#define FAST "100G"
#define SLOW "8M" /* bits a second */
#define STEPS 3

static ferry_vm *frail;
static char *content;

static void set_rate(const char *bits)
{
    host("echo %s >'%s'", bits, scratch("rate"));
}

static int setup(void **state)
{
    served_needs();
    faults_setup(state);
    served_make();
    set_rate(FAST);
    served_start("--filter=rate file frail.img rate-file=$PWD/rate");
    content = filled(LEN, 1);
    ferry_vm_opts o = {.size = sizeof o,
                       .call_timeout_ms = 120000,
                       .grace_ms = PATIENCE_MS};
    assert_ok(ferry_vm_new(ctx, &o, &frail, &err));
    assert_ok(ferry_add_drive(frail, scratch("m/frail.img"), NULL, &err));
    assert_ok(ferry_launch(frail, &err));
    assert_ok(ferry_mount(frail, "/dev/sda", "/", &err));
    return 0;
}

static int teardown(void **state)
{
    ferry_vm_free(frail);
    served_stop();
    free(content);
    return faults_teardown(state);
}

static uint64_t moved(ferry_op *op)
{
    ferry_progress p = {0};
    ferry_op_poll(op, &p);
    return p.bytes;
}

struct watched {
    ferry_op *op;
    uint64_t seen;
};

static bool has_moved_on(void *arg)
{
    struct watched *w = arg;
    return moved(w->op) > w->seen;
}

static void upload_goes_on_and_is_cancelled(void **state)
{
    (void)state;
    ferry_upload_opts o = {.size = sizeof o, .durable = 1, .stall_ms = 60000};
    assert_ok(ferry_upload_mem(frail, "old", 3, "/file", NULL, &err));
    assert_ok(ferry_sync(frail, &err));
    set_rate(SLOW);

    struct watched w = {0};
    assert_ok(ferry_upload_mem_start(frail, content, LEN, "/file", &o, &w.op, &err));
    for (int i = 0; i < STEPS; i++) {
        assert_true(eventually(has_moved_on, &w));
        w.seen = moved(w.op);
    }
    assert_true(w.seen < LEN);
    ferry_op_cancel(w.op);
    assert_ends(w.op, FERRY_ECANCELED);
    ferry_op_free(w.op);

    assert_ok(ferry_ping(frail, &err));
    assert_bystander_works();
    set_rate(FAST);
    void *got = NULL;
    size_t len = 0;
    assert_ok(ferry_download_mem(frail, "/file", NULL, &got, &len, &err));
    assert_int_equal(len, 3);
    assert_memory_equal(got, "old", 3);
    free(got);
    assert_ok(ferry_shutdown(frail, &err));
    host("e2fsck -fn '%s'", scratch("frail.img"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upload_goes_on_and_is_cancelled),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
