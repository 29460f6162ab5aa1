/* The program that uses the library gets SIGKILL at any moment, from its first instruction to the
 * middle of an upload: it cannot clean up, so the guard does. Soon (a second, on a machine that has
 * nothing else to do) there is no process of it and no lock on the image; the next run of the same
 * program works.
 *
 * This process is the reaper of what the killed one leaves behind (PR_SET_CHILD_SUBREAPER), so
 * that waitpid() tells when the last of it has ended. */
#include "harness/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 20     /* FERRY_SLOW: 100 */
#define GONE_MS 20000 /* a loaded machine; without the guard it would be for ever */
#define UP_MS 120000  /* a loaded machine */

/* ---- the program --------------------------------------------------------------------------- */

/* Launches, tells so, and uploads the endless /dev/zero, again and again. */
static _Noreturn void program(const char *disk, int tell)
{
    ferry_ctx *c = NULL;
    ferry_vm *v = NULL;
    int r = ferry_ctx_new(&c, &err);
    if (r == 0)
        r = ferry_vm_new(c, NULL, &v, &err);
    if (r == 0)
        r = ferry_add_drive(v, disk, NULL, &err);
    if (r == 0)
        r = ferry_launch(v, &err);
    if (r == 0)
        r = ferry_mount(v, "/dev/sda", "/", &err);
    while (r == 0 && write(tell, "", 1) == 1)
        if (ferry_upload(v, "/dev/zero", "/zero", NULL, &err) != -FERRY_ENOSPC)
            r = -1;
    print_error("the program: %s\n", err.msg);
    _exit(1);
}

static pid_t start(int *ret_told)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        program(scratch("disk.img"), fds[1]);
    close(fds[1]);
    *ret_told = fds[0];
    return pid;
}

static void wait_until_told(int fd, uint64_t ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_true(poll(&p, 1, (int)ms) > 0);
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1); /* 0: it has failed */
}

/* ---- what is left of it ----------------------------------------------------------------------- */

static bool has_lock(const char *path)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_GETLK, &l), 0);
    close(fd);
    return l.l_type != F_UNLCK;
}

/* Kills it, and waits for the end of all it has started. */
static uint64_t end(pid_t pid)
{
    uint64_t started = now_ms();
    assert_int_equal(kill(pid, SIGKILL), 0);
    for (;;) {
        pid_t ended = waitpid(-1, NULL, WNOHANG);
        if (ended < 0 && errno == ECHILD)
            return now_ms() - started;
        if (now_ms() - started > PATIENCE_MS) {
            int n = count_children(&pid);
            fail_msg("%d processes are left; one is %s", n, process_name(pid));
        }
        if (ended == 0)
            poll(NULL, 0, 2);
    }
}

static void at_random_points(void **state)
{
    (void)state;
    const char *disk = scratch("disk.img");
    int told, rounds = getenv("FERRY_SLOW") ? 100 : ROUNDS;
    unsigned seed = (unsigned)getpid();
    uint64_t started = now_ms(), slowest = 0;

    pid_t pid = start(&told);
    wait_until_told(told, UP_MS);
    assert_true(has_lock(disk)); /* or the look for one below would prove nothing */
    uint64_t up = now_ms() - started;
    assert_in_range(end(pid), 0, GONE_MS);
    close(told);

    srand(seed);
    print_message("up after %llu ms; seed %u\n", (unsigned long long)up, seed);
    for (int i = 0; i < rounds; i++) {
        uint64_t point = (uint64_t)rand() % (up + up / 4);
        pid = start(&told);
        poll(NULL, 0, (int)point); /* the moment is the test's input */
        uint64_t took = end(pid);
        close(told);
        slowest = took > slowest ? took : slowest;
        if (took > GONE_MS || has_lock(disk))
            fail_msg("killed after %llu ms: all gone after %llu ms, lock %d",
                     (unsigned long long)point, (unsigned long long)took,
                     has_lock(disk));
    }
    print_message("the slowest end took %llu ms\n", (unsigned long long)slowest);
}

static void and_then_it_works(void **state)
{
    (void)state;
    vm_new();
    assert_ok(ferry_add_drive(vm, scratch("disk.img"), NULL, &err));
    vm_launch();
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err)); /* replays what the killed left */
    assert_ok(ferry_upload_mem(vm, "x", 1, "/x", NULL, &err));
    vm_shutdown();
    vm_free();
    host("e2fsck -fn '%s'", scratch("disk.img"));
}

static int setup(void **state)
{
    scratch_setup(state);
    host("truncate -s 64M '%s' && mkfs.ext4 -q -F '%s'", scratch("disk.img"),
         scratch("disk.img"));
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_random_points),
        cmocka_unit_test(and_then_it_works),
    };
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
