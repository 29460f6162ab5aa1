/* The worker's commands that cancel: each sample starts work, lets it run for a random while,
 * asks for its end, and measures until it has ended. Answers with the samples:
 *
 *      {"s": 2.1, "ms": [0.412, ...], "missed": 3}      missed: it had ended by itself
 *
 * Work is named as bench/cancel.py has it: KIND:SOURCE:DESTINATION, KIND up or down. */
#include "worker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLIGHT_MAX 64
#define SAMPLES_MAX 1000

struct samples {
    double ms[SAMPLES_MAX];
    int n, missed;
};

/* ---- one sample ---------------------------------------------------------------------------- */

static void let_run(double ms)
{
    struct timespec t = {(time_t)(ms / 1e3), (long)(ms * 1e6) % 1000000000};
    nanosleep(&t, NULL);
}

static double random_ms(int from, int to)
{
    return from + (double)(to - from) * rand() / RAND_MAX;
}

/* Cancels, waits, gives the op back. False: it had ended before. */
static bool cancel(ferry_op *op, struct samples *s)
{
    if (ferry_op_poll(op, NULL) != FERRY_OP_PENDING)
        return false;
    double start = now();
    ferry_op_cancel(op);
    ferry_op_wait(op, -1);
    double took = (now() - start) * 1e3;
    bool cancelled = ferry_op_poll(op, NULL) == FERRY_OP_CANCELLED;
    if (cancelled && s->n < SAMPLES_MAX)
        s->ms[s->n++] = took;
    return cancelled;
}

static int answer(struct worker *w, const struct samples *s)
{
    size_t at = (size_t)snprintf(w->more, sizeof w->more, ", \"missed\": %d, \"ms\": [",
                                 s->missed);
    for (int i = 0; i < s->n && at < sizeof w->more - 16; i++)
        at += (size_t)snprintf(w->more + at, sizeof w->more - at, "%s%.3f",
                               i ? ", " : "", s->ms[i]);
    snprintf(w->more + at, sizeof w->more - at, "]");
    return 0;
}

/* ---- transfers -------------------------------------------------------------------------------- */

/* `which` tells those apart that are in flight at once. */
static int start(struct worker *w, const char *work, int which, ferry_op **ret)
{
    char kind[8], source[512], destination[480], target[512];
    if (sscanf(work, "%7[^:]:%511[^:]:%479s", kind, source, destination) != 3)
        return -FERRY_EINVAL;
    snprintf(target, sizeof target, "%s.%d", destination, which);
    return strcmp(kind, "up") == 0
               ? ferry_upload_start(w->vm, source, target, NULL, ret, &w->e)
               : ferry_download_start(w->vm, source, target, NULL, ret, &w->e);
}

static void end_all(ferry_op **ops, int n)
{
    for (int i = 0; i < n; i++) {
        ferry_op_cancel(ops[i]);
        ferry_op_wait(ops[i], -1);
        ferry_op_free(ops[i]);
    }
}

/* Takes samples of any of the `n` ops in flight, each of which is started again. An op's kind goes by
 * its place: work[i % 2]. */
static int sample(struct worker *w, const char *const work[2], ferry_op **ops, int n,
                  int count, int from, int to, struct samples *s)
{
    while (s->n < count && s->missed < 10 * count) {
        int i = rand() % n;
        let_run(random_ms(from, to));
        s->missed += !cancel(ops[i], s);
        ferry_op_free(ops[i]);
        ops[i] = NULL;
        int r = start(w, work[i % 2], i, &ops[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* cancel COUNT FROM_MS TO_MS FLIGHT WORK [WORK2]: WORK2 is that of every second one in flight. */
int cmd_cancel(struct worker *w)
{
    ferry_op *ops[FLIGHT_MAX] = {0};
    struct samples s = {0};
    int flight = number(w, 4) < FLIGHT_MAX ? number(w, 4) : FLIGHT_MAX, r = 0;
    const char *const work[2] = {word(w, 5), w->n > 6 ? word(w, 6) : word(w, 5)};
    for (int i = 0; i < flight && r == 0; i++)
        r = start(w, work[i % 2], i, &ops[i]);
    if (r == 0)
        r = sample(w, work, ops, flight, number(w, 1), number(w, 2), number(w, 3), &s);
    for (int i = 0; i < flight; i++)
        if (ops[i])
            end_all(&ops[i], 1);
    return r < 0 ? r : answer(w, &s);
}

/* ---- launches ------------------------------------------------------------------------------------ */

/* cancel_launch IMAGE COUNT FROM_MS TO_MS */
int cmd_cancel_launch(struct worker *w)
{
    const ferry_vm_opts opts = {.size = sizeof opts, .accel = FERRY_ACCEL_TCG};
    struct samples s = {0};
    int r = 0;
    while (r == 0 && s.n < number(w, 2) && s.missed < number(w, 2)) {
        ferry_vm *vm = NULL;
        ferry_op *op = NULL;
        r = ferry_vm_new(w->ctx, &opts, &vm, &w->e);
        if (r == 0)
            r = ferry_add_drive(vm, word(w, 1), NULL, &w->e);
        if (r == 0)
            r = ferry_launch_start(vm, &op, &w->e);
        if (r == 0) {
            let_run(random_ms(number(w, 3), number(w, 4)));
            s.missed += !cancel(op, &s);
            end_all(&op, 1);
        }
        ferry_vm_free(vm);
    }
    return r < 0 ? r : answer(w, &s);
}
