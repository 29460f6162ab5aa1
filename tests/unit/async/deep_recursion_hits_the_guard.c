/* A coroutine that recurses for ever dies at its guard page, at the address just below its
 * own stack, and has not written into its neighbour's. */
#include "async/co.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uintptr_t *first_frame; /* shared with the child that dies */

static int recurse(volatile int n)
{
    volatile char frame[1000];
    frame[0] = (char)n;
    return n == -1 ? 0 : recurse(n + 1) + frame[0];
}

static void overflow(void *arg)
{
    (void)arg;
    *first_frame = (uintptr_t)__builtin_frame_address(0);
    recurse(0);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    uintptr_t fault = (uintptr_t)info->si_addr, top = *first_frame;
    bool at_guard = fault < top && top - fault > FERRY_CO_STACK - 8192 &&
                    top - fault < FERRY_CO_STACK + 8192;
    _exit(at_guard ? 42 : 43);
}

static void overflow_in_a_child(void)
{
    ferry_co_pool pool;
    ferry_co *co[3];
    stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
    struct sigaction sa = {.sa_sigaction = on_fault,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&alt, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    ferry_co_pool_init(&pool, 4);
    for (int i = 0; i < 3; i++) /* neighbours on both sides */
        ferry_co_new(&pool, overflow, NULL, &co[i]);
    ferry_co_resume(co[1]);
    _exit(44);
}

static void it_faults_there(void **state)
{
    int status;
    (void)state;
    first_frame = mmap(NULL, sizeof *first_frame, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(first_frame != MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0)
        overflow_in_a_child();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    munmap(first_frame, sizeof *first_frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_faults_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
