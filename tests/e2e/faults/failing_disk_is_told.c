/* The disk under the image fails: reads, writes, or all of it for good. The op that met it says EIO
 * (or EROFS, once the guest's kernel has given the file system up), the VM goes on and so does
 * every other one; when the disk is well again, so is the image. nbdkit's error filter fails
 * while a file is there. */
#include "faults.h"
#include "served.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LEN (8 * MIB)
static ferry_vm *frail;
static char *content;

static void serve(void)
{
    host("rm -f '%s' '%s'", scratch("read"), scratch("write"));
    served_start("--filter=error file frail.img error=EIO "
                 "error-pread-rate=100% error-pread-file=$PWD/read "
                 "error-pwrite-rate=100% error-pwrite-file=$PWD/write");
}

static void up(void)
{
    assert_ok(ferry_launch(frail, &err));
    assert_ok(ferry_mount(frail, "/dev/sda", "/", &err));
}

static int setup(void **state)
{
    served_needs();
    faults_setup(state);
    served_make();
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
    served_stop();
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
