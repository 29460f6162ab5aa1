/* Timers fire at their millisecond, in the order of due time and then of start, whatever is
 * started, moved and stopped in between and from inside fire(): a heap against a plain array
 * that is searched. */
#include "harness/fake.h"

#include <stdlib.h>

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#define N 64

struct clock {
    ferry_loop *loop;
    unsigned dice;
    uint64_t seq; /* of the model */
    int fired;
    struct entry {
        ferry_timer timer;
        struct clock *clock;
        bool on; /* the model */
        uint64_t due, seq;
    } e[N];
};

static void on_fire(ferry_timer *t);

static struct entry *model_first(struct clock *c)
{
    struct entry *first = NULL;
    for (int i = 0; i < N; i++) {
        struct entry *e = &c->e[i];
        if (e->on && (!first || e->due < first->due ||
                      (e->due == first->due && e->seq < first->seq)))
            first = e;
    }
    return first;
}

static void start(struct clock *c, struct entry *e, uint64_t ms)
{
    ferry_timer_start(c->loop, &e->timer, ms, on_fire);
    e->on = true;
    e->due = ferry_loop_now(c->loop) + ms;
    e->seq = c->seq++;
}

static void stop(struct entry *e)
{
    ferry_timer_stop(&e->timer);
    e->on = false;
}

/* Start, move or stop somebody, perhaps the one that fires. 0 ms among the rest. */
static void meddle(struct clock *c)
{
    struct entry *e = &c->e[rand_r(&c->dice) % N];
    if (rand_r(&c->dice) % 3)
        start(c, e, (uint64_t)(rand_r(&c->dice) % 40));
    else
        stop(e);
}

static void on_fire(ferry_timer *t)
{
    struct entry *e = ferry_container(t, struct entry, timer);
    struct clock *c = e->clock;
    fake_check(e == model_first(c));
    fake_equal(ferry_loop_now(c->loop), e->due);
    fake_check(!t->loop); /* stopped while it fires */
    e->on = false;
    c->fired++;
    for (int i = rand_r(&c->dice) % 3; i > 0; i--)
        meddle(c);
}

static FERRY_CO int as_the_model_says(void *arg)
{
    struct clock *c = calloc(1, sizeof *c);
    (void)arg;
    c->loop = ferry_self_loop();
    c->dice = 20240607;
    for (int i = 0; i < N; i++)
        c->e[i].clock = c;
    for (int round = 0; round < 20000; round++) {
        meddle(c);
        if (round % 8 == 0)
            fake_equal(ferry_sleep((uint64_t)(rand_r(&c->dice) % 8)), 0);
    }
    fake_check(c->fired > 5000);
    for (int i = 0; i < N; i++)
        stop(&c->e[i]);
    free(c);
    return 0;
}

struct again {
    ferry_timer timer;
    ferry_loop *loop;
    int fired;
};

static void start_again(ferry_timer *t)
{
    struct again *a = ferry_container(t, struct again, timer);
    a->fired++;
    ferry_timer_start(a->loop, t, 0, start_again);
}

/* One that always starts itself again with 0 ms does not keep the others from running. (It
 * kept the turn for ever: those started inside a turn are not due in it.) */
static FERRY_CO int zero_again_and_again(void *arg)
{
    struct again a = {.loop = ferry_self_loop()};
    (void)arg;
    ferry_timer_start(a.loop, &a.timer, 0, start_again);
    for (int i = 0; i < 10; i++)
        fake_equal(ferry_sleep(0), 0);
    ferry_timer_stop(&a.timer);
    fake_check(a.fired >= 10);
    fake_check(a.fired <= 12);
    fake_equal(ferry_loop_now(a.loop), 0);
    return 0;
}

static FERRY_CO int no_time_wraps(void *arg)
{
    struct again far = {.loop = ferry_self_loop()}, farther = {.loop = far.loop};
    (void)arg;
    fake_equal(ferry_sleep(100), 0);
    ferry_timer_start(far.loop, &far.timer, UINT64_MAX, start_again);
    ferry_timer_start(far.loop, &farther.timer, UINT64_MAX - 50, start_again);
    fake_equal(ferry_sleep(100), 0);
    fake_equal(far.fired, 0);
    fake_equal(farther.fired, 0);
    ferry_timer_stop(&far.timer);
    ferry_timer_stop(&farther.timer);
    ferry_timer_stop(&farther.timer); /* stopped already: nothing */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(as_the_model_says),
        TEST_IN_TASK(zero_again_and_again),
        TEST_IN_TASK(no_time_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
