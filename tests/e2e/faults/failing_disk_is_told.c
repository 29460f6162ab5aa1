/* The disk under the image fails: reads, writes, or all of it for good. The op that met it says EIO
 * (or EROFS, once the guest's kernel has given the file system up), the VM goes on and so does
 * every other one; when the disk is well again, so is the image.
 *
 *      qemu -- file -- nbdfuse -- nbdkit (error filter: fails while a file is there) -- disk.img */
#include "faults.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN (8 * MIB)
/* Longer than the test may take: should it crash, they go by themselves. */
#define SERVED_S 280

static ferry_vm *frail;
static char *content;

static bool exists(void *path)
{
    return access(path, F_OK) == 0;
}

static bool is_gone(void *path)
{
    return access(path, F_OK) != 0;
}

static void serve(void)
{
    host("mkdir -p '%s' && rm -f '%s' '%s'", scratch("m"), scratch("read"),
         scratch("write"));
    host("cd '%s' && setsid timeout %d nbdkit -f -P nbdkit.pid -U - --filter=error "
         "file frail.img "
         "error=EIO error-pread-rate=100%% error-pread-file=$PWD/read "
         "error-pwrite-rate=100%% error-pwrite-file=$PWD/write "
         "--run 'nbdfuse -P nbdfuse.pid m/frail.img \"$uri\"' >nbdkit.log 2>&1 &",
         scratch("."), SERVED_S);
    if (!eventually(exists, (void *)scratch("nbdfuse.pid")))
        fail_msg("%s", host("cat '%s'", scratch("nbdkit.log")));
}

/* nbdkit ends with its nbdfuse, which ends with its mount. */
static void unserve(void)
{
    const char *said;
    host_status(&said, "umount '%s' && rm -f '%s'", scratch("m"),
                scratch("nbdfuse.pid"));
    eventually(is_gone, (void *)scratch("m/frail.img"));
}

static void up(void)
{
    assert_ok(ferry_launch(frail, &err));
    assert_ok(ferry_mount(frail, "/dev/sda", "/", &err));
}

static int setup(void **state)
{
    const char *said;
    if (access("/dev/fuse", R_OK | W_OK) < 0 ||
        host_status(&said, "command -v nbdkit && command -v nbdfuse") != 0)
        skip_all("needs /dev/fuse, nbdkit and nbdfuse (libnbd-bin)");
    faults_setup(state);
    host("truncate -s 128M '%s' && mkfs.ext4 -q -F -E lazy_itable_init=0 '%s'",
         scratch("frail.img"), scratch("frail.img"));
    content = filled(LEN, 1);
    serve();
    assert_ok(ferry_vm_new(ctx, NULL, &frail, &err));
    assert_ok(ferry_add_drive(frail, scratch("m/frail.img"), NULL, &err));
    up();
    assert_ok(ferry_upload_mem(frail, content, LEN, "/file", NULL, &err));
    assert_ok(ferry_shutdown(frail, &err));
    return 0;
}

static int teardown(void **state)
{
    ferry_vm_free(frail);
    unserve();
    free(content);
    return faults_teardown(state);
}

static void assert_says_so(int r)
{
    if ((r != -FERRY_EIO && r != -FERRY_EROFS) || !strstr(err.msg, "/file"))
        fail_msg("%d: \"%s\", not EIO or EROFS of /file", r, err.msg);
    assert_ok(ferry_ping(frail, &err));
    assert_bystander_works();
}

static void assert_file_is_there(void)
{
    void *got = NULL;
    size_t len = 0;
    assert_ok(ferry_download_mem(frail, "/file", NULL, &got, &len, &err));
    assert_int_equal(len, LEN);
    assert_memory_equal(got, content, LEN);
    free(got);
}

static void reads_fail(void **state)
{
    (void)state;
    void *got = NULL;
    size_t len = 0;
    up();
    host("touch '%s'", scratch("read"));
    assert_says_so(ferry_download_mem(frail, "/file", NULL, &got, &len, &err));
    host("rm '%s'", scratch("read"));
    assert_file_is_there();
    assert_ok(ferry_shutdown(frail, &err));
    assert_nothing_left();
}

static void writes_fail(void **state)
{
    (void)state;
    ferry_upload_opts o = {.size = sizeof o, .durable = 1};
    up();
    host("touch '%s'", scratch("write"));
    assert_says_so(ferry_upload_mem(frail, content, LEN, "/file", &o, &err));
    /* What cannot be flushed is not reported as flushed. */
    assert_true(ferry_shutdown(frail, &err) < 0);
    assert_nothing_left();
    host("rm '%s'", scratch("write"));

    host("e2fsck -fp '%s' || test $? = 1", scratch("m/frail.img"));
    up();
    assert_file_is_there();
    assert_ok(ferry_upload_mem(frail, content, LEN, "/file", &o, &err));
    assert_ok(ferry_shutdown(frail, &err));
    host("e2fsck -fn '%s'", scratch("m/frail.img"));
}

static void all_of_it_dies(void **state)
{
    (void)state;
    void *got = NULL;
    size_t len = 0;
    up();
    pid_t server = (pid_t)atoi(host("cat '%s'", scratch("nbdkit.pid")));
    assert_true(server > 1);
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_says_so(ferry_download_mem(frail, "/file", NULL, &got, &len, &err));
    ferry_shutdown(frail, NULL);
    assert_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_fail),
        cmocka_unit_test(writes_fail),
        cmocka_unit_test(all_of_it_dies),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
