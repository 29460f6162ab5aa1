/* Our side of the bench: does what a Side asks, one command a line, and answers each with
 * one line of JSON. Times are taken here, so that neither pipe nor Python is in them.
 *
 *      side.py --"upload SRC DST 0"--> worker --ferry_upload()--> appliance
 *               <--{"s": 1.234}--------
 *
 * Only the public API; the blocking layer where one thing is done at a time, ops where many are
 * in flight. peer_libguestfs.py answers the same commands. Words hold no spaces: the bench
 * makes all the names. */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* launch IMAGE...: until the appliance has answered a call. $BENCH_BACKEND: another than direct. */
static int cmd_launch(struct worker *w)
{
    const ferry_vm_opts opts = {.size = sizeof opts,
                                .accel = FERRY_ACCEL_TCG,
                                .backend = getenv("BENCH_BACKEND")};
    char **devices = NULL;
    int r = ferry_vm_new(w->ctx, &opts, &w->vm, &w->e);
    for (int i = 1; i < w->n && r == 0; i++)
        r = ferry_add_drive(w->vm, word(w, i), NULL, &w->e);
    if (r == 0)
        r = ferry_launch(w->vm, &w->e);
    if (r == 0)
        r = ferry_list_devices(w->vm, &devices, &w->e);
    if (r == 0)
        ferry_strings_free(devices);
    return r;
}

/* mount DEVICE DIRECTORY */
static int cmd_mount(struct worker *w)
{
    return ferry_mount(w->vm, word(w, 1), word(w, 2), &w->e);
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
    {"many_in", cmd_many_in},
    {"many_out", cmd_many_out},
    {"cats", cmd_cats},
    {"limit", cmd_limit},
    {"stat", cmd_stat},
    {"download", cmd_download},
    {"cancel", cmd_cancel},
    {"cancel_launch", cmd_cancel_launch},
    {"slow_readers", cmd_slow_readers},
    {"end_slow_readers", cmd_end_slow_readers},
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

/* Into JSON, as plain text. */
static void print_error(struct worker *w, int r, const char *msg)
{
    char text[sizeof w->e.msg];
    size_t n = 0;
    for (; msg[n] && n < sizeof text - 1; n++)
        text[n] = msg[n] < ' ' || msg[n] == '"' || msg[n] == '\\' ? '\'' : msg[n];
    text[n] = '\0';
    printf("{\"error\": %d, \"message\": \"%s\"}\n", r, text);
}

static void run(struct worker *w, char *line)
{
    char *at;
    w->n = 0;
    w->e.msg[0] = '\0';
    for (char *s = strtok_r(line, " \n", &at); s && w->n < WORDS_MAX;
         s = strtok_r(NULL, " \n", &at))
        w->word[w->n++] = s;

    const struct command *c = find(word(w, 0));
    w->more[0] = '\0';
    double start = now();
    int r = c ? c->run(w) : -FERRY_ENOSYS;
    double took = now() - start;
    if (r < 0)
        print_error(w, r, c ? w->e.msg : "no such command");
    else
        printf("{\"s\": %.6f%s}\n", took, w->more);
    fflush(stdout);
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
