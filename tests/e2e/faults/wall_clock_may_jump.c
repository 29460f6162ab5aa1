/* Somebody sets the host's clock an hour ahead, or back, while ops are pending: deadlines, stall
 * timeouts, heartbeats and waits are of the monotonic clock, and neither come early nor stay away.
 *
 * This program has its own clock_gettime(), time() and gettimeofday(), which the library and libuv
 * call too. */
#include "harness/vm.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#define HOUR 3600
#define OURS __attribute__((visibility("default")))

static atomic_int jump; /* seconds */
static atomic_int asked_monotonic;

OURS int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int (*real)(clockid_t, struct timespec *);
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(clock_id, tp);
    if (clock_id == CLOCK_REALTIME || clock_id == CLOCK_REALTIME_COARSE)
        tp->tv_sec += atomic_load(&jump);
    else
        atomic_fetch_add(&asked_monotonic, 1);
    return r;
}

OURS time_t time(time_t *timer)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (timer)
        *timer = now.tv_sec;
    return now.tv_sec;
}

OURS int gettimeofday(struct timeval *tv, void *tz)
{
    struct timespec now;
    (void)tz;
    clock_gettime(CLOCK_REALTIME, &now);
    *tv = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

static const char *fifo;

static int setup(void **state)
{
    vm_opts.heartbeat_ms = 60000;
    vm_setup(state);
    fifo = scratch("fifo");
    return mkfifo(fifo, 0600);
}

static ferry_op *waits_for_ever(void)
{
    ferry_op *op = NULL;
    assert_ok(ferry_upload_start(vm, fifo, "/never", NULL, &op, &err));
    return op;
}

static void jumps(int seconds)
{
    time_t before = time(NULL);
    atomic_store(&jump, seconds);
    assert_true(labs(time(NULL) - before) > HOUR / 2);
    for (int i = 0; i < 20; i++)
        assert_ok(ferry_ping(vm, &err));
}

static void nothing_comes_early(void **state)
{
    (void)state;
    ferry_upload_opts o = {.size = sizeof o, .stall_ms = 600000};
    ferry_op *limited = waits_for_ever(), *stalled = NULL;
    atomic_store(&asked_monotonic, 0);
    ferry_op_timeout(limited, 600000);
    assert_ok(ferry_upload_start(vm, fifo, "/stalled", &o, &stalled, &err));
    jumps(HOUR);
    jumps(-HOUR);
    assert_int_equal(ferry_op_wait(limited, 20), -FERRY_EAGAIN);
    assert_int_equal(ferry_op_poll(stalled, NULL), FERRY_OP_PENDING);
    ferry_op_cancel(limited);
    ferry_op_cancel(stalled);
    assert_int_equal(ferry_op_wait(limited, 60000), 0);
    assert_int_equal(ferry_op_wait(stalled, 60000), 0);
    ferry_op_free(limited);
    ferry_op_free(stalled);
    assert_true(atomic_load(&asked_monotonic) > 0); /* they do ask us */
}

/* What was set when it was an hour later. */
static void nothing_stays_away(void **state)
{
    (void)state;
    ferry_upload_opts o = {.size = sizeof o, .stall_ms = 300};
    ferry_op *limited = waits_for_ever(), *stalled = NULL;
    jumps(HOUR);
    ferry_op_timeout(limited, 300);
    assert_ok(ferry_upload_start(vm, fifo, "/stalled", &o, &stalled, &err));
    jumps(-HOUR);
    assert_int_equal(ferry_op_wait(limited, 60000), 0);
    assert_int_equal(ferry_op_wait(stalled, 60000), 0);
    assert_fails(ferry_op_error(limited, &err), FERRY_ETIMEDOUT, "");
    assert_fails(ferry_op_error(stalled, &err), FERRY_ETIMEDOUT, "");
    ferry_op_free(limited);
    ferry_op_free(stalled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(nothing_comes_early),
        vm_test(nothing_stays_away),
    };
    return cmocka_run_group_tests(tests, setup, vm_teardown);
}
