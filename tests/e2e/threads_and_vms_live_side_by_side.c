/* One VM serves several threads that block, each in its own call; one context serves
 * several VMs; and an image that is in use by one VM is refused to another, whoever
 * it belongs to. */
#include "harness/vm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 6
#define ROUNDS 10

/* ---- threads -------------------------------------------------------------------- */

/* cmocka's asserts jump, which a thread must not: it notes what went wrong. */
struct worker {
    pthread_t thread;
    int number;
    char wrong[400];
};

static int round_trip(struct worker *w, int i)
{
    ferry_error e = {0};
    ferry_stat_info st = {0};
    char path[64];
    size_t len = 1000 * (size_t)(w->number + 1) + (size_t)i * 100003, got_len = 0;
    void *got = NULL, *data = malloc(len);
    fill(data, len, (unsigned)(w->number * 100 + i));
    snprintf(path, sizeof path, "/%d", w->number);
    int r = ferry_upload_mem(vm, data, len, path, NULL, &e);
    if (r == 0)
        r = ferry_stat(vm, path, &st, &e);
    if (r == 0)
        r = ferry_download_mem(vm, path, NULL, &got, &got_len, &e);
    if (r < 0)
        snprintf(w->wrong, sizeof w->wrong, "%s: %s", path, e.msg);
    else if ((size_t)st.size != len || got_len != len || memcmp(got, data, len) != 0)
        snprintf(w->wrong, sizeof w->wrong, "%s: other content came back", path);
    free(got);
    free(data);
    return w->wrong[0] ? -1 : 0;
}

static int failing_call(struct worker *w)
{
    ferry_error e = {0};
    char path[64];
    snprintf(path, sizeof path, "/none%d", w->number);
    if (ferry_rm(vm, path, &e) != -FERRY_ENOENT || !strstr(e.msg, path))
        snprintf(w->wrong, sizeof w->wrong, "%s: another's error: %s", path, e.msg);
    return w->wrong[0] ? -1 : 0;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS; i++)
        if (round_trip(w, i) < 0 || failing_call(w) < 0)
            break;
    return NULL;
}

static void threads_block_side_by_side(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < THREADS; i++)
        assert_string_equal(workers[i].wrong, "");
    assert_guest_ls("/", "0 1 2 3 4 5");
}

/* One waits, another cancels what it waits for. */
static void *cancel_later(void *arg)
{
    ferry_op_wait(arg, 50);
    ferry_op_cancel(arg);
    return NULL;
}

static void one_thread_cancels_what_another_waits_for(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    pthread_t thread;
    ferry_vm_set_rate_max(vm, SLOWLY); /* or the disk would be full first */
    assert_ok(ferry_upload_start(vm, "/dev/zero", "/zero", NULL, &op, &err));
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, op), 0);
    assert_ends(op, FERRY_ECANCELED);
    pthread_join(thread, NULL);
    ferry_op_free(op);
    ferry_vm_set_rate_max(vm, 0);
}

/* ---- VMs ------------------------------------------------------------------------ */

static void image_in_use_is_refused(void **state)
{
    (void)state;
    ferry_vm *other = NULL;
    assert_ok(ferry_vm_new(ctx, NULL, &other, &err));
    assert_ok(ferry_add_drive(other, scratch("disk.img"), NULL, &err));
    assert_fails(ferry_launch(other, &err), FERRY_EBUSY, "disk.img");
    assert_int_not_equal(ferry_vm_get_state(other), FERRY_VM_UP);
    ferry_vm_free(other);
    assert_ok(ferry_ping(vm, &err)); /* the one that has it is not disturbed */
}

static void two_vms_in_one_context(void **state)
{
    (void)state;
    ferry_vm *first = vm, *second = NULL;
    ferry_op *op = NULL;
    assert_ok(ferry_vm_new(ctx, NULL, &second, &err));
    assert_ok(ferry_add_drive_scratch(second, 64 * MIB, &err));
    assert_ok(ferry_launch_start(second, &op, &err));
    assert_ok(ferry_ping(first, &err)); /* meanwhile */
    assert_ends(op, 0);
    ferry_op_free(op);
    assert_int_equal(count_children(NULL), 2);

    assert_ok(ferry_mkfs(second, "ext4", "/dev/sda", NULL, &err));
    assert_ok(ferry_mount(second, "/dev/sda", "/", &err));
    assert_ok(ferry_upload_mem(second, "two", 3, "/0", NULL, &err));
    vm = second;
    assert_guest_is("/0", "two", 3);
    vm = first;
    assert_true(guest_stat("/0").size > 3); /* the first one's own */

    ferry_vm_cancel_all(
        second); /* is not the first one's business, and neither is this: */
    ferry_vm_kill(second);
    assert_ok(ferry_ping(first, &err));
    ferry_vm_free(second);
}

static bool one_child(void *arg)
{
    (void)arg;
    return count_children(NULL) == 1;
}

static int other_is_gone(void **state)
{
    assert_true(eventually(one_child, NULL));
    return vm_leaves_nothing(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(threads_block_side_by_side),
        vm_test(one_thread_cancels_what_another_waits_for),
        cmocka_unit_test_teardown(image_in_use_is_refused, other_is_gone),
        cmocka_unit_test_teardown(two_vms_in_one_context, other_is_gone),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
