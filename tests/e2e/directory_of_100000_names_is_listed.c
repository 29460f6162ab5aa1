/* A directory with 100,000 names comes whole: readdir in as many batches as it
 * takes, ls sorted. mkfs.btrfs makes it on the host, out of a tree. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT 100000

static void make_tree(const char *dir)
{
    char name[64];
    assert_int_equal(mkdir(dir, 0755), 0);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(fd, "many", 0755), 0);
    int many = openat(fd, "many", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "a name of some length %06d", i);
        int f = openat(many, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(f >= 0);
        close(f);
    }
    close(many);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    scratch_make();
    vm_new();
    const char *disk = vm_image("disk.img", GIB);
    make_tree(scratch("tree"));
    host("mkfs.btrfs -q --rootdir '%s' '%s'", scratch("tree"), disk);
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    return 0;
}

static void ls_is_whole_and_sorted(void **state)
{
    (void)state;
    char **names = NULL, name[64];
    size_t n = 0;
    assert_ok(ferry_ls(vm, "/many", &names, &err));
    for (; names[n]; n++) {
        snprintf(name, sizeof name, "a name of some length %06zu", n);
        assert_string_equal(names[n], name);
    }
    assert_int_equal(n, COUNT);
    ferry_strings_free(names);
}

static void readdir_is_whole(void **state)
{
    (void)state;
    ferry_dirent_list list = {0};
    static uint8_t seen[COUNT];
    int dots = 0;
    assert_ok(ferry_readdir(vm, "/many", &list, &err));
    assert_int_equal(list.len, COUNT + 2);
    for (size_t i = 0; i < list.len; i++) {
        unsigned number = 0;
        if (sscanf(list.val[i].name, "a name of some length %u", &number) != 1) {
            dots++;
            continue;
        }
        assert_in_range(number, 0, COUNT - 1);
        assert_int_equal(seen[number]++, 0);
        assert_int_equal(list.val[i].ftyp, 'r');
    }
    assert_int_equal(dots, 2);
    ferry_dirent_list_free(&list);
}

static bool has_begun(void *op)
{
    ferry_progress now;
    return ferry_op_poll(op, &now) != FERRY_OP_PENDING ||
           strcmp(now.phase, "readdir") == 0;
}

/* A listing that was cancelled when it had begun. One that was faster is tried again. */
static ferry_op *cancelled_listing(void)
{
    ferry_op *op = NULL;
    for (int tries = 0; tries < 20; tries++) {
        assert_ok(ferry_readdir_start(vm, "/many", &op, &err));
        assert_true(eventually(has_begun, op));
        ferry_op_cancel(op);
        assert_int_equal(ferry_op_wait(op, PATIENCE_MS), 0);
        if (ferry_op_poll(op, NULL) == FERRY_OP_CANCELLED)
            return op;
        ferry_op_free(op);
    }
    fail_msg("no cancel came in time");
    return NULL;
}

/* Cancelled in the middle, nothing of it is left in the way of the next. */
static void cancelled_listing_leaves_the_vm_usable(void **state)
{
    (void)state;
    ferry_op *op = cancelled_listing();
    ferry_dirent_list list = {0};
    assert_fails(ferry_readdir_result(op, &list, &err), FERRY_ECANCELED, "");
    ferry_op_free(op);
    ls_is_whole_and_sorted(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(ls_is_whole_and_sorted),
        vm_test(readdir_is_whole),
        vm_test(cancelled_listing_leaves_the_vm_usable),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
