/* However many of our requests hang: libuv's pool, which is the host program's, is not theirs to fill;
 * those beyond the share wait outside, in order; a cancelled one that is still outside never
 * runs; and one that hangs on when it is cancelled gives its share to the next. Once we used
 * libuv's pool, and a host program with UV_THREADPOOL_SIZE=1 and one hung request stood still. */
#include "async/internal.h"
#include "async/work.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS 10

struct hung {
    ferry_job job;
    int fd;     /* run() ends when there is a byte */
    int *began; /* how many were inside run(), and in which order they came */
    int order;
};

static void run_hung(ferry_job *job)
{
    struct hung *h = ferry_container(job, struct hung, job);
    char byte;
    h->order = __atomic_fetch_add(h->began, 1, __ATOMIC_SEQ_CST);
    if (read(h->fd, &byte, 1) != 1)
        abort();
}

static void free_hung(ferry_job *job)
{
    free(ferry_container(job, struct hung, job));
}

struct jobs {
    struct hung *job[JOBS];
    int began, next, result[JOBS];
};

static FERRY_CO int works(void *arg)
{
    struct jobs *all = arg;
    int i = all->next++;
    all->result[i] = ferry_work(&all->job[i]->job, FERRY_WORK_IN_TURN);
    return 0;
}

static void host_work(uv_work_t *w)
{
    (void)w;
}

struct host {
    uv_work_t work;
    ferry_task *waiter;
    bool done;
};

static void host_done(uv_work_t *w, int status)
{
    struct host *h = ferry_container(w, struct host, work);
    check_eq(status, 0);
    h->done = true;
    ferry_wake(h->waiter);
}

/* The host program's own work, with ours hanging: it gets through its one thread. */
static FERRY_CO void host_program_works(void)
{
    struct host h = {.waiter = ferry_self()};
    check_eq(uv_queue_work(ferry_self_loop()->uv, &h.work, host_work, host_done), 0);
    while (!h.done)
        ferry_park();
}

static void start(struct jobs *all, ferry_scope *s, int fd)
{
    for (int i = 0; i < JOBS; i++) {
        struct hung *h = calloc(1, sizeof *h);
        ferry_job_init(&h->job, run_hung, free_hung);
        h->fd = fd;
        h->began = &all->began;
        h->order = -1;
        all->job[i] = h;
        all->result[i] = 1;
        check_eq(ferry_spawn(s, "works", works, all), 0);
    }
    let_others_park();
}

static FERRY_CO int four_of_ten_hang(void *arg)
{
    struct jobs all = {0};
    int gate[2];
    ferry_scope s;
    (void)arg;
    check_eq(pipe2(gate, O_CLOEXEC), 0);
    ferry_scope_open(&s, 0);
    start(&all, &s, gate[0]);
    for (int i = 0; i < 3; i++)
        host_program_works();
    check(__atomic_load_n(&all.began, __ATOMIC_SEQ_CST) <= FERRY_POOL_SHARE);

    check_eq(write(gate[1], "..........", JOBS), JOBS);
    check_eq(ferry_scope_join(&s), 0);
    for (int i = 0; i < JOBS; i++) {
        check_eq(all.result[i], 0);
        check(all.job[i]->order / FERRY_POOL_SHARE <= i / FERRY_POOL_SHARE + 1);
        ferry_job_unref(&all.job[i]->job);
    }
    check_eq(ferry_self_loop()->pool_share.free, FERRY_POOL_PLACES + FERRY_POOL_SPARE);
    close(gate[0]);
    close(gate[1]);
    return 0;
}

static FERRY_CO int outside_never_runs(void *arg)
{
    struct jobs all = {0};
    int gate[2];
    ferry_scope s;
    (void)arg;
    check_eq(pipe2(gate, O_CLOEXEC), 0);
    ferry_scope_open(&s, 0);
    start(&all, &s, gate[0]);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    check_eq(ferry_scope_join(&s), 0); /* though some still hang */
    int running = 0;
    for (int i = 0; i < JOBS; i++) {
        check_eq(all.result[i], -FERRY_ECANCELED);
        running += all.job[i]->job.refs == 2;
        ferry_job_unref(&all.job[i]->job);
    }
    check(running <= FERRY_POOL_SHARE);

    check_eq(write(gate[1], "....", FERRY_POOL_SHARE), FERRY_POOL_SHARE);
    close(gate[1]);
    while (ferry_self_loop()->requests > 0)
        host_program_works();
    close(gate[0]);
    return 0;
}

/* Whatever number of requests hangs and is given up, the next ones run; until there are too many,
 * and those wait as long as they are given. */
static FERRY_CO int hung_threads_are_replaced(void *arg)
{
    struct jobs all[FERRY_POOL_HUNG_MAX / FERRY_POOL_SHARE + 2] = {0};
    int gate[2], began = 0;
    (void)arg;
    check_eq(pipe2(gate, O_CLOEXEC), 0);
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
        ferry_scope s;
        ferry_scope_open(&s, 0);
        start(&all[n], &s, gate[0]);
        int expected =
            began < FERRY_POOL_HUNG_MAX + FERRY_POOL_SHARE ? FERRY_POOL_SHARE : 0;
        while (__atomic_load_n(&all[n].began, __ATOMIC_SEQ_CST) < expected)
            ferry_yield();
        ferry_scope_cancel(&s, -FERRY_ECANCELED);
        check_eq(ferry_scope_join(&s), 0);
        check_eq(all[n].began, expected);
        began += expected;
        for (int i = 0; i < JOBS; i++)
            ferry_job_unref(&all[n].job[i]->job);
    }
    for (int i = 0; i < began; i++)
        check_eq(write(gate[1], ".", 1), 1);
    while (ferry_self_loop()->requests > 0)
        host_program_works();
    check_eq(ferry_self_loop()->pool_share.free, FERRY_POOL_PLACES + FERRY_POOL_SPARE);
    close(gate[0]);
    close(gate[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(four_of_ten_hang),
        TEST_ON_UV(outside_never_runs),
        TEST_ON_UV(hung_threads_are_replaced),
    };
    setenv("UV_THREADPOOL_SIZE", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
