/* FERRY_TEMPLATE_MAKE: a launch that had to boot makes the next one's template, in the background and
 * in the same context. The VM works meanwhile; a context that closes takes the work along. */
#include "harness/vm.h"

#include <stdlib.h>
#include <string.h>

static ferry_vm *again;

static int start(void **state)
{
    (void)state;
    scratch_make();
    host("mkdir -m 700 '%s'", scratch("cache"));
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    unsetenv("FERRY_TEMPLATE");
    vm_new();
    return 0;
}

static ferry_vm *new_vm(void)
{
    ferry_vm_opts o = {.size = sizeof o, .templates = FERRY_TEMPLATE_MAKE};
    ferry_vm *v = NULL;
    assert_ok(ferry_vm_new(ctx, &o, &v, &err));
    assert_ok(ferry_add_drive_scratch(v, 64 * MIB, &err));
    return v;
}

static bool is_made(void *arg)
{
    ferry_template_info *list = NULL;
    size_t n = 0;
    (void)arg;
    assert_ok(ferry_template_list(&list, &n, &err));
    free(list);
    return n == 1;
}

static bool was_restored(ferry_vm *v)
{
    ferry_launch_times times;
    assert_int_equal(ferry_vm_get_launch_times(v, &times), 0);
    assert_int_equal(times.restored + times.template_missing, 1);
    return times.restored;
}

static void the_next_launch_has_it(void **state)
{
    (void)state;
    ferry_vm *first = new_vm();
    assert_ok(ferry_launch(first, &err));
    assert_false(was_restored(first));
    assert_ok(ferry_mkfs(first, "ext4", "/dev/sda", NULL, &err));
    assert_true(eventually(is_made, NULL) || eventually(is_made, NULL));

    again = new_vm();
    assert_ok(ferry_launch(again, &err));
    assert_true(was_restored(again));
    assert_ok(ferry_shutdown(first, &err));
    assert_ok(ferry_shutdown(again, &err));
    ferry_vm_free(first);
    ferry_vm_free(again);
}

static void a_closing_context_does_not_wait(void **state)
{
    (void)state;
    assert_ok(ferry_templates_clear(NULL, &err));
    ferry_vm *v = new_vm();
    assert_ok(ferry_launch(v, &err));
    assert_false(was_restored(v));
    ferry_vm_free(vm);
    ferry_vm_free(v);
    vm = NULL;
    vm_free(); /* asserts that no process and no descriptor is left */
    assert_false(is_made(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_launch_has_it),
        cmocka_unit_test(a_closing_context_does_not_wait),
    };
    return cmocka_run_group_tests(tests, start, vm_teardown);
}
