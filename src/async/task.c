/* Tasks: coroutines that a scheduler runs. Owns the ready list and what runs now.
 *
 *              spawn                 drain                      fn returns
 *      (none) -------> READY ----------------------> RUNNING -------------> (gone)
 *                        ^                              |
 *                        '------- ferry_wake --- PARKED <- ferry_park
 */
#include "async/internal.h"
#include "base/alloc.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Tasks run in one drain before the uv loop gets its turn again: a ping-pong between tasks
 * must not starve the caller's other handles. */
#define DRAIN_BUDGET 512

static _Thread_local ferry_task *current;

ferry_task *ferry_self(void)
{
    return current;
}

ferry_loop *ferry_self_loop(void)
{
    assert(current && "called outside a task");
    return current->loop;
}

const char *ferry_task_name(const ferry_task *t)
{
    return t->name;
}

static void task_main(void *arg)
{
    ferry_task *t = arg;
    int r = t->fn(t->arg);

    assert(t->scope == t->home && "a task ended with a scope of its own still open");
    ferry_scope_task_ended(t, r);
}

int ferry_task_new(ferry_scope *s, const char *name, ferry_task_fn fn, void *arg)
{
    ferry_task *t = ferry_zalloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    *t = (ferry_task){.loop = s->loop,
                      .name = name,
                      .fn = fn,
                      .arg = arg,
                      .home = s,
                      .scope = s};
    ferry_list_init(&t->ready);
    int r = ferry_co_new(&s->loop->stacks, task_main, t, &t->co);
    if (r < 0) {
        free(t);
        return r;
    }
    ferry_list_append(&s->tasks, &t->link);
    s->loop->ntasks++;
    ferry_wake(t);
    return 0;
}

static void end(ferry_task *t)
{
    FERRY_TRACE(async, "task %s ended", t->name);
    t->loop->ntasks--;
    ferry_list_remove(&t->ready);
    ferry_co_delete(t->co);
    free(t);
}

static void run(ferry_task *t)
{
    ferry_task *outer = current;
    assert(!outer && "a task may not be run from inside another");
    current = t;
    ferry_co_resume(t->co);
    current = outer;
    if (ferry_co_finished(t->co))
        end(t);
}

void ferry_drain(ferry_loop *loop)
{
    if (loop->draining)
        return; /* a task's uv call came back here; the outer drain goes on */
    loop->draining = true;
    ferry_loop_ref(loop);
    unsigned budget = DRAIN_BUDGET;
    while (budget-- > 0) {
        ferry_list *l = ferry_list_pop(&loop->ready);
        if (!l)
            break;
        run(ferry_container(l, ferry_task, ready));
    }
    loop->draining = false;
    ferry_loop_drained(loop);
    ferry_loop_unref(loop);
}

void ferry_wake(ferry_task *t)
{
    if (!ferry_list_empty(&t->ready) || t == current)
        return;
    ferry_list_append(&t->loop->ready, &t->ready);
    ferry_loop_want_drain(t->loop);
}

void ferry_park_deaf(void)
{
    assert(current && "only a task can park");
    ferry_co_yield(current->co);
}

int ferry_cancelled(void)
{
    assert(current && "called outside a task");
    return ferry_scope_code(current->scope);
}

int ferry_park(void)
{
    int r = ferry_cancelled();
    if (r < 0)
        return r;
    ferry_park_deaf();
    return ferry_cancelled();
}

int ferry_yield(void)
{
    int r = ferry_cancelled();
    if (r < 0)
        return r;
    ferry_list_append(&current->loop->ready, &current->ready);
    ferry_park_deaf();
    return ferry_cancelled();
}
