/* The image is sparse and the host's disk under it is full. qemu's default pauses the VM, and
 * nobody would ever wake it; ours reports: the upload fails, the VM answers, the old file is
 * there, and when the host has room again the same upload succeeds. */
#include "faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define OLD "what was there before\n"
#define LEN (64 * MIB)

static ferry_vm *thin;
static char *content;

static int setup(void **state)
{
    faults_setup(state);
    const char *dir = scratch("small");
    mkdir(dir, 0755);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=24m") < 0) {
        int e = errno;
        faults_teardown(state);
        skip_all("no tmpfs of our own: %s", strerror(e));
    }
    host("truncate -s 256M '%s/thin.img' && mkfs.ext4 -q -F -J size=4 '%s/thin.img'",
         dir, dir);
    content = filled(LEN, 1);
    assert_ok(ferry_vm_new(ctx, NULL, &thin, &err));
    assert_ok(ferry_add_drive(thin, scratch("small/thin.img"), NULL, &err));
    return 0;
}

static int teardown(void **state)
{
    ferry_vm_free(thin);
    free(content);
    umount2(scratch("small"), MNT_DETACH);
    return faults_teardown(state);
}

static void upload_fails_and_the_vm_goes_on(void **state)
{
    (void)state;
    ferry_upload_opts o = {.size = sizeof o, .durable = 1};
    struct once w;
    ferry_op *op = NULL;
    assert_ok(ferry_launch(thin, &err));
    assert_ok(ferry_mount(thin, "/dev/sda", "/", &err));
    assert_ok(ferry_upload_mem(thin, OLD, strlen(OLD), "/file", &o, &err));

    assert_ok(ferry_upload_mem_start(thin, content, LEN, "/file", &o, &op, &err));
    once_watch(&w, op);
    once_ends(&w, 60000, FERRY_ENOSPC, "/file");
    assert_ok(ferry_ping(thin, &err));

    void *got = NULL;
    size_t len = 0;
    assert_ok(ferry_download_mem(thin, "/file", NULL, &got, &len, &err));
    assert_int_equal(len, strlen(OLD));
    assert_memory_equal(got, OLD, len);
    free(got);
    assert_bystander_works();
    ferry_shutdown(thin, NULL); /* may have met the full disk too, and then says so */
    assert_nothing_left();
}

static void with_room_again_it_works(void **state)
{
    (void)state;
    host("mount -o remount,size=200m '%s'", scratch("small"));
    host("e2fsck -fp '%s/thin.img' || test $? = 1", scratch("small"));
    assert_ok(ferry_launch(thin, &err));
    assert_ok(ferry_mount(thin, "/dev/sda", "/", &err));
    assert_ok(ferry_upload_mem(thin, content, LEN, "/file", NULL, &err));
    assert_ok(ferry_shutdown(thin, &err));
    assert_nothing_left();
    host("e2fsck -fn '%s/thin.img'", scratch("small"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upload_fails_and_the_vm_goes_on),
        cmocka_unit_test(with_room_again_it_works),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
