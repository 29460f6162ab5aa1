/* Work that is joined has run when the call returns, or never will: cancelled in the line, it is
 * taken out of it; cancelled on a thread, it is waited for. What is in a hurry passes the line; bulk and what
 * is short leave each other a thread.
 *
 * The line is where a cancelled upload or download in the daemon once waited longest: its clean-up
 * was behind the reads and writes of all the others, 2 MiB each. */
#include "async/internal.h"
#include "async/work.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct work {
    enum ferry_work_pace pace;
    int fd; /* -1, or it ends when there is a byte */
    atomic_bool began, ran;
    int result; /* 1: not back yet */
};

static void run(void *arg)
{
    struct work *w = arg;
    char byte;
    atomic_store(&w->began, true);
    if (w->fd >= 0 && read(w->fd, &byte, 1) != 1)
        abort();
    atomic_store(&w->ran, true);
}

static FERRY_CO int joins(void *arg)
{
    struct work *w = arg;
    w->result = ferry_work_joined(run, w, w->pace);
    return 0;
}

static FERRY_CO void start(ferry_scope *s, struct work *w, int fd)
{
    w->fd = fd;
    w->result = 1;
    check_eq(ferry_spawn(s, "joins", joins, w), 0);
}

/* All places that work of a pace can have, and a gate before their end. */
struct full {
    struct work work[FERRY_POOL_SHARE];
    int n;
    ferry_scope scope;
    int gate[2];
};

static FERRY_CO void fill(struct full *f, enum ferry_work_pace pace)
{
    f->n = FERRY_POOL_SHARE;
    check_eq(pipe2(f->gate, O_CLOEXEC), 0);
    ferry_scope_open(&f->scope, 0);
    for (int i = 0; i < f->n; i++) {
        f->work[i].pace = pace;
        start(&f->scope, &f->work[i], f->gate[0]);
    }
    for (int i = 0; i < f->n; i++)
        while (!atomic_load(&f->work[i].began))
            ferry_yield();
}

/* A byte for each: so many may end. */
static void open_gate(struct full *f, int n)
{
    for (int i = 0; i < n; i++)
        check_eq(write(f->gate[1], ".", 1), 1);
}

/* `gone` of them have ended before. */
static FERRY_CO void empty(struct full *f, int gone)
{
    open_gate(f, f->n - gone);
    check_eq(ferry_scope_join(&f->scope), 0);
    for (int i = 0; i < f->n; i++) {
        check(f->work[i].ran);
        check_eq(f->work[i].result, 0);
    }
    check_eq(ferry_self_loop()->pool_share.free, FERRY_POOL_PLACES + FERRY_POOL_SPARE);
    close(f->gate[0]);
    close(f->gate[1]);
}

static FERRY_CO int in_the_line(void *arg)
{
    struct full f = {0};
    struct work w = {.pace = FERRY_WORK_IN_TURN};
    ferry_scope s;
    (void)arg;
    fill(&f, FERRY_WORK_IN_TURN);
    ferry_scope_open(&s, 0);
    start(&s, &w, -1);
    let_others_park();
    check_eq(w.result, 1);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_scope_join(&s), 0); /* though all the places are taken */
    check_eq(w.result, -FERRY_ECANCELED);
    empty(&f, 0);
    check(!w.began);
    return 0;
}

static FERRY_CO int on_a_thread(void *arg)
{
    struct full f = {0};
    (void)arg;
    fill(&f, FERRY_WORK_IN_TURN);
    ferry_scope_cancel(&f.scope, -FERRY_ECANCELED);
    let_others_park();
    for (int i = 0; i < f.n; i++)
        check_eq(f.work[i].result, 1);
    empty(&f, 0); /* has run, and says so: a result beats a cancel */
    return 0;
}

/* Every place that `slow` work can have is taken by it, and one more waits: three of `fast` get
 * through, and the one that waits has its turn when the first of its own kind has ended. */
static FERRY_CO void passes(enum ferry_work_pace slow, enum ferry_work_pace fast)
{
    struct full f = {0};
    struct work waits = {.pace = slow}, hurries[3] = {0};
    ferry_scope line, pass;
    fill(&f, slow);
    ferry_scope_open(&line, 0);
    start(&line, &waits, -1);
    let_others_park();
    ferry_scope_open(&pass, 0);
    for (int i = 0; i < 3; i++) {
        hurries[i].pace = fast;
        start(&pass, &hurries[i], -1);
    }
    check_eq(ferry_scope_join(&pass), 0);
    for (int i = 0; i < 3; i++)
        check(hurries[i].ran && hurries[i].result == 0);
    check_eq(waits.result, 1);
    open_gate(&f, 1);
    check_eq(ferry_scope_join(&line), 0);
    check_eq(waits.result, 0);
    empty(&f, 1);
}

static FERRY_CO int in_a_hurry(void *arg)
{
    (void)arg;
    passes(FERRY_WORK_IN_TURN, FERRY_WORK_IN_A_HURRY);
    passes(FERRY_WORK_BULK, FERRY_WORK_IN_A_HURRY);
    return 0;
}

/* Sixteen uploads kept a small file waiting until each had written two pieces. Nor do endless short ones keep
 * an upload waiting. */
static FERRY_CO int short_beside_bulk(void *arg)
{
    (void)arg;
    passes(FERRY_WORK_BULK, FERRY_WORK_IN_TURN);
    passes(FERRY_WORK_IN_TURN, FERRY_WORK_BULK);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(in_the_line),
        TEST_ON_UV(on_a_thread),
        TEST_ON_UV(in_a_hurry),
        TEST_ON_UV(short_beside_bulk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
