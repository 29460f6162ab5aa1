/* Structured concurrency: a scope joins all its tasks before it closes; nothing is
 * detached. (The idea is Trio's nursery, by way of libdill's bundles.)
 *
 *     ferry_scope s;
 *     ferry_scope_open(&s, 0);
 *     ferry_scope_deadline(&s, 5000);
 *     ferry_spawn(&s, "reader", reader, pipe);
 *     ferry_spawn(&s, "writer", writer, pipe);
 *     int r = ferry_scope_join(&s);        // the first child's error, else 0
 *
 * Scopes form a tree: a scope's parent is the one its opener was in.
 *
 *      vm (supervising)
 *       |-- op 1 -- [task] -- upload -- { read, send }     cancel of `upload` reaches both,
 *       |-- op 2 -- [task]                                 cancel of vm reaches all
 *       `-- cleanup (shielded)                             ... but not into a shield
 *
 * Cancel is level-triggered: from then on every suspending call of the tasks inside
 * returns the code at once. A child that fails (negative return) cancels its siblings
 * with -FERRY_ECANCELED and is what join returns; in a supervising scope a child's
 * failure is its own affair.
 *
 * All of it: loop thread only. */
#ifndef FERRY_ASYNC_SCOPE_H
#define FERRY_ASYNC_SCOPE_H

#include "async/loop.h"

enum ferry_scope_flags {
    FERRY_SCOPE_SHIELD = 1 << 0,    /* an outer cancel is not seen inside */
    FERRY_SCOPE_SUPERVISE = 1 << 1, /* a child's error stays its own */
};

typedef struct ferry_scope {
    ferry_loop *loop;
    struct ferry_scope *parent; /* NULL for a root */
    ferry_task *owner; /* the task that opened it and joins it; NULL: none yet */
    ferry_list tasks;  /* ferry_task.link, spawned here and not finished */
    ferry_list scopes; /* ferry_scope.link, open inside */
    ferry_list link;   /* in parent->scopes */
    unsigned flags;
    int cancel;         /* 0, or the code its tasks are told */
    int error;          /* 0, or the first child's */
    ferry_task *joiner; /* parked in ferry_scope_join() */
    ferry_timer deadline;
    void (*empty)(struct ferry_scope *s); /* a root's: its last task has ended. NULL: none.
                                           * Called on that task's stack: post, do not free. */
} ferry_scope;

/* Opens a scope in the running task. Must be joined by the same task, inner before outer. */
void ferry_scope_open(ferry_scope *s, unsigned flags);

/* A scope that belongs to no task (a VM's, a test's). Children of it are spawned from
 * anywhere on the loop's thread; any task may join it. Outlives its tasks. */
void ferry_scope_open_root(ferry_scope *s, ferry_loop *loop, ferry_scope *parent,
                           unsigned flags);

/* Cancels the scope with -FERRY_ETIMEDOUT in ms from now; 0 takes the deadline away. */
void ferry_scope_deadline(ferry_scope *s, uint64_t ms);

/* A new task, ready to run in the next drain. `name` is static text, for traces.
 * -ENOMEM, or the cancel code if the scope is cancelled (then fn never runs). */
typedef FERRY_CO int (*ferry_task_fn)(void *arg);
int ferry_spawn(ferry_scope *s, const char *name, ferry_task_fn fn, void *arg);

/* code: -FERRY_ECANCELED, -FERRY_ETIMEDOUT or any other negative. The first code stays. */
void ferry_scope_cancel(ferry_scope *s, int code);

/* Waits for every task inside (a cancel does not shorten the wait: it shortens the
 * tasks) and closes the scope. Returns the first child's error, else 0: children that were
 * cancelled return the cancel code and so does this; children that were done before the
 * cancel came have succeeded. */
FERRY_CO int ferry_scope_join(ferry_scope *s);

/* Closes a root scope without tasks, without waiting. */
void ferry_scope_done(ferry_scope *s);

/* The code the running task would get from ferry_park() now: 0, or a cancel code. */
int ferry_cancelled(void);

#endif
