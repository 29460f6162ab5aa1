/* The appliance runs out of memory, and its kernel kills something. If that is a program of a call, the
 * call fails with FERRY_ENOMEM and the rest goes on; if it is the daemon, the appliance is dead, and
 * says of what, with the kernel's words on the console.
 *
 * Two things that take memory there by themselves: the key of an encrypted device, which takes what
 * its maker has said (Argon2); and uploads whose writers have stopped in the middle of a MiB, for
 * each of which the daemon has most of that MiB in hand. */
#include "faults.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MIB 256 /* what the kernel leaves is some 200 */
#define KEY "correct horse"
#define KEY_MIB                                                                        \
    150         /* less than there is, or malloc() would say so; more than is free */
#define SOME 70 /* MiB, for the key not to fit */
#define TOO_MANY 256 /* MiB: streams of a connection */
#define HELD (1000 * KIB)

static char *content;

static int setup(void **state)
{
    vm_opts.memory_mib = MEMORY_MIB;
    faults_setup(state);
    signal(SIGPIPE, SIG_IGN);
    host("printf '%%s' '%s' | cryptsetup luksFormat --batch-mode --key-file - "
         "--type luks2 "
         "--pbkdf argon2id --pbkdf-memory %d --pbkdf-parallel 1 "
         "--pbkdf-force-iterations 4 "
         "'%s'",
         KEY, KEY_MIB * 1024, vm_image("secret.img", 64 * MIB));
    content = filled(HELD, 1);
    return 0;
}

static int teardown(void **state)
{
    free(content);
    return faults_teardown(state);
}

/* ---- uploads that are held in the middle ----------------------------------------------- */

struct held {
    int fds[2];
    struct once once;
};

static void hold_start(struct held *h, int i)
{
    char path[32];
    ferry_op *op = NULL;
    snprintf(path, sizeof path, "/held%d", i);
    assert_int_equal(pipe2(h->fds, O_CLOEXEC), 0);
    assert_ok(ferry_upload_fd_start(vm, h->fds[0], path, NULL, &op, &err));
    once_watch(&h->once, op);
}

static bool has_its_own_end(void *arg)
{
    ferry_progress p;
    return ferry_op_poll(((struct held *)arg)->once.op, &p) != FERRY_OP_PENDING ||
           strcmp(p.phase, "copying") == 0;
}

static void hold_start_all(struct held *h, int n)
{
    for (int i = 0; i < n; i++)
        hold_start(&h[i], i);
    for (int i = 0; i < n; i++) {
        assert_true(eventually(has_its_own_end, &h[i]));
        close(h[i].fds[0]);
    }
}

/* False: the upload has ended, and its pipe with it. */
static bool hold_write(struct held *h)
{
    ssize_t n = 0;
    for (size_t done = 0; n >= 0 && done < HELD; done += (size_t)n)
        n = write(h->fds[1], content + done, HELD - done);
    return n >= 0;
}

/* The daemon has told that it has all of it. */
static bool daemon_has_it(void *arg)
{
    ferry_progress p;
    return ferry_op_poll(((struct held *)arg)->once.op, &p) != FERRY_OP_PENDING ||
           p.bytes == HELD;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void a_program_is_killed_and_the_rest_goes_on(void **state)
{
    (void)state;
    static struct held held[SOME];
    faults_up();
    hold_start_all(held, SOME);
    for (int i = 0; i < SOME; i++)
        assert_true(hold_write(&held[i]));
    for (int i = 0; i < SOME; i++)
        assert_true(eventually(daemon_has_it, &held[i]));

    assert_fails(ferry_luks_open(vm, "/dev/sdb", KEY, "secret", NULL, &err),
                 FERRY_ENOMEM, "cryptsetup: killed: the appliance has no memory left");

    for (int i = 0; i < SOME; i++) {
        close(held[i].fds[1]);
        once_ends(&held[i].once, 60000, 0, "");
    }
    assert_guest_is("/held0", content, HELD);
    faults_down();
}

static void a_killed_daemon_is_a_dead_appliance(void **state)
{
    (void)state;
    static struct held held[TOO_MANY];
    char *console = NULL;
    faults_up();
    hold_start_all(held, TOO_MANY);
    for (int i = 0; i < TOO_MANY && hold_write(&held[i]); i++)
        ;
    for (int i = 0; i < TOO_MANY; i++) {
        once_ends(&held[i].once, 60000, FERRY_EDEAD, "appliance ran out of memory");
        close(held[i].fds[1]);
    }
    assert_fails(ferry_ping(vm, &err), FERRY_EDEAD, "appliance ran out of memory");
    assert_int_equal(ferry_vm_get_console(vm, &console), 0);
    assert_has(console, "Out of memory: Killed process");
    assert_has(console, "ferryd: killed by signal 9");
    free(console);
    assert_nothing_left();
    host("e2fsck -fp '%s' || [ $? -eq 1 ]", scratch("disk.img"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_killed_and_the_rest_goes_on),
        cmocka_unit_test(a_killed_daemon_is_a_dead_appliance),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
