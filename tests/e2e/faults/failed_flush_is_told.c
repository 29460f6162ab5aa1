/* A disk that reads and writes well and cannot flush: whatever would promise that data is safe
 * (sync, a durable upload, the shutdown) fails with EIO, and nothing that was not promised does. */
#include "faults.h"
#include "served.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN (256 * KIB)

/* Flushes fail while the file `broken` is there. */
static const char script[] =
    "#!/bin/sh\n"
    "case $1 in\n"
    "get_size) stat -c %s frail.img;;\n"
    "pread) dd if=frail.img bs=64K skip=$4 count=$3 iflag=skip_bytes,count_bytes "
    "status=none;;\n"
    "pwrite) dd of=frail.img bs=64K seek=$4 oflag=seek_bytes conv=notrunc "
    "status=none;;\n"
    "flush) if [ -e broken ]; then echo EIO >&2; exit 1; fi;;\n"
    "can_write|can_flush) exit 0;;\n"
    "*) exit 2;;\n"
    "esac\n";

static ferry_vm *frail;
static char *content;

static int setup(void **state)
{
    served_needs();
    faults_setup(state);
    served_make();
    int fd = open(scratch("serve"), O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, script, strlen(script)), strlen(script));
    close(fd);
    served_start("sh ./serve");
    content = filled(LEN, 1);
    ferry_vm_opts o = {.size = sizeof o, .call_timeout_ms = 120000};
    assert_ok(ferry_vm_new(ctx, &o, &frail, &err));
    assert_ok(ferry_add_drive(frail, scratch("m/frail.img"), NULL, &err));
    return 0;
}

static int teardown(void **state)
{
    ferry_vm_free(frail);
    served_stop();
    free(content);
    return faults_teardown(state);
}

static void up(void)
{
    host("rm -f '%s'", scratch("broken"));
    assert_ok(ferry_launch(frail, &err));
    assert_ok(ferry_mount(frail, "/dev/sda", "/", &err));
}

static void sync_and_shutdown_say_so(void **state)
{
    (void)state;
    up();
    host("touch '%s'", scratch("broken"));
    /* Not durable: it promises nothing, and is in the guest's memory. */
    assert_ok(ferry_upload_mem(frail, content, LEN, "/file", NULL, &err));
    assert_fails(ferry_sync(frail, &err), FERRY_EIO, "");
    assert_ok(ferry_ping(frail, &err));
    assert_bystander_works();
    assert_true(ferry_shutdown(frail, &err) < 0);
    assert_nothing_left();
}

static void durable_upload_says_so(void **state)
{
    (void)state;
    ferry_upload_opts durable = {.size = sizeof durable, .durable = 1};
    host("e2fsck -fp '%s' || test $? = 1", scratch("frail.img"));
    up();
    host("touch '%s'", scratch("broken"));
    int r = ferry_upload_mem(frail, content, LEN, "/durable", &durable, &err);
    if (r != -FERRY_EIO && r != -FERRY_EROFS)
        fail_msg("%d: \"%s\", not EIO or EROFS", r, err.msg);
    assert_has(err.msg, "/durable");
    assert_true(ferry_shutdown(frail, &err) < 0);
    assert_nothing_left();
}

/* Nobody asked for a flush before the shutdown, which is one. */
static void last_flush_counts_too(void **state)
{
    (void)state;
    host("e2fsck -fp '%s' || test $? = 1", scratch("frail.img"));
    up();
    assert_ok(ferry_upload_mem(frail, content, LEN, "/file", NULL, &err));
    host("touch '%s'", scratch("broken"));
    assert_fails(ferry_shutdown(frail, &err), FERRY_EIO, "");
    assert_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_and_shutdown_say_so),
        cmocka_unit_test(durable_upload_says_so),
        cmocka_unit_test(last_flush_counts_too),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
