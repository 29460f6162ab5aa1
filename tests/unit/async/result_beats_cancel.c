/* Check, then try, then park: what has arrived when the cancel comes is handed over, in
 * whatever order the two reached the task in one turn. Nothing that has an owner is lost.
 *
 *      test                         waiter
 *      spawn, yield --------------> parks
 *      give ............ (ready)
 *      cancel .......... (ready, once)
 *      join ----------------------> wakes: has the thing, not the code
 */
#include "async/sync.h"
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct box {
    ferry_chan ch;
    ferry_sem sem;
    int got_value, got_slot, slept, after;
    void *value;
};

static FERRY_CO int receive(void *arg)
{
    struct box *b = arg;
    b->got_value = ferry_chan_recv(&b->ch, &b->value);
    b->after = ferry_park(); /* ... and the cancel is still there for the next wait */
    return 0;
}

static FERRY_CO int acquire(void *arg)
{
    struct box *b = arg;
    b->got_slot = ferry_sem_get(&b->sem);
    return 0;
}

static FERRY_CO int sleeper(void *arg)
{
    struct box *b = arg;
    b->slept = ferry_sleep(10);
    return 0;
}

static FERRY_CO void box_init(struct box *b)
{
    *b = (struct box){.got_value = 1, .got_slot = 1, .slept = 1, .after = 1};
    fake_equal(ferry_chan_init(&b->ch, 1), 0);
    ferry_sem_init(&b->sem, 1);
    fake_equal(ferry_sem_get(&b->sem), 0); /* ours, to give */
}

static void give(struct box *b)
{
    fake_equal(ferry_chan_send(&b->ch, b), 0);
    ferry_sem_put(&b->sem);
}

static FERRY_CO int race(bool cancel_first)
{
    struct box b;
    ferry_scope s;
    box_init(&b);
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "receive", receive, &b), 0);
    fake_equal(ferry_spawn(&s, "acquire", acquire, &b), 0);
    fake_equal(ferry_yield(), 0);

    if (cancel_first)
        ferry_scope_cancel(&s, -FERRY_ECANCELED);
    give(&b); /* a send with room does not wait: it is no matter that we are cancelled */
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&s), 0);

    fake_equal(b.got_slot, 0);
    fake_equal(b.sem.free, 0);
    fake_equal(b.after, -FERRY_ECANCELED);
    fake_equal(b.got_value, 0);
    fake_check(b.value == &b);
    ferry_chan_done(&b.ch);
    return 0;
}

struct late {
    ferry_timer timer;
    ferry_scope *scope;
};

static void cancel_at_ten(ferry_timer *t)
{
    struct late *l = ferry_container(t, struct late, timer);
    ferry_scope_cancel(l->scope, -FERRY_ECANCELED);
}

/* A sleep that is over and a cancel of the same millisecond: the sleep is over. */
static FERRY_CO int same_millisecond(void *arg)
{
    struct box b;
    ferry_scope s;
    struct late l = {.scope = &s};
    (void)arg;
    box_init(&b);
    ferry_scope_open(&s, 0);
    ferry_timer_start(s.loop, &l.timer, 10, cancel_at_ten);
    fake_equal(ferry_spawn(&s, "sleeper", sleeper, &b), 0);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(b.slept, 0);
    fake_equal(ferry_loop_now(ferry_self_loop()), 10);
    ferry_chan_done(&b.ch);
    return 0;
}

static FERRY_CO int given_then_cancelled(void *arg)
{
    (void)arg;
    return race(false);
}

static FERRY_CO int cancelled_then_given(void *arg)
{
    (void)arg;
    return race(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(given_then_cancelled),
        TEST_IN_TASK(cancelled_then_given),
        TEST_IN_TASK(same_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
