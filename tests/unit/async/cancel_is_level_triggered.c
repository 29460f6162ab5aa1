/* Once a scope is cancelled, every call in it that would wait returns the code, each time it
 * is asked, and at once: a loop that ignores one answer gets the next. (Those on libuv are in
 * every_uv_call_honours_a_cancel.c.) */
#include "async/sync.h"
#include "harness/fake.h"

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct things {
    ferry_cond cond;
    ferry_sem none;
    ferry_chan empty, full;
    int started;
};

static FERRY_CO int call(struct things *t, int which)
{
    void *v;
    switch (which) {
    case 0: return ferry_park();
    case 1: return ferry_yield();
    case 2: return ferry_sleep(50);
    case 3: return ferry_cond_wait(&t->cond);
    case 4: return ferry_sem_get(&t->none);
    case 5: return ferry_chan_recv(&t->empty, &v);
    case 6: return ferry_chan_send(&t->full, t);
    default: return 1;
    }
}

#define CALLS 7

static void things_init(struct things *t)
{
    *t = (struct things){0};
    ferry_cond_init(&t->cond);
    ferry_sem_init(&t->none, 0);
    fake_equal(ferry_chan_init(&t->empty, 1), 0);
    fake_equal(ferry_chan_init(&t->full, 1), 0);
    fake_equal(ferry_chan_send(&t->full, t), 0);
}

static void things_done(struct things *t)
{
    void *v;
    fake_check(ferry_list_empty(&t->cond.waiters));
    fake_check(ferry_list_empty(&t->none.waiters));
    fake_check(ferry_list_empty(&t->empty.changed.waiters));
    fake_check(ferry_list_empty(&t->full.changed.waiters));
    fake_check(ferry_chan_try_recv(&t->full, &v));
    ferry_chan_done(&t->empty);
    ferry_chan_done(&t->full);
}

struct waiter {
    struct things *things;
    int which;
    int got[3];
};

static FERRY_CO int ask_thrice(void *arg)
{
    struct waiter *w = arg;
    w->things->started++;
    for (int i = 0; i < 3; i++)
        do
            w->got[i] = call(w->things, w->which);
        while (w->got[i] == 0); /* the yielder, until it is cancelled */
    return 0;
}

/*      test                      seven waiters
 *      spawn, yield -----------> each waits in its own call
 *      cancel
 *      join -------------------> first answer, second, third: all the code
 */
static FERRY_CO int while_waiting(void *arg)
{
    struct things t;
    struct waiter w[CALLS];
    ferry_scope s;
    (void)arg;
    things_init(&t);
    ferry_scope_open(&s, 0);
    for (int i = 0; i < CALLS; i++) {
        w[i] = (struct waiter){&t, i, {1, 1, 1}};
        fake_equal(ferry_spawn(&s, "waiter", ask_thrice, &w[i]), 0);
    }
    fake_equal(ferry_yield(), 0);
    fake_equal(t.started, CALLS);

    ferry_scope_cancel(&s, -FERRY_ETIMEDOUT);
    fake_equal(ferry_scope_join(&s), 0);
    for (int i = 0; i < CALLS; i++)
        for (int j = 0; j < 3; j++)
            if (!fake_equal(w[i].got[j], -FERRY_ETIMEDOUT))
                print_error("call %d, answer %d\n", i, j);
    fake_equal(ferry_loop_now(ferry_self_loop()), 0); /* no time went by */
    things_done(&t);
    return 0;
}

static FERRY_CO int before_waiting(void *arg)
{
    struct things t;
    ferry_scope s;
    (void)arg;
    things_init(&t);
    ferry_scope_open(&s, 0);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    for (int round = 0; round < 1000; round++)
        for (int i = 0; i < CALLS; i++)
            fake_equal(call(&t, i), -FERRY_ECANCELED);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(ferry_yield(), 0); /* outside, nothing is cancelled */
    things_done(&t);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(while_waiting),
        TEST_IN_TASK(before_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
