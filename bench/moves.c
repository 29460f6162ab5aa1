/* The worker's commands that move files, one at a time and many at once, and small calls beside them. */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLIGHT_MAX 256
#define LIMIT_TRIES                                                                    \
    6000 /* of 50 ms: a guest that never answers ends the measurement, not the bench */

/* ---- one ---------------------------------------------------------------------------------- */

/* upload SRC DST SYNC [VERIFY] */
int cmd_upload(struct worker *w)
{
    const ferry_upload_opts opts = {.size = sizeof opts, .verify = number(w, 4)};
    int r = ferry_upload(w->vm, word(w, 1), word(w, 2), &opts, &w->e);
    return r == 0 && number(w, 3) ? ferry_sync(w->vm, &w->e) : r;
}

/* download SRC DST [VERIFY] */
int cmd_download(struct worker *w)
{
    const ferry_download_opts opts = {.size = sizeof opts, .verify = number(w, 3)};
    return ferry_download(w->vm, word(w, 1), word(w, 2), &opts, &w->e);
}

/* copy_in LOCAL DIR, flushed */
int cmd_copy_in(struct worker *w)
{
    int r = ferry_copy_in(w->vm, word(w, 1), word(w, 2), NULL, &w->e);
    return r == 0 ? ferry_sync(w->vm, &w->e) : r;
}

/* copy_out PATH LOCAL */
int cmd_copy_out(struct worker *w)
{
    return ferry_copy_out(w->vm, word(w, 1), word(w, 2), NULL, &w->e);
}

/* ---- many of one kind ----------------------------------------------------------------------- */

typedef int start_fn(struct worker *w, int i, ferry_op **ret);

static int end_op(struct worker *w, ferry_op *op)
{
    while (ferry_op_wait(op, -1) == -FERRY_EINTR)
        ;
    int r = ferry_op_error(op, &w->e);
    ferry_op_free(op);
    return r;
}

/* `count` ops, `flight` of them at a time, awaited in the order of their starts. */
static int in_flight(struct worker *w, int count, int flight, start_fn *start)
{
    ferry_op *ops[FLIGHT_MAX] = {0};
    int r = 0, ended = 0, started = 0;
    flight = flight < FLIGHT_MAX ? flight : FLIGHT_MAX;
    while (ended < started || (r == 0 && started < count)) {
        if (r == 0 && started < count && started - ended < flight) {
            r = start(w, started, &ops[started % flight]);
            started += r == 0;
            continue;
        }
        int one = end_op(w, ops[ended++ % flight]);
        r = r < 0 ? r : one;
    }
    return r;
}

static int start_in(struct worker *w, int i, ferry_op **ret)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%d", word(w, 2), i);
    return ferry_upload_start(w->vm, word(w, 1), path, NULL, ret, &w->e);
}

static int in_sequence(struct worker *w)
{
    char path[256];
    int r = 0;
    for (int i = 0; i < number(w, 3) && r == 0; i++) {
        snprintf(path, sizeof path, "%s/%d", word(w, 2), i);
        r = ferry_upload(w->vm, word(w, 1), path, NULL, &w->e);
    }
    return r;
}

/* many_in SRC DIR COUNT FLIGHT SYNC: the same file, under COUNT names */
int cmd_many_in(struct worker *w)
{
    int r = number(w, 4) > 1 ? in_flight(w, number(w, 3), number(w, 4), start_in)
                             : in_sequence(w);
    return r == 0 && number(w, 5) ? ferry_sync(w->vm, &w->e) : r;
}

static int start_out(struct worker *w, int i, ferry_op **ret)
{
    char from[256], to[512];
    snprintf(from, sizeof from, "%s/%d", word(w, 1), i);
    snprintf(to, sizeof to, "%s/%d", word(w, 2), i);
    return ferry_download_start(w->vm, from, to, NULL, ret, &w->e);
}

/* many_out DIR LOCAL COUNT FLIGHT: what many_in has made */
int cmd_many_out(struct worker *w)
{
    return in_flight(w, number(w, 3), number(w, 4), start_out);
}

static int start_stat(struct worker *w, int i, ferry_op **ret)
{
    (void)i;
    return ferry_stat_start(w->vm, word(w, 1), ret, &w->e);
}

