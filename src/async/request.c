/* Requests to the pool: see request.h. */
#include "async/request.h"
#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void request_free(ferry_request *q)
{
    if (q->opens && q->done && q->result >= 0)
        close((int)q->result); /* opened for nobody */
    if (q->closes >= 0)
        close(q->closes); /* the pool has not come to it */
    ferry_file_unref(q->file);
    ferry_buf_unref(q->buf);
    ferry_job_unref(q->job);
    free(q);
}

/* On the loop's thread: the request is out of the pool. */
static void request_over(ferry_request *q)
{
    ferry_loop *loop = q->loop;

    q->done = true;
    if (q->file) {
        q->file->busy--;
        ferry_cond_wake(&q->file->settled);
    }
    if (q->replaced)
        ferry_pool_replaced_is_back(loop->pool);
    else
        ferry_sem_put_at(&loop->pool_share, q->pace);
    if (q->task)
        ferry_wake(q->task);
    else
        request_free(q);
    ferry_loop_request_over(loop);
}

static void on_over(ferry_post *p)
{
    request_over(ferry_container(p, ferry_request, work.over));
}

/* The loop has gone meanwhile; nobody else refers to anything of the request's any more, but
 * other requests that hang. This is a pool thread: files are closed here. */
static _Thread_local bool loop_has_gone;

static void on_drop(ferry_pool_job *job)
{
    ferry_request *q = ferry_container(job, ferry_request, work);
    q->done = true;
    loop_has_gone = true;
    request_free(q);
    loop_has_gone = false;
}

/* On a pool thread. */
static void run_request(ferry_pool_job *job)
{
    ferry_request *q = ferry_container(job, ferry_request, work);
    do
        q->result = q->call(q);
    while (q->result == -EINTR);
}

/* A share that is given in the same turn as a cancel is handed on: nothing may begin. */
static FERRY_CO int get_share(ferry_loop *loop, enum ferry_work_pace pace)
{
    int r = ferry_sem_get_at(&loop->pool_share, pace);
    if (r < 0)
        return r;
    r = ferry_cancelled();
    if (r < 0)
        ferry_sem_put_at(&loop->pool_share, pace);
    return r;
}

static int request_new(ferry_loop *loop, ssize_t (*call)(ferry_request *),
                       const char *path, const char *to, ferry_request **ret)
{
    assert(loop->uv && "a fake loop has no thread pool");
    if (!loop->pool) {
        int r = ferry_pool_new(loop, &loop->pool);
        if (r < 0)
            return r;
    }
    size_t len = path ? strlen(path) + 1 : 0, to_len = to ? strlen(to) + 1 : 0;
    ferry_request *q = ferry_zalloc(sizeof *q + len + to_len);
    if (!q)
        return -ENOMEM;
    q->work =
        (ferry_pool_job){.over = {.run = on_over}, .run = run_request, .drop = on_drop};
    ferry_list_init(&q->work.link);
    q->loop = loop;
    q->closes = -1;
    q->call = call;
    q->to = q->path + len;
    if (path)
        memcpy(q->path, path, len);
    if (to)
        memcpy(q->to, to, to_len);
    *ret = q;
    return 0;
}

int ferry_request_begin(enum ferry_work_pace pace, ssize_t (*call)(ferry_request *),
                        const char *path, const char *to, ferry_request **ret)
{
    int r = ferry_cancelled();
    if (r < 0)
        return r;
    ferry_loop *loop = ferry_self_loop();
    ferry_request *q = NULL;
    r = request_new(loop, call, path, to, &q);
    if (r == 0)
        r = get_share(loop, pace);
    if (r < 0) {
        free(q);
        return r;
    }
    q->task = ferry_self();
    q->pace = pace;
    loop->requests++;
    *ret = q;
    return 0;
}

/* The task has gone. What hangs keeps its thread, and another takes its share. */
static void request_orphan(ferry_request *q)
{
    q->task = NULL;
    if (ferry_pool_take_back(q->loop->pool, &q->work)) {
        q->result = -ECANCELED;
        request_over(q);
    } else if ((q->replaced = ferry_pool_replace(q->loop->pool))) {
        ferry_sem_put_at(&q->loop->pool_share, q->pace);
    }
}

static void request_start(ferry_request *q)
{
    int r = ferry_pool_start(q->loop->pool, &q->work);
    if (r == 0)
        return;
    q->result = r;
    request_over(q);
}

ssize_t ferry_request_await(ferry_request *q)
{
    request_start(q);
    while (!q->done) {
        int r = ferry_park();
        if (r < 0 && !q->done) {
            request_orphan(q);
            return r;
        }
    }
    ssize_t result = q->result;
    q->opens = false; /* the descriptor, if there is one, is the caller's */
    request_free(q);
    return result;
}

/* A cancel takes it back while it can. */
int ferry_request_join(ferry_request *q)
{
    request_start(q);
    while (!q->done) {
        int r = ferry_park();
        if (r == 0 || q->done)
            continue;
        if (ferry_pool_take_back(q->loop->pool, &q->work)) {
            q->result = r;
            request_over(q);
        }
        while (!q->done)
            ferry_park_deaf();
    }
    int r = (int)q->result;
    request_free(q);
    return r;
}

ssize_t ferry_request_close(ferry_request *q)
{
    close(q->closes);
    q->closes = -1;
    return 0;
}

/* An orphan from the start. */
bool ferry_request_close_aside(ferry_loop *loop, int fd)
{
    ferry_request *q = NULL;
    if (loop_has_gone || !loop->pool || /* it is closing */
        request_new(loop, ferry_request_close, NULL, NULL, &q) < 0)
        return false;
    q->closes = fd;
    q->replaced = ferry_pool_replace(loop->pool);
    if (!q->replaced || ferry_pool_start(loop->pool, &q->work) < 0) {
        if (q->replaced)
            ferry_pool_replaced_is_back(loop->pool);
        free(q);
        return false;
    }
    loop->requests++;
    return true;
}
