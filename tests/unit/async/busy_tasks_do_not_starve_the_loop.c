/* Tasks that are always ready (a ping-pong, a spin of yields) leave the caller's handles
 * their turns, and each other theirs; and a loop with nothing ready sleeps instead of
 * spinning. */
#include "async/sync.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

struct busy {
    ferry_chan there, back;
    bool stop;
    long rounds;
};

static FERRY_CO int ping(void *arg)
{
    struct busy *b = arg;
    void *v;
    while (!b->stop && ferry_chan_send(&b->there, b) == 0 &&
           ferry_chan_recv(&b->back, &v) == 0)
        b->rounds++;
    ferry_chan_close(&b->there);
    return 0;
}

static FERRY_CO int pong(void *arg)
{
    struct busy *b = arg;
    void *v;
    while (ferry_chan_recv(&b->there, &v) == 0)
        if (ferry_chan_send(&b->back, v) < 0)
            break;
    return 0;
}

static FERRY_CO int spin(void *arg)
{
    struct busy *b = arg;
    while (!b->stop && ferry_yield() == 0)
        b->rounds++;
    return 0;
}

struct host {
    uv_timer_t timer;
    struct busy *b;
    int ticks;
};

static void on_tick(uv_timer_t *t)
{
    struct host *h = ferry_container(t, struct host, timer);
    if (++h->ticks == 20) {
        for (int i = 0; i < 3; i++)
            h->b[i].stop = true;
        uv_close((uv_handle_t *)t, NULL);
    }
}

static void the_host_has_its_turns(void **state)
{
    uv_loop_t uv;
    ferry_loop *loop;
    ferry_scope root;
    struct busy b[3] = {{.stop = false}};
    struct host h = {.b = b};
    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(ferry_loop_new(&uv, &loop), 0);
    ferry_scope_open_root(&root, loop, NULL, 0);
    assert_int_equal(ferry_chan_init(&b[0].there, 1), 0);
    assert_int_equal(ferry_chan_init(&b[0].back, 1), 0);
    assert_int_equal(ferry_spawn(&root, "ping", ping, &b[0]), 0);
    assert_int_equal(ferry_spawn(&root, "pong", pong, &b[0]), 0);
    assert_int_equal(ferry_spawn(&root, "spin", spin, &b[1]), 0);
    assert_int_equal(ferry_spawn(&root, "spin", spin, &b[2]), 0);
    uv_timer_init(&uv, &h.timer);
    uv_timer_start(&h.timer, on_tick, 1, 1);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(h.ticks, 20);

    ferry_loop_hold(loop); /* what the tasks still have to do */
    while (!ferry_list_empty(&root.tasks))
        uv_run(&uv, UV_RUN_ONCE);
    ferry_loop_release(loop);
    for (int i = 0; i < 3; i++)
        assert_true(b[i].rounds > 100);
    ferry_chan_done(&b[0].there);
    ferry_chan_done(&b[0].back);
    ferry_scope_done(&root);
    ferry_loop_close(loop, NULL, NULL);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&uv), 0);
}

/* A sleep of 200 ms takes next to no processor time: the loop sleeps as well. */
static FERRY_CO int an_idle_loop_sleeps(void *arg)
{
    struct timespec t;
    (void)arg;
    check_eq(ferry_sleep(1), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    long before = t.tv_sec * 1000 + t.tv_nsec / 1000000;
    uint64_t start = ferry_loop_now(ferry_self_loop());
    check_eq(ferry_sleep(200), 0);
    check(ferry_loop_now(ferry_self_loop()) - start >= 200);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    check(t.tv_sec * 1000 + t.tv_nsec / 1000000 - before < 100);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_has_its_turns),
        TEST_ON_UV(an_idle_loop_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
