/* A loop's own threads: see pool.h. */
#include "async/pool.h"

#include "async/internal.h"
#include "base/buf.h"

#include <guestferry/error.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define WORKERS_MIN (FERRY_POOL_PLACES + FERRY_POOL_SPARE)
#define WORKERS_MAX (WORKERS_MIN + FERRY_POOL_HUNG_MAX)

/* System calls, and a few paths of PATH_MAX on the stack. */
#define STACK_SIZE ((size_t)512 * 1024)

struct worker {
    ferry_pool *pool;
    pthread_t id;
    bool busy;
};

struct ferry_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    unsigned refs;    /* the loop's, and each worker's */
    ferry_loop *loop; /* NULL: freed */
    ferry_list queue;
    unsigned queued, idle, hung, nworkers;
    struct worker workers[WORKERS_MAX];
};

/* ---- a worker ------------------------------------------------------------------------ */

/* Gives the lock back, with the pool if it was the last. */
static void unref(ferry_pool *p)
{
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* Under the lock; NULL: the end. */
static ferry_pool_job *next_job(ferry_pool *p)
{
    p->idle++;
    while (p->loop && p->queued == 0)
        pthread_cond_wait(&p->work, &p->lock);
    p->idle--;
    if (!p->loop)
        return NULL;
    p->queued--;
    return ferry_container(ferry_list_pop(&p->queue), ferry_pool_job, link);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    ferry_pool *p = w->pool;

    pthread_mutex_lock(&p->lock);
    for (ferry_pool_job *job; (job = next_job(p));) {
        w->busy = true;
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
        w->busy = false;
        /* Under the lock: the loop is there until ferry_pool_free() has had it. */
        if (p->loop)
            ferry_loop_post(p->loop, &job->over);
        else
            job->drop(job);
    }
    unref(p);
    ferry_buf_drop_kept();
    return NULL;
}

/* Under the lock. */
static int add_worker(ferry_pool *p)
{
    struct worker *w = &p->workers[p->nworkers];
    w->pool = p;
    int r = ferry_thread_create(&w->id, "guestferry-io", STACK_SIZE, work, w);
    if (r < 0)
        return r;
    p->nworkers++;
    p->refs++;
    return 0;
}

/* ---- the contract -------------------------------------------------------------------- */

int ferry_pool_new(ferry_loop *loop, ferry_pool **ret)
{
    ferry_pool *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->refs = 1;
    p->loop = loop;
    ferry_list_init(&p->queue);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    *ret = p;
    return 0;
}

void ferry_pool_free(ferry_pool *p)
{
    pthread_t idle[WORKERS_MAX];
    unsigned n = 0;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    ferry_list never;
    ferry_list_init(&never);
    ferry_list_move(&never, &p->queue);
    p->queued = 0;
    p->loop = NULL;
    pthread_cond_broadcast(&p->work);
    for (unsigned i = 0; i < p->nworkers; i++)
        if (p->workers[i].busy)
            pthread_detach(p->workers[i].id);
        else
            idle[n++] = p->workers[i].id;
    unref(p);
    for (ferry_list *l; (l = ferry_list_pop(&never));) {
        ferry_pool_job *job = ferry_container(l, ferry_pool_job, link);
        job->drop(job);
    }
    while (n > 0)
        pthread_join(idle[--n], NULL); /* it only has to leave */
}

int ferry_pool_start(ferry_pool *p, ferry_pool_job *job)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    if (p->queued >= p->idle && p->nworkers < WORKERS_MIN + p->hung) {
        r = add_worker(p);
        if (r < 0 && p->nworkers > p->hung)
            r = 0; /* there are others, who will come to it */
    }
    if (r == 0) {
        ferry_list_append(&p->queue, &job->link);
        p->queued++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

bool ferry_pool_take_back(ferry_pool *p, ferry_pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    bool waiting = !ferry_list_empty(&job->link);
    if (waiting) {
        ferry_list_remove(&job->link);
        p->queued--;
    }
    pthread_mutex_unlock(&p->lock);
    return waiting;
}

bool ferry_pool_replace(ferry_pool *p)
{
    pthread_mutex_lock(&p->lock);
    bool can = p->hung < FERRY_POOL_HUNG_MAX;
    p->hung += can;
    pthread_mutex_unlock(&p->lock);
    return can;
}

void ferry_pool_replaced_is_back(ferry_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->hung--;
    pthread_mutex_unlock(&p->lock);
}