/* stat PATH COUNT FLIGHT */
int cmd_stat(struct worker *w)
{
    ferry_stat_info info;
    int r = 0;
    if (number(w, 3) > 1)
        return in_flight(w, number(w, 2), number(w, 3), start_stat);
    for (int i = 0; i < number(w, 2) && r == 0; i++)
        r = ferry_stat(w->vm, word(w, 1), &info, &w->e);
    return r;
}

/* ---- small ones beside large ones ------------------------------------------------------------- */

static int timed_cat(struct worker *w, double *ret_ms)
{
    void *data = NULL;
    size_t len;
    double start = now();
    int r = ferry_download_mem(w->vm, word(w, 1), NULL, &data, &len, &w->e);
    *ret_ms = (now() - start) * 1e3;
    free(data);
    return r;
}

/* Every one that has ended is begun again. */
static int keep_going(struct worker *w, ferry_op **ops, int n)
{
    int r = 0;
    for (int i = 0; i < n && r == 0; i++) {
        if (ops[i] && ferry_op_poll(ops[i], NULL) == FERRY_OP_PENDING)
            continue;
        if (ops[i])
            r = end_op(w, ops[i]);
        ops[i] = NULL;
        if (r == 0)
            r = start_in(w, i, &ops[i]);
    }
    return r;
}

static uint64_t moved(ferry_op **ops, int n)
{
    uint64_t sum = 0;
    ferry_progress p;
    for (int i = 0; i < n; i++) {
        ferry_op_poll(ops[i], &p);
        sum += p.bytes;
    }
    return sum;
}

/* cats PATH ... is timed when the uploads beside it have begun to move. */
static int under_way(struct worker *w, ferry_op **ops, int n)
{
    const struct timespec pause = {0, 5000000};
    int r = keep_going(w, ops, n);
    while (r == 0 && n > 0 && moved(ops, n) == 0) {
        nanosleep(&pause, NULL);
        r = keep_going(w, ops, n);
    }
    return r;
}

/* cats PATH COUNT BESIDE SRC DIR: reads a small file COUNT times, while BESIDE uploads of SRC are
 * in flight. start_in() wants SRC and DIR as words 1 and 2. Answers {"ms": [of each]}. */
int cmd_cats(struct worker *w)
{
    struct worker load = *w;
    load.word[1] = w->word[4];
    load.word[2] = w->word[5];
    ferry_op *ops[FLIGHT_MAX] = {0};
    int n = number(w, 3) < FLIGHT_MAX ? number(w, 3) : FLIGHT_MAX;
    int r = under_way(&load, ops, n);

    size_t at = (size_t)snprintf(w->more, sizeof w->more, ", \"ms\": [");
    for (int i = 0; i < number(w, 2) && r == 0 && at < sizeof w->more - 16; i++) {
        double ms;
        r = keep_going(&load, ops, n);
        if (r == 0)
            r = timed_cat(w, &ms);
        if (r == 0)
            at += (size_t)snprintf(w->more + at, sizeof w->more - at, "%s%.3f",
                                   i ? ", " : "", ms);
    }
    snprintf(w->more + at, sizeof w->more - at, "]");

    for (int i = 0; i < n; i++)
        if (ops[i])
            ferry_op_cancel(ops[i]);
    for (int i = 0; i < n; i++)
        if (ops[i])
            end_op(&load, ops[i]);
    return r;
}

/* ---- the guest's limit ------------------------------------------------------------------------- */

/* limit KIND PATH MIB: see limit.c; answers {"guest_s": its seconds} */
int cmd_limit(struct worker *w)
{
    const struct timespec pause = {0, 50000000};
    char text[512];
    void *data = NULL;
    size_t len;
    snprintf(text, sizeof text, "%s %s %s\n", word(w, 1), word(w, 2), word(w, 3));
    int r = ferry_rm_rf(w->vm, "/limit.done", &w->e);
    if (r == 0)
        r = ferry_upload_mem(w->vm, text, strlen(text), "/limit.do", NULL, &w->e);
    for (int tries = 0; r == 0 && !data && tries < LIMIT_TRIES; tries++) {
        nanosleep(&pause, NULL);
        r = ferry_download_mem(w->vm, "/limit.done", NULL, &data, &len, &w->e);
        r = r == -FERRY_ENOENT ? 0 : r;
    }
    if (!data)
        return r < 0 ? r : -FERRY_ETIMEDOUT;
    double took = atof(data);
    free(data);
    snprintf(w->more, sizeof w->more, ", \"guest_s\": %.6f", took);
    return took > 0 ? 0 : -FERRY_EIO;
}
