/* The scheduler of one libuv loop: tasks, wake-ups, timers, and messages from outside.
 *
 *   uv callbacks ----ferry_wake(task)----> ready list ---drain---> task runs on its stack
 *   other threads ---ferry_loop_post()---> mailbox -----+             |
 *   signal handlers -ferry_loop_kick()---> uv_async ----+             v
 *                                                            ferry_park(): back to drain
 *
 * All state belongs to the loop's thread; only the functions marked "any thread" may be
 * called from elsewhere. libuv callbacks never run a task: they wake it, and drain (once
 * before and once after the poll of each loop turn) runs what is ready. So no
 * task ever runs inside another's call, and none inside a callback of libuv's.
 *
 * A parked task may be woken for no reason of its own: whoever parks, parks in a loop
 * that checks the condition. Waking twice is one wake. */
#ifndef FERRY_ASYNC_LOOP_H
#define FERRY_ASYNC_LOOP_H

#include "async/co.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
typedef struct ferry_loop ferry_loop;
typedef struct ferry_task ferry_task;

/* ---- life ------------------------------------------------------------------------ */

/* On a libuv loop of the caller's, which must outlive ours. Our handles keep the uv loop
 * alive only while ferry_loop_hold() is in force. -ENOMEM and libuv's errors. */
int ferry_loop_new(struct uv_loop_s *uv, ferry_loop **ret);

/* A loop with a clock of its own, for tests: it has no uv handles and is driven by
 * ferry_loop_run_fake(). */
int ferry_loop_new_fake(ferry_loop **ret);

/* Closes our handles on the uv loop and frees the ferry_loop in a later turn of it, then
 * calls closed(arg). No task, timer or post may be left; what the pool is still running (a second at most) and
 * children that are still dying are waited for. */
void ferry_loop_close(ferry_loop *loop, void (*closed)(void *arg), void *arg);

/* ---- time ------------------------------------------------------------------------ */

/* Milliseconds of the loop's monotonic clock, as of this turn. The wall clock is never
 * looked at. */
uint64_t ferry_loop_now(const ferry_loop *loop);

typedef struct ferry_timer {
    ferry_loop *loop; /* NULL while stopped */
    uint64_t due;     /* ms */
    uint64_t seq;     /* equal due times fire in start order */
    struct ferry_timer *child, *sibling, *prev; /* pairing heap */
    void (*fire)(struct ferry_timer *t);
} ferry_timer;

/* Embedded; zero-initialised is stopped. fire() runs on the loop, may not suspend, and
 * finds the timer stopped. Starting a started timer moves it. */
void ferry_timer_start(ferry_loop *loop, ferry_timer *t, uint64_t ms,
                       void (*fire)(ferry_timer *t));
void ferry_timer_stop(ferry_timer *t);

/* Suspends for ms. 0, or the cancel code. */
FERRY_CO int ferry_sleep(uint64_t ms);

/* ---- tasks ----------------------------------------------------------------------- */

ferry_task *ferry_self(void);      /* NULL outside a task */
ferry_loop *ferry_self_loop(void); /* the running task's loop */
const char *ferry_task_name(const ferry_task *t);

/* Makes a parked task ready. Loop thread. Harmless when it is ready or running. */
void ferry_wake(ferry_task *t);

/* Suspends until ferry_wake(). Returns 0, or at once the cancel code of the task's scope
 * (-FERRY_ECANCELED, -FERRY_ETIMEDOUT) for as long as that is cancelled: a loop that
 * parks ends. The order to keep is check, try, park:
 *
 *     while (!req->done) {              // check: a result that is here beats a cancel
 *         int r = ferry_park();
 *         if (r < 0 && !req->done)
 *             return r;
 *     }                                                                              */
FERRY_CO int ferry_park(void);

/* Lets every other ready task run once. 0, or the cancel code. */
FERRY_CO int ferry_yield(void);

/* ---- from outside ---------------------------------------------------------------- */

/* Work for the loop's thread. Intrusive: post allocates nothing; run() owns it then. */
typedef struct ferry_post {
    struct ferry_post *next;
    void (*run)(struct ferry_post *p); /* on the loop's thread, must not suspend */
} ferry_post;

/* Any thread (not a signal handler). Runs in post order. */
void ferry_loop_post(ferry_loop *loop, ferry_post *p);

/* Any thread and signal handlers: an atomic store and a write(2); keeps errno, takes no
 * lock. on_kick runs on the loop some time after; kicks coalesce. */
void ferry_loop_kick(ferry_loop *loop);
void ferry_loop_on_kick(ferry_loop *loop, void (*on_kick)(void *arg), void *arg);

/* While the count of holds is not 0, uv_run(UV_RUN_DEFAULT) does not return for want of
 * work of ours. Loop thread. */
void ferry_loop_hold(ferry_loop *loop);
void ferry_loop_release(ferry_loop *loop);

/* ---- fake clock ------------------------------------------------------------------ */

/* Runs ready tasks and jumps to the next timer, again and again, until no task is left
 * (0) or nothing is ready and no timer is set (-EDEADLK: they wait for ever). */
int ferry_loop_run_fake(ferry_loop *loop);

#endif
