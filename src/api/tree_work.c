/* Steps of a tree's reader or builder: see tree_work.h. */
#include "api/tree_work.h"

#include "async/scope.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* How long a cancelled op waits for a step that does not end. */
#define GRACE_MS 2000

/* Problems kept for somebody who does not take them. */
#define PROBLEMS 10000

struct problem {
    ferry_list link;
    int code;
    char path[];
};

/* ---- life ------------------------------------------------------------------------------- */

int ferry_tree_work_new(ferry_tree_work **ret)
{
    ferry_tree_work *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    atomic_init(&w->refs, 1);
    pthread_mutex_init(&w->lock, NULL);
    ferry_list_init(&w->problems);
    ferry_cond_init(&w->idle);
    *ret = w;
    return 0;
}

static struct problem *first(ferry_tree_work *w)
{
    if (ferry_list_empty(&w->problems))
        return NULL;
    return ferry_container(w->problems.next, struct problem, link);
}

void ferry_tree_work_unref(ferry_tree_work *w)
{
    if (!w || atomic_fetch_sub(&w->refs, 1) > 1)
        return;
    ferry_tree_reader_free(w->reader);
    ferry_tree_builder_free(w->builder);
    for (struct problem *p; (p = first(w));) {
        ferry_list_remove(&p->link);
        free(p);
    }
    pthread_mutex_destroy(&w->lock);
    free(w->src);
    free(w->dir);
    free(w->name);
    free(w->disks);
    free(w);
}

/* ---- steps -------------------------------------------------------------------------------- */

struct step {
    ferry_job job;
    ferry_tree_work *work;
    ferry_tree_step fn;
    ferry_slice piece;
    int result;
};

static void run_step(ferry_job *job)
{
    struct step *s = ferry_container(job, struct step, job);
    s->result = s->fn(s->work, &s->piece);
}

static void free_step(ferry_job *job)
{
    struct step *s = ferry_container(job, struct step, job);
    s->work->running = false;
    ferry_cond_wake(&s->work->idle);
    ferry_tree_work_unref(s->work);
    ferry_slice_done(&s->piece);
    free(s);
}

static FERRY_CO void wait_until_idle(ferry_tree_work *w)
{
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&shield, GRACE_MS);
    while (w->running && ferry_cond_wait(&w->idle) == 0)
        ;
    ferry_scope_join(&shield);
}

static FERRY_CO int step_at(ferry_tree_work *w, enum ferry_work_pace pace,
                            ferry_tree_step fn, const ferry_slice *piece)
{
    struct step *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    ferry_job_init(&s->job, run_step, free_step);
    atomic_fetch_add(&w->refs, 1);
    s->work = w;
    s->fn = fn;
    if (piece)
        s->piece = (ferry_slice){ferry_buf_ref(piece->buf), piece->data, piece->len};
    w->running = true;
    int r = ferry_work(&s->job, pace);
    int result = r == 0 ? s->result : r;
    ferry_job_unref(&s->job);
    if (r < 0) {
        atomic_store(&w->stop, r);
        wait_until_idle(w);
    }
    return result;
}

int ferry_tree_work_step(ferry_tree_work *w, ferry_tree_step fn,
                         const ferry_slice *piece)
{
    return step_at(w, FERRY_WORK_BULK, fn, piece);
}

static int drop_step(ferry_tree_work *w, ferry_slice *piece)
{
    (void)piece;
    ferry_tree_builder_free(w->builder);
    w->builder = NULL;
    return 0;
}

void ferry_tree_work_drop(ferry_tree_work *w)
{
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&shield, GRACE_MS);
    if (w->builder && !w->running)
        (void)step_at(w, FERRY_WORK_IN_A_HURRY, drop_step, NULL);
    ferry_scope_join(&shield);
}

/* ---- problems ------------------------------------------------------------------------------- */

int ferry_tree_work_problem(ferry_tree_work *w, const char *path, int code)
{
    if (code != 0 && !w->keep_going)
        return code;
    struct problem *p = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->nproblems < PROBLEMS && w->dropped == 0)
        p = malloc(sizeof *p + strlen(path) + 1);
    if (p) {
        p->code = code;
        strcpy(p->path, path);
        ferry_list_append(&w->problems, &p->link);
        w->nproblems++;
    } else {
        w->dropped++;
    }
    pthread_mutex_unlock(&w->lock);
    return 0;
}

static int take_dropped(ferry_tree_work *w, char **ret_path, ferry_error *e)
{
    char *path = strdup("...");
    if (!path)
        return -ENOMEM;
    ferry_fail(e, -FERRY_EIO, "copy", "%llu more entries were left out",
               (unsigned long long)w->dropped);
    w->dropped = 0;
    *ret_path = path;
    return 1;
}

static int take_one(struct problem *p, char **ret_path, ferry_error *e)
{
    char *path = strdup(p->path);
    if (!path)
        return -ENOMEM;
    if (p->code == 0)
        ferry_fail(e, 0, "copy", "%s: not a file, directory or link", path);
    else
        ferry_fail(e, p->code, "copy", "%s: %s", path, ferry_strerror(p->code));
    ferry_list_remove(&p->link);
    free(p);
    *ret_path = path;
    return 1;
}

int ferry_tree_work_take(ferry_tree_work *w, char **ret_path, ferry_error *e)
{
    int r = 0;
    pthread_mutex_lock(&w->lock);
    struct problem *p = first(w);
    if (p) {
        r = take_one(p, ret_path, e);
        w->nproblems -= r > 0;
    } else if (w->dropped > 0) {
        r = take_dropped(w, ret_path, e);
    }
    pthread_mutex_unlock(&w->lock);
    return r;
}
