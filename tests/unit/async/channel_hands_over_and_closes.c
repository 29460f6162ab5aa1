/* A channel delivers every value once and in order, holds no more than it has places, and
 * after its close gives out what is left before it says so. A cancelled end loses nothing. */
#include "async/sync.h"
#include "harness/fake.h"

#include <stdlib.h>

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#define N 1000

struct end {
    ferry_chan *ch;
    unsigned dice;
    uintptr_t first, count; /* what a sender sends */
    uintptr_t sum, got;     /* what a receiver got */
    int result;
};

static void dawdle(unsigned *dice)
{
    switch (rand_r(dice) % 5) {
    case 0: ferry_sleep(1); break;
    case 1: ferry_yield(); break;
    default: break;
    }
}

static FERRY_CO int sends(void *arg)
{
    struct end *e = arg;
    for (uintptr_t i = 0; i < e->count; i++) {
        dawdle(&e->dice);
        e->result = ferry_chan_send(e->ch, (void *)(e->first + i));
        if (e->result < 0)
            return 0;
        fake_check(e->ch->count <= e->ch->cap);
    }
    return 0;
}

static FERRY_CO int receives(void *arg)
{
    struct end *e = arg;
    void *v;
    while ((e->result = ferry_chan_recv(e->ch, &v)) == 0) {
        e->sum += (uintptr_t)v;
        e->got++;
        dawdle(&e->dice);
    }
    return 0;
}

/* One sender, one receiver: the order is the sender's. */
static FERRY_CO int receives_in_order(void *arg)
{
    struct end *e = arg;
    void *v;
    while ((e->result = ferry_chan_recv(e->ch, &v)) == 0) {
        fake_equal((uintptr_t)v, e->got);
        e->got++;
        dawdle(&e->dice);
    }
    return 0;
}

static FERRY_CO int in_order(void *arg)
{
    (void)arg;
    for (size_t places = 1; places <= 17; places += 4) {
        ferry_chan ch;
        ferry_scope out, in;
        fake_equal(ferry_chan_init(&ch, places), 0);
        struct end tx = {.ch = &ch, .dice = (unsigned)places, .count = N};
        struct end rx = {.ch = &ch, .dice = 99};
        ferry_scope_open(&in, 0);
        fake_equal(ferry_spawn(&in, "receives", receives_in_order, &rx), 0);
        ferry_scope_open(&out, 0);
        fake_equal(ferry_spawn(&out, "sends", sends, &tx), 0);
        fake_equal(ferry_scope_join(&out), 0);
        ferry_chan_close(&ch);
        fake_equal(ferry_scope_join(&in), 0);
        fake_equal(rx.got, N);
        fake_equal(rx.result, -EPIPE);
        fake_equal(ferry_chan_send(&ch, NULL), -EPIPE);
        ferry_chan_done(&ch);
    }
    return 0;
}

/* Four to four, one of each cancelled on the way: what the senders got rid of is what the
 * receivers got and what is left. */
static FERRY_CO int nothing_is_lost(void *arg)
{
    (void)arg;
    for (unsigned seed = 1; seed <= 20; seed++) {
        enum { ENDS = 4 };
        ferry_chan ch;
        ferry_scope all, tx_scope[ENDS], rx_scope[ENDS];
        struct end tx[ENDS], rx[ENDS];
        fake_equal(ferry_chan_init(&ch, 3), 0);
        ferry_scope_open(&all, 0);
        for (int i = 0; i < ENDS; i++) {
            tx[i] = (struct end){.ch = &ch, .dice = seed * 10 + (unsigned)i, .count = N};
            rx[i] = (struct end){.ch = &ch, .dice = seed * 20 + (unsigned)i};
            ferry_scope_open_root(&tx_scope[i], all.loop, &all, 0);
            ferry_scope_open_root(&rx_scope[i], all.loop, &all, 0);
            tx[i].first = 1;
            fake_equal(ferry_spawn(&tx_scope[i], "sends", sends, &tx[i]), 0);
            fake_equal(ferry_spawn(&rx_scope[i], "receives", receives, &rx[i]), 0);
        }
        ferry_sleep(seed);
        ferry_scope_cancel(&tx_scope[0], -FERRY_ECANCELED);
        ferry_scope_cancel(&rx_scope[0], -FERRY_ECANCELED);
        for (int i = 0; i < ENDS; i++)
            ferry_scope_join(&tx_scope[i]);
        ferry_chan_close(&ch);
        uintptr_t got = 0, sum = 0;
        for (int i = 0; i < ENDS; i++) {
            ferry_scope_join(&rx_scope[i]);
            got += rx[i].got;
            sum += rx[i].sum;
            fake_equal(rx[i].result, i ? -EPIPE : -FERRY_ECANCELED);
            fake_equal(tx[i].result, i ? 0 : -FERRY_ECANCELED);
        }
        /* The cancelled sender sent 1..k: k is what is over. */
        uintptr_t full = (uintptr_t)N * (N + 1) / 2, k = got - (ENDS - 1) * (uintptr_t)N;
        fake_check(k < N);
        fake_equal(sum, (ENDS - 1) * full + k * (k + 1) / 2);
        fake_equal(ferry_scope_join(&all), 0);
        ferry_chan_done(&ch);
    }
    return 0;
}

/* A close wakes both kinds of waiter. */
static FERRY_CO int close_wakes(void *arg)
{
    ferry_chan full, empty;
    ferry_scope s;
    (void)arg;
    fake_equal(ferry_chan_init(&full, 1), 0);
    fake_equal(ferry_chan_init(&empty, 1), 0);
    fake_equal(ferry_chan_send(&full, &full), 0);
    struct end tx = {.ch = &full, .dice = 1, .count = 1, .result = 1};
    struct end rx = {.ch = &empty, .dice = 1, .result = 1};
    ferry_scope_open(&s, 0);
    fake_equal(ferry_spawn(&s, "sends", sends, &tx), 0);
    fake_equal(ferry_spawn(&s, "receives", receives, &rx), 0);
    fake_equal(ferry_sleep(10), 0);
    fake_equal(tx.result, 1);
    ferry_chan_close(&full);
    ferry_chan_close(&empty);
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(tx.result, -EPIPE);
    fake_equal(rx.result, -EPIPE);

    void *v = NULL;
    fake_equal(ferry_chan_recv(&full, &v), 0); /* what was in it is still there */
    fake_check(v == &full);
    fake_equal(ferry_chan_recv(&full, &v), -EPIPE);
    ferry_chan_done(&full);
    ferry_chan_done(&empty);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(in_order),
        TEST_IN_TASK(nothing_is_lost),
        TEST_IN_TASK(close_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
