/* A kick from a signal handler, whatever it interrupts, keeps errno and is never lost: after
 * the last kick the loop is told at least once more. Handlers on the loop's own thread, on
 * another, in the middle of a post. */
#include "async/thread.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

static ferry_loop *kicked_loop;
static atomic_int kicks, told, last_seen, errno_lost;

static void on_signal(int sig)
{
    (void)sig;
    int interrupted = errno;
    errno = EXDEV; /* something rare, to see whether it is there afterwards */
    atomic_fetch_add(&kicks, 1);
    ferry_loop_kick(kicked_loop);
    if (errno != EXDEV)
        atomic_fetch_add(&errno_lost, 1);
    errno = interrupted;
}

static void on_kick(void *arg)
{
    (void)arg;
    atomic_store(&last_seen, atomic_load(&kicks));
    atomic_fetch_add(&told, 1);
}

static void start_counting(ferry_loop *loop)
{
    kicks = told = last_seen = errno_lost = 0;
    kicked_loop = loop;
    ferry_loop_on_kick(loop, on_kick, NULL);
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGALRM, &sa, NULL);
}

static FERRY_CO void until_told(void)
{
    while (atomic_load(&last_seen) < atomic_load(&kicks))
        ferry_sleep(0);
}

/* On the loop's own thread, while a task runs: told in a later turn, many as one. */
static FERRY_CO int on_the_loops_thread(void *arg)
{
    (void)arg;
    start_counting(ferry_self_loop());
    for (int i = 0; i < 1000; i++)
        raise(SIGUSR1);
    check_eq(kicks, 1000);
    check_eq(told, 0); /* never inside a task */
    until_told();
    check_eq(told, 1);
    check_eq(errno_lost, 0);
    raise(SIGUSR1);
    until_told();
    check_eq(told, 2);
    return 0;
}

/* A timer's signal at any instruction of a loop that is busy with everything else. */
static FERRY_CO int at_any_instruction(void *arg)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    ferry_loop *loop = ferry_self_loop();
    (void)arg;
    start_counting(loop);
    setitimer(ITIMER_REAL, &often, NULL);
    while (atomic_load(&told) < 200) {
        ferry_timer none = {0};
        ferry_timer_start(loop, &none, 1000, NULL);
        ferry_loop_kick(loop); /* interrupted in here, too */
        ferry_timer_stop(&none);
        ferry_sleep(0);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    until_told();
    check_eq(errno_lost, 0);
    return 0;
}

/* On a thread of the program, against a loop that sleeps on its own thread. */
struct shut {
    ferry_post post;
    ferry_loop *loop;
};

static void shut_down(ferry_post *p)
{
    struct shut *s = ferry_container(p, struct shut, post);
    ferry_loop_close(s->loop, NULL, NULL);
}

static void on_another_thread(void **state)
{
    ferry_thread *t = NULL;
    ferry_loop *loop = NULL;
    (void)state;
    assert_int_equal(ferry_thread_start(&t, &loop), 0);
    start_counting(loop);
    for (int i = 0; i < 2000; i++) {
        raise(SIGUSR1);
        if (i % 100 == 99) /* each hundred is told before the next is sent */
            while (atomic_load(&last_seen) <= i)
                sched_yield();
    }
    assert_int_equal(kicks, 2000);
    assert_true(told >= 20);
    assert_int_equal(errno_lost, 0);

    static struct shut s;
    s = (struct shut){{NULL, shut_down}, loop};
    ferry_loop_post(loop, &s.post);
    ferry_thread_join(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(on_the_loops_thread),
        TEST_ON_UV(at_any_instruction),
        cmocka_unit_test(on_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
