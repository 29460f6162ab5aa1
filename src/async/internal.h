/* What the files of src/async share and nobody else sees: the loop and the task. */
#ifndef FERRY_ASYNC_INTERNAL_H
#define FERRY_ASYNC_INTERNAL_H

#include "async/co.h"
#include "async/loop.h"
#include "async/pool.h"
#include "async/scope.h"
#include "async/sync.h"
#include "async/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct ferry_task {
    ferry_loop *loop;
    ferry_co *co;
    const char *name;
    ferry_task_fn fn;
    void *arg;
    ferry_scope *home;  /* spawned in; counts it until it ends */
    ferry_scope *scope; /* innermost open: home, or one it opened itself */
    ferry_list link;    /* in home->tasks */
    ferry_list ready;   /* in loop->ready while it is to run */
};

struct ferry_loop {
    uv_loop_t *uv; /* NULL: fake clock, no handles */
    unsigned refs; /* the owner's, and one for each closing handle and child that is dying */

    /* tasks */
    ferry_co_pool stacks;
    ferry_list ready;
    unsigned ntasks;
    bool draining;

    /* time */
    ferry_timer *timers; /* root of the pairing heap */
    uint64_t timer_seq;
    uint64_t fake_now;
    bool firing;

    /* from outside */
    _Atomic(ferry_post *) posted; /* newest first */
    void (*on_kick)(void *arg);
    void *kick_arg;
    unsigned holds;
    atomic_uint senders; /* threads inside ferry_loop_post() or _kick() */
    int bell_fd;         /* eventfd */
    atomic_bool rung;    /* and not yet answered */

    ferry_pool *pool;        /* NULL until it is needed */
    ferry_sem pool_share;    /* requests in it that somebody waits for */
    unsigned requests;       /* all of them */
    bool closing;            /* as soon as the last of them is over, */
    ferry_timer close_timer; /* or this one */

    /* handles, all unreferenced except `bell` while held */
    uv_prepare_t prepare; /* drain before the poll */
    uv_check_t check;     /* drain after it */
    uv_idle_t idle;       /* active while tasks are ready: the poll must not sleep */
    uv_timer_t timer;     /* the earliest of ours */
    uv_poll_t bell;       /* on bell_fd: posts */
    uv_async_t async;     /* kicks */
    unsigned open_handles;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* loop.c */
void ferry_loop_ref(ferry_loop *loop);
void ferry_loop_unref(ferry_loop *loop);
void ferry_loop_want_drain(ferry_loop *loop);   /* something is ready: do not sleep */
void ferry_loop_drained(ferry_loop *loop);      /* a drain ended: sleep if nothing is */
void ferry_loop_request_over(ferry_loop *loop); /* counts it */

/* task.c */
int ferry_task_new(ferry_scope *s, const char *name, ferry_task_fn fn, void *arg);
void ferry_park_deaf(void); /* parks without looking at any cancel */
void ferry_drain(ferry_loop *loop);

/* scope.c */
int ferry_scope_code(const ferry_scope *s);
void ferry_scope_task_ended(ferry_task *t, int result);

/* timer.c */
uint64_t ferry_timers_next(const ferry_loop *loop); /* due time; UINT64_MAX: none */
void ferry_timers_fire(ferry_loop *loop);
void ferry_timers_rearm(ferry_loop *loop); /* tells libuv the earliest due time */

/* thread.c */
/* A thread with all signals blocked but those of its own faults. -FERRY_ENPROC: no more are to be
 * had. stack: bytes, 0: the default. */
int ferry_thread_create(pthread_t *ret, const char *name, size_t stack,
                        void *(*fn)(void *), void *arg);

/* plug.c */
typedef struct ferry_plugs {
    int fd[3];
    int n;
} ferry_plugs;

void ferry_plug(ferry_plugs *p); /* takes what is free of the descriptors 0-2 */
void ferry_unplug(const ferry_plugs *p);

#endif
