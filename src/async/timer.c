/* Timers of one loop: an intrusive pairing heap, so that starting one cannot fail.
 *
 *      root --child--> a --sibling--> b --sibling--> c        prev: left sibling, or the
 *                      '--child--> ...                         parent for a first child
 *
 * (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap", 1986.) One uv_timer stands for
 * the earliest; a fake loop has none and is told the time. */
#include "async/internal.h"

#include <errno.h>

/* The latest due time there is: "no timeout" as a very large one must not wrap. */
#define NEVER (UINT64_MAX - 1)

static bool earlier(const ferry_timer *a, const ferry_timer *b)
{
    return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static ferry_timer *meld(ferry_timer *a, ferry_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (earlier(b, a)) {
        ferry_timer *swap = a;
        a = b;
        b = swap;
    }
    b->sibling = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    b->prev = a;
    a->sibling = NULL;
    a->prev = NULL;
    return a;
}

/* Melds a list of siblings in pairs, left to right, then the pairs right to left. */
static ferry_timer *meld_siblings(ferry_timer *first)
{
    ferry_timer *pairs = NULL;
    while (first) {
        ferry_timer *a = first, *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->prev = NULL;
        if (b)
            b->sibling = b->prev = NULL;
        ferry_timer *pair = meld(a, b);
        pair->sibling = pairs; /* a stack, through the sibling links */
        pairs = pair;
    }
    ferry_timer *root = NULL;
    while (pairs) {
        ferry_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void take_out(ferry_loop *loop, ferry_timer *t)
{
    ferry_timer *rest = meld_siblings(t->child);
    t->child = NULL;
    if (loop->timers == t) {
        loop->timers = rest;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->sibling;
        else
            t->prev->sibling = t->sibling;
        if (t->sibling)
            t->sibling->prev = t->prev;
        loop->timers = meld(loop->timers, rest);
    }
    t->prev = t->sibling = NULL;
    t->loop = NULL;
}

uint64_t ferry_timers_next(const ferry_loop *loop)
{
    return loop->timers ? loop->timers->due : UINT64_MAX;
}

static void on_uv_timer(uv_timer_t *h)
{
    ferry_timers_fire(h->data);
}

static void arm(ferry_loop *loop, uint64_t at_least)
{
    uint64_t due = ferry_timers_next(loop), now = uv_now(loop->uv);
    if (due == UINT64_MAX)
        uv_timer_stop(&loop->timer);
    else
        uv_timer_start(&loop->timer, on_uv_timer,
                       due > now + at_least ? due - now : at_least, 0);
}

void ferry_timers_rearm(ferry_loop *loop)
{
    if (loop->uv && !loop->firing)
        arm(loop, 0);
}

void ferry_timer_start(ferry_loop *loop, ferry_timer *t, uint64_t ms,
                       void (*fire)(ferry_timer *t))
{
    ferry_timer_stop(t);
    uint64_t now = ferry_loop_now(loop);
    *t = (ferry_timer){.loop = loop,
                       .due = ms < NEVER - now ? now + ms : NEVER,
                       .seq = loop->timer_seq++,
                       .fire = fire};
    loop->timers = meld(loop->timers, t);
    if (loop->timers == t)
        ferry_timers_rearm(loop);
}

/* A stopped earliest timer leaves the uv_timer armed: it fires once for nothing, which is
 * cheaper than rearming at every start and stop of a call's deadline. */
void ferry_timer_stop(ferry_timer *t)
{
    if (t->loop)
        take_out(t->loop, t);
}

/* Those that are due now and were started before now: a timer that starts itself again with
 * 0 ms comes in a later turn, or this would never end. (Its due time is not before that of
 * any older one that is due, and its seq is larger: it is behind all of them.) */
void ferry_timers_fire(ferry_loop *loop)
{
    uint64_t now = ferry_loop_now(loop), first_new = loop->timer_seq;
    loop->firing = true;
    while (loop->timers && loop->timers->due <= now && loop->timers->seq < first_new) {
        ferry_timer *t = loop->timers;
        take_out(loop, t);
        t->fire(t);
    }
    loop->firing = false;
    if (loop->uv)
        arm(loop, 1); /* 0 would run again in this very pass over libuv's timers */
}

struct sleeper {
    ferry_timer timer;
    ferry_task *task;
    bool over;
};

static void sleep_over(ferry_timer *t)
{
    struct sleeper *s = ferry_container(t, struct sleeper, timer);
    s->over = true;
    ferry_wake(s->task);
}

int ferry_sleep(uint64_t ms)
{
    struct sleeper s = {.task = ferry_self()};
    int r = 0;

    ferry_timer_start(ferry_self_loop(), &s.timer, ms, sleep_over);
    while (!s.over && r == 0)
        r = ferry_park();
    ferry_timer_stop(&s.timer);
    return s.over ? 0 : r;
}
