/* Our side of the bench: does what bench.py asks, one command a line, and answers each with
 * one line of JSON. Times are taken here, so that neither pipe nor Python is in them.
 *
 *      bench.py --"upload SRC DST 0"--> worker --ferry_upload()--> appliance
 *               <--{"s": 1.234}--------
 *
 * Only the public API; the blocking layer where one thing is done at a time, ops where many are
 * in flight. peer_libguestfs.py answers the same commands. Words hold no spaces: bench.py
 * makes all the names. */
#include "worker.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FLIGHT_MAX 256

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

const char *word(const struct worker *w, int i)
{
    return i < w->n ? w->word[i] : "";
}

int number(const struct worker *w, int i)
{
    return atoi(word(w, i));
}

/* ---- the VM ------------------------------------------------------------------------ */

/* launch IMAGE: until the appliance has answered a call. $BENCH_BACKEND: another than direct. */
static int cmd_launch(struct worker *w)
{
    const ferry_vm_opts opts = {.size = sizeof opts,
                                .accel = FERRY_ACCEL_TCG,
                                .backend = getenv("BENCH_BACKEND")};
    char **devices = NULL;
    int r = ferry_vm_new(w->ctx, &opts, &w->vm, &w->e);
    if (r == 0)
        r = ferry_add_drive(w->vm, word(w, 1), NULL, &w->e);
    if (r == 0)
        r = ferry_launch(w->vm, &w->e);
    if (r == 0)
        r = ferry_list_devices(w->vm, &devices, &w->e);
    if (r == 0)
        ferry_strings_free(devices);
    return r;
}

static int cmd_mount(struct worker *w)
{
    return ferry_mount(w->vm, word(w, 1), "/", &w->e);
}

static int cmd_shutdown(struct worker *w)
{
    int r = ferry_shutdown(w->vm, &w->e);
    ferry_vm_free(w->vm);
    w->vm = NULL;
    return r;
}

static int cmd_mkdir(struct worker *w)
{
    return ferry_mkdir(w->vm, word(w, 1), NULL, &w->e);
}

static int cmd_rm(struct worker *w)
{
    return ferry_rm_rf(w->vm, word(w, 1), &w->e);
}

static int cmd_sync(struct worker *w)
{
    return ferry_sync(w->vm, &w->e);
}

/* ---- transfers --------------------------------------------------------------------- */

/* upload SRC DST SYNC */
static int cmd_upload(struct worker *w)
{
    int r = ferry_upload(w->vm, word(w, 1), word(w, 2), NULL, &w->e);
    if (r == 0 && number(w, 3))
        r = ferry_sync(w->vm, &w->e);
    return r;
}

/* download SRC DST */
static int cmd_download(struct worker *w)
{
    return ferry_download(w->vm, word(w, 1), word(w, 2), NULL, &w->e);
}

/* copy_in LOCAL DIR, flushed; copy_out PATH LOCAL */
static int cmd_copy_in(struct worker *w)
{
    int r = ferry_copy_in(w->vm, word(w, 1), word(w, 2), NULL, &w->e);
    return r == 0 ? ferry_sync(w->vm, &w->e) : r;
}

static int cmd_copy_out(struct worker *w)
{
    return ferry_copy_out(w->vm, word(w, 1), word(w, 2), NULL, &w->e);
}

/* ---- many of one kind -------------------------------------------------------------- */

typedef int start_fn(struct worker *w, int i, ferry_op **ret);

static int end_op(struct worker *w, ferry_op *op)
{
    int r = ferry_op_wait(op, -1);
    if (r == 0)
        r = ferry_op_error(op, &w->e);
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

static int start_small(struct worker *w, int i, ferry_op **ret)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%d", word(w, 2), i);
    return ferry_upload_start(w->vm, word(w, 1), path, NULL, ret, &w->e);
}

/* small SRC DIR COUNT FLIGHT */
static int cmd_small(struct worker *w)
{
    char path[256];
    int r = 0;
    if (number(w, 4) > 1)
        return in_flight(w, number(w, 3), number(w, 4), start_small);
    for (int i = 0; i < number(w, 3) && r == 0; i++) {
        snprintf(path, sizeof path, "%s/%d", word(w, 2), i);
        r = ferry_upload(w->vm, word(w, 1), path, NULL, &w->e);
    }
    return r;
}

static int start_stat(struct worker *w, int i, ferry_op **ret)
{
    (void)i;
    return ferry_stat_start(w->vm, word(w, 1), ret, &w->e);
}

/* stat PATH COUNT FLIGHT */
static int cmd_stat(struct worker *w)
{
    ferry_stat_info info;
    int r = 0;
    if (number(w, 3) > 1)
        return in_flight(w, number(w, 2), number(w, 3), start_stat);
    for (int i = 0; i < number(w, 2) && r == 0; i++)
        r = ferry_stat(w->vm, word(w, 1), &info, &w->e);
    return r;
}

/* ---- commands ---------------------------------------------------------------------- */

static const struct command {
    const char *name;
    int (*run)(struct worker *w);
} commands[] = {
    {"launch", cmd_launch},
    {"mount", cmd_mount},
    {"shutdown", cmd_shutdown},
    {"mkdir", cmd_mkdir},
    {"rm", cmd_rm},
    {"sync", cmd_sync},
    {"upload", cmd_upload},
    {"copy_in", cmd_copy_in},
    {"copy_out", cmd_copy_out},
    {"small", cmd_small},
    {"stat", cmd_stat},
    {"download", cmd_download},
    {"cancel", cmd_cancel},
    {"cancel_launch", cmd_cancel_launch},
    {"template", cmd_template},
    {"clones", cmd_clones},
    {"end_clones", cmd_end_clones},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void run(struct worker *w, char *line)
{
    char *at;
    w->n = 0;
    for (char *s = strtok_r(line, " \n", &at); s && w->n < WORDS_MAX;
         s = strtok_r(NULL, " \n", &at))
        w->word[w->n++] = s;

    const struct command *c = find(word(w, 0));
    w->more[0] = '\0';
    double start = now();
    int r = c ? c->run(w) : -FERRY_ENOSYS;
    double took = now() - start;
    if (r < 0)
        printf("{\"error\": %d}\n", r);
    else
        printf("{\"s\": %.6f%s}\n", took, w->more);
    fflush(stdout);
    if (r < 0)
        fprintf(stderr, "bench_worker: %s: %s\n", word(w, 0), c ? w->e.msg : "what?");
}

int main(void)
{
    struct worker w = {0};
    char line[4096];
    if (ferry_ctx_new(&w.ctx, &w.e) < 0) {
        fprintf(stderr, "bench_worker: %s\n", w.e.msg);
        return 1;
    }
    while (fgets(line, sizeof line, stdin))
        run(&w, line);
    ferry_vm_free(w.vm);
    ferry_ctx_free(w.ctx);
    return 0;
}
