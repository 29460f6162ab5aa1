/* The guest's clock is set by the host, and goes as fast as the host's.
 *
 * It did not: under emulation the kernel measured its time stamp counter against an emulated
 * timer, and on a busy host the result was wrong by any factor, once in ten boots; files were dated
 * minutes into the future, and all clones of such a template with them. Now the kernel is told
 * (src/launch/ticks.h). */
#include "harness/vm.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of the host's clock, between two looks at the guest's. */
#define SPAN_MS 1500
/* File times are those of the last timer interrupt; and a busy host may keep one for a while. */
#define SLACK_MS 250

static double wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct look {
    double before, after; /* the host's, around */
    double guest;         /* the guest's */
};

static struct look look(void)
{
    struct look l = {.before = wall_ms()};
    assert_ok(ferry_touch(vm, "/clock", &err));
    l.after = wall_ms();
    ferry_stat_info s = guest_stat("/clock");
    l.guest = (double)s.mtime_sec * 1e3 + s.mtime_nsec / 1e6;
    return l;
}

static void it_is_now_and_later_it_is_later(void **state)
{
    (void)state;
    struct look first = look(), second;
    if (first.guest < first.before - 1000 || first.guest > first.after + 1000)
        fail_msg("the guest's clock is off by %.0f ms", first.guest - first.after);

    do {
        second = look();
    } while (second.before - first.after < SPAN_MS);
    double least = second.before - first.after, most = second.after - first.before;
    double guest = second.guest - first.guest;
    if (guest < least * 0.9 - SLACK_MS || guest > most * 1.1 + SLACK_MS)
        fail_msg("%.0f to %.0f ms have passed; in the guest %.0f", least, most, guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {vm_test(it_is_now_and_later_it_is_later)};
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
