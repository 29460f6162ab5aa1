/* Every post runs once, on the loop's thread, each thread's in the order it posted; and the
 * one that closes the loop may be the last thing its poster's thread ever does with it. */
#include "async/thread.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define POSTS 5000

struct note {
    ferry_post post;
    int thread, number;
};

static ferry_thread *loops_thread;
static int next[THREADS], wrong;
static atomic_int arrived;
static struct note notes[THREADS][POSTS];

static void on_note(ferry_post *p)
{
    struct note *n = ferry_container(p, struct note, post);
    wrong += !ferry_thread_is_self(loops_thread);
    wrong += n->number != next[n->thread]++;
    atomic_fetch_add(&arrived, 1);
}

struct poster {
    ferry_loop *loop;
    int thread;
};

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++) {
        notes[p->thread][i] = (struct note){{NULL, on_note}, p->thread, i};
        ferry_loop_post(p->loop, &notes[p->thread][i].post);
    }
    return NULL;
}

struct shut {
    ferry_post post;
    ferry_loop *loop;
    bool closed;
};

static void note_closed(void *arg)
{
    *(bool *)arg = true;
}

static void shut_down(ferry_post *p)
{
    struct shut *s = ferry_container(p, struct shut, post);
    ferry_loop_close(s->loop, note_closed, &s->closed);
}

static void all_arrive_in_order(void **state)
{
    pthread_t t[THREADS];
    struct poster p[THREADS];
    ferry_loop *loop = NULL;
    (void)state;
    assert_int_equal(ferry_thread_start(&loops_thread, &loop), 0);
    for (int i = 0; i < THREADS; i++) {
        p[i] = (struct poster){loop, i};
        assert_int_equal(pthread_create(&t[i], NULL, post_all, &p[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    struct shut s = {{NULL, shut_down}, loop, false};
    ferry_loop_post(loop, &s.post); /* behind all others */
    ferry_thread_join(loops_thread);
    assert_true(s.closed);
    assert_int_equal(arrived, THREADS * POSTS);
    assert_int_equal(wrong, 0);
}

/* A post of a post, from the loop's own thread, runs in a later turn and is not lost. */
struct chain {
    ferry_post post;
    ferry_loop *loop;
    int left;
    struct shut *then;
};

static void pass_on(ferry_post *p)
{
    struct chain *c = ferry_container(p, struct chain, post);
    ferry_loop_post(c->loop, --c->left > 0 ? p : &c->then->post);
}

static void a_post_may_post(void **state)
{
    ferry_thread *t = NULL;
    struct shut s = {{NULL, shut_down}, NULL, false};
    struct chain c = {{NULL, pass_on}, NULL, 1000, &s};
    (void)state;
    assert_int_equal(ferry_thread_start(&t, &s.loop), 0);
    c.loop = s.loop;
    ferry_loop_post(c.loop, &c.post);
    ferry_thread_join(t);
    assert_int_equal(c.left, 0);
    assert_true(s.closed);
}

/*      poster A                    loop                       poster B
 *      push `decide`                                          push `nothing`, send
 *                                  wakes for B's send
 *                                  runs `decide`: closes
 *      send: must find the loop
 *
 * (It was a use after free, and a write to whatever had the descriptor by then.) */

struct racer {
    ferry_loop *loop;
    pthread_barrier_t *start;
    ferry_post nothing;
};

static void *post_one(void *arg)
{
    struct racer *r = arg;
    pthread_barrier_wait(r->start);
    ferry_loop_post(r->loop, &r->nothing);
    return NULL;
}

/* Closes at the second of two posts, whichever that is. */
struct decide {
    ferry_post post;
    ferry_loop *loop;
    atomic_int left;
};

static struct decide decision;

static void close_if_last(ferry_post *p)
{
    (void)p;
    if (atomic_fetch_sub(&decision.left, 1) == 1)
        ferry_loop_close(decision.loop, NULL, NULL);
}

static void the_last_post_may_close(void **state)
{
    pthread_barrier_t start;
    (void)state;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int round = 0; round < 300; round++) {
        ferry_thread *t = NULL;
        pthread_t posters[THREADS];
        struct racer r[THREADS];
        assert_int_equal(ferry_thread_start(&t, &decision.loop), 0);
        atomic_store(&decision.left, THREADS);
        for (int i = 0; i < THREADS; i++) {
            r[i] = (struct racer){decision.loop, &start, {NULL, close_if_last}};
            assert_int_equal(pthread_create(&posters[i], NULL, post_one, &r[i]), 0);
        }
        ferry_thread_join(t); /* the loop is gone; the posters perhaps not yet */
        for (int i = 0; i < THREADS; i++)
            pthread_join(posters[i], NULL);
    }
    pthread_barrier_destroy(&start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_arrive_in_order),
        cmocka_unit_test(a_post_may_post),
        cmocka_unit_test(the_last_post_may_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
