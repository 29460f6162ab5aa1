/* Scopes: who waits for whom, and how far a cancel reaches. See scope.h. */
#include "async/internal.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <guestferry/error.h>

static void init(ferry_scope *s, ferry_loop *loop, ferry_scope *parent, unsigned flags)
{
    *s = (ferry_scope){.loop = loop, .parent = parent, .flags = flags};
    ferry_list_init(&s->tasks);
    ferry_list_init(&s->scopes);
    ferry_list_init(&s->link);
    if (parent)
        ferry_list_append(&parent->scopes, &s->link);
}

void ferry_scope_open(ferry_scope *s, unsigned flags)
{
    ferry_task *self = ferry_self();
    assert(self && "a scope is opened by a task; see ferry_scope_open_root");
    init(s, self->loop, self->scope, flags);
    s->owner = self;
    self->scope = s;
}

void ferry_scope_open_root(ferry_scope *s, ferry_loop *loop, ferry_scope *parent,
                           unsigned flags)
{
    init(s, loop, parent, flags);
}

static void deadline_passed(ferry_timer *t)
{
    ferry_scope_cancel(ferry_container(t, ferry_scope, deadline), -FERRY_ETIMEDOUT);
}

void ferry_scope_deadline(ferry_scope *s, uint64_t ms)
{
    if (ms)
        ferry_timer_start(s->loop, &s->deadline, ms, deadline_passed);
    else
        ferry_timer_stop(&s->deadline);
}

int ferry_scope_code(const ferry_scope *s)
{
    for (; s; s = s->parent) {
        if (s->cancel)
            return s->cancel;
        if (s->flags & FERRY_SCOPE_SHIELD)
            return 0;
    }
    return 0;
}

int ferry_spawn(ferry_scope *s, const char *name, ferry_task_fn fn, void *arg)
{
    int r = ferry_scope_code(s);
    return r < 0 ? r : ferry_task_new(s, name, fn, arg);
}

/* Everybody the cancel of s reaches gets a look at it. Recursion is as deep as scopes nest. */
static void wake_all(ferry_scope *s)
{
    if (s->owner)
        ferry_wake(s->owner);
    ferry_list_each (ferry_task, t, &s->tasks, link)
        ferry_wake(t);
    ferry_list_each (ferry_scope, inner, &s->scopes, link)
        if (!(inner->flags & FERRY_SCOPE_SHIELD))
            wake_all(inner);
}

void ferry_scope_cancel(ferry_scope *s, int code)
{
    assert(code < 0 && "a cancel code is negative");
    if (s->cancel)
        return;
    s->cancel = code;
    wake_all(s);
}

void ferry_scope_task_ended(ferry_task *t, int result)
{
    ferry_scope *s = t->home;

    ferry_list_remove(&t->link);
    if (result < 0 && !(s->flags & FERRY_SCOPE_SUPERVISE)) {
        if (!s->error)
            s->error = result;
        ferry_scope_cancel(s, -FERRY_ECANCELED);
    }
    if (!ferry_list_empty(&s->tasks))
        return;
    if (s->joiner)
        ferry_wake(s->joiner);
    else if (s->empty)
        s->empty(s);
}

void ferry_scope_done(ferry_scope *s)
{
    assert(ferry_list_empty(&s->tasks) && "a scope closes after its tasks");
    assert(ferry_list_empty(&s->scopes) && "an inner scope closes before its outer");
    ferry_timer_stop(&s->deadline);
    ferry_list_remove(&s->link);
}

int ferry_scope_join(ferry_scope *s)
{
    ferry_task *self = ferry_self();
    assert((!s->owner || (s->owner == self && self->scope == s)) &&
           "a scope is joined by the task that opened it, inner before outer");
    assert(!s->joiner && "two tasks join one scope");

    s->joiner = self;
    while (!ferry_list_empty(&s->tasks))
        ferry_park_deaf();
    s->joiner = NULL;

    if (s->owner)
        self->scope = s->parent;
    ferry_scope_done(s);
    return s->error;
}
