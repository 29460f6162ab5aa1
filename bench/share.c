/* What the library itself costs of a launch from a template: all that is not qemu's, the guard's or
 * the guest's. One disk; the loop is ours, so that what it waits can be told from what it does.
 *
 *     ./dev build release && ./dev run gferry template build &&
 *         FERRY_PRESET=release ./dev run build/release/bin/bench_share [ROUNDS]
 *
 *     wall       from ferry_launch_start() to the callback
 *     busy       of it, the loop's thread was not waiting for events (uv_metrics_idle_time): what
 *                a launch would take if qemu and guest took no time at all, but for `pool`
 *     loop CPU   of the loop's thread
 *     pool CPU   of all other threads: finding the template, and comparing its digest, which runs
 *                beside the start of qemu
 *
 * Medians, and the least: other people's programs only ever add. */
#include <guestferry.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#define ROUNDS_MAX 200

enum { WALL, BUSY, LOOP, POOL, FIGURES };
static const char *const names[] = {"wall", "busy", "loop CPU", "pool CPU"};

static double figures[FIGURES][ROUNDS_MAX];

static double ms_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(int r, const ferry_error *e)
{
    if (r < 0) {
        fprintf(stderr, "bench_share: %s: %s\n", e->where, e->msg);
        exit(1);
    }
}

struct ended {
    double wall, loop, process;
    uint64_t idle_ns;
};

/* All at once. */
static struct ended look(uv_loop_t *loop)
{
    return (struct ended){
        .wall = ms_of(CLOCK_MONOTONIC),
        .loop = ms_of(CLOCK_THREAD_CPUTIME_ID),
        .process = ms_of(CLOCK_PROCESS_CPUTIME_ID),
        .idle_ns = uv_metrics_idle_time(loop),
    };
}

struct round {
    uv_loop_t loop;
    struct ended from, to;
    ferry_error e;
    int r;
};

static void on_launched(ferry_op *op, void *user)
{
    struct round *x = user;
    x->to = look(&x->loop);
    x->r = ferry_op_error(op, &x->e);
    ferry_op_free(op);
    uv_stop(&x->loop);
}

static void take(int i, const struct round *x)
{
    double wall = x->to.wall - x->from.wall, loop = x->to.loop - x->from.loop;
    figures[WALL][i] = wall;
    figures[BUSY][i] = wall - (double)(x->to.idle_ns - x->from.idle_ns) / 1e6;
    figures[LOOP][i] = loop;
    figures[POOL][i] = x->to.process - x->from.process - loop;
}

static void one_launch(int i)
{
    struct round x = {0};
    ferry_ctx *ctx = NULL;
    ferry_vm *vm = NULL;
    ferry_op *op = NULL;
    const ferry_vm_opts opts = {.size = sizeof opts,
                                .accel = FERRY_ACCEL_TCG,
                                .templates = FERRY_TEMPLATE_REQUIRE};
    uv_loop_init(&x.loop);
    uv_loop_configure(&x.loop, UV_METRICS_IDLE_TIME);
    must(ferry_ctx_new_on_loop(&x.loop, &ctx, &x.e), &x.e);
    must(ferry_vm_new(ctx, &opts, &vm, &x.e), &x.e);
    must(ferry_add_drive_scratch(vm, 64 << 20, &x.e), &x.e);

    x.from = look(&x.loop);
    must(ferry_launch_start(vm, &op, &x.e), &x.e);
    ferry_op_on_done(op, on_launched, &x);
    uv_run(&x.loop, UV_RUN_DEFAULT);
    must(x.r, &x.e);
    take(i, &x);

    ferry_vm_free(vm);
    ferry_ctx_close(ctx, NULL, NULL);
    uv_run(&x.loop, UV_RUN_DEFAULT);
    uv_loop_close(&x.loop);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 15;
    n = n < 1 ? 1 : n > ROUNDS_MAX ? ROUNDS_MAX : n;
    one_launch(0); /* what is only done once in a process, and warm caches */
    for (int i = 0; i < n; i++)
        one_launch(i);
    printf("%-10s %8s %8s   ms, %d launches\n", "", "median", "least", n);
    for (int f = 0; f < FIGURES; f++) {
        qsort(figures[f], (size_t)n, sizeof *figures[f], compare);
        printf("%-10s %8.1f %8.1f\n", names[f], figures[f][n / 2], figures[f][0]);
    }
    return 0;
}
