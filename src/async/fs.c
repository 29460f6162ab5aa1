/* File system calls and other blocking work on the loop's pool: see fs.h.
 *
 *      task                       request (heap)                 pool thread
 *      begin: wait for a share -> in flight ------------------> run
 *      await: park               done = true, wake <----------- over, on the loop
 *         '-- cancelled:         task = NULL: an orphan, freed when it is over
 */
#include "async/fs.h"

#include "async/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Most bytes of one request: what a read(2) moves at most, more or less. */
#define REQUEST_MAX ((size_t)1 << 30)

typedef struct request {
    ferry_pool_job work;
    ferry_loop *loop;
    ferry_task *task; /* NULL: orphan */
    bool done;
    bool opens;    /* a result >= 0 is a descriptor */
    bool replaced; /* its thread has been: it is not counted as a share any more */
    int closes;    /* a descriptor that is still to be closed; -1: none */
    ssize_t result;
    ferry_file *file; /* what a running request needs to stay alive */
    ferry_buf *buf;
    ferry_job *job;
    void (*run)(void *arg); /* joined */
    void *run_arg;

    /* arguments, by call */
    ssize_t (*call)(struct request *q); /* a count, or -errno */
    void *data;                         /* in buf */
    size_t len;
    uint64_t offset;
    int flags;
    mode_t mode;
    char *to;    /* in path */
    char path[]; /* one or two, each with its 0 */
} request;

/* ---- files ------------------------------------------------------------------------- */

int ferry_file_new(int fd, ferry_file **ret)
{
    ferry_file *f = malloc(sizeof *f);
    if (!f) {
        close(fd);
        return -ENOMEM;
    }
    *f = (ferry_file){.refs = 1, .fd = fd};
    ferry_cond_init(&f->settled);
    *ret = f;
    return 0;
}

ferry_file *ferry_file_ref(ferry_file *f)
{
    f->refs++;
    return f;
}

static bool close_aside(ferry_loop *loop, int fd);

void ferry_file_close_aside(ferry_file *f, ferry_loop *loop)
{
    f->aside = loop;
}

void ferry_file_unref(ferry_file *f)
{
    if (!f || --f->refs > 0)
        return;
    if (!f->aside || !close_aside(f->aside, f->fd))
        close(f->fd);
    free(f);
}

int ferry_file_settle(ferry_file *f)
{
    int r = 0;
    while (r == 0 && f->busy > 0)
        r = ferry_cond_wait(&f->settled);
    return r;
}

/* ---- requests ---------------------------------------------------------------------- */

static void request_free(request *q)
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
static void request_over(request *q)
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
        ferry_sem_put(&loop->pool_share);
    if (q->task)
        ferry_wake(q->task);
    else
        request_free(q);
    ferry_loop_request_over(loop);
}

static void on_over(ferry_post *p)
{
    request_over(ferry_container(p, request, work.over));
}

/* The loop has gone meanwhile; nobody else refers to anything of the request's any more, but
 * other requests that hang. This is a pool thread: files are closed here. */
static _Thread_local bool loop_has_gone;

static void on_drop(ferry_pool_job *job)
{
    request *q = ferry_container(job, request, work);
    q->done = true;
    loop_has_gone = true;
    request_free(q);
    loop_has_gone = false;
}

/* On a pool thread. */
static void run_request(ferry_pool_job *job)
{
    request *q = ferry_container(job, request, work);
    do
        q->result = q->call(q);
    while (q->result == -EINTR);
}

/* uv_fs_X() without a callback does its work at once, in the thread that calls it: here, one of the
 * pool's. libuv's codes are negative errnos. */
static ssize_t result_of(uv_fs_t *fs)
{
    ssize_t r = fs->result;
    uv_fs_req_cleanup(fs);
    return r;
}

/* libuv's -1: the current position. */
static int64_t position(const request *q)
{
    return q->offset == FERRY_FS_IN_SEQUENCE ? -1 : (int64_t)q->offset;
}

/* A share that is given in the same turn as a cancel is handed on: nothing may begin. */
static FERRY_CO int get_share(ferry_loop *loop, enum ferry_work_pace pace)
{
    int r = pace == FERRY_WORK_IN_TURN ? ferry_sem_get(&loop->pool_share)
                                       : ferry_sem_hurry(&loop->pool_share);
    if (r < 0)
        return r;
    r = ferry_cancelled();
    if (r < 0)
        ferry_sem_put(&loop->pool_share);
    return r;
}

static int request_new(ferry_loop *loop, ssize_t (*call)(request *), const char *path,
                       const char *to, request **ret)
{
    assert(loop->uv && "a fake loop has no thread pool");
    if (!loop->pool) {
        int r = ferry_pool_new(loop, &loop->pool);
        if (r < 0)
            return r;
    }
    size_t len = path ? strlen(path) + 1 : 0, to_len = to ? strlen(to) + 1 : 0;
    request *q = calloc(1, sizeof *q + len + to_len);
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

/* Waits for a place in the pool. A task that is cancelled already begins nothing: an unlink
 * it is told did not happen must not happen behind its back. */
static FERRY_CO int request_begin_at(enum ferry_work_pace pace,
                                     ssize_t (*call)(request *), const char *path,
                                     const char *to, request **ret)
{
    int r = ferry_cancelled();
    if (r < 0)
        return r;
    ferry_loop *loop = ferry_self_loop();
    request *q = NULL;
    r = request_new(loop, call, path, to, &q);
    if (r == 0)
        r = get_share(loop, pace);
    if (r < 0) {
        free(q);
        return r;
    }
    q->task = ferry_self();
    loop->requests++;
    *ret = q;
    return 0;
}

static FERRY_CO int request_begin(ssize_t (*call)(request *), const char *path,
                                  const char *to, request **ret)
{
    return request_begin_at(FERRY_WORK_IN_TURN, call, path, to, ret);
}

/* The task has gone. What hangs keeps its thread, and another takes its share. */
static void request_orphan(request *q)
{
    q->task = NULL;
    if (ferry_pool_take_back(q->loop->pool, &q->work)) {
        q->result = -ECANCELED;
        request_over(q);
    } else if ((q->replaced = ferry_pool_replace(q->loop->pool))) {
        ferry_sem_put(&q->loop->pool_share);
    }
}

static void request_start(request *q)
{
    int r = ferry_pool_start(q->loop->pool, &q->work);
    if (r == 0)
        return;
    q->result = r;
    request_over(q);
}

/* Gives the result, or the cancel code. */
static FERRY_CO ssize_t request_await(request *q)
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

/* ---- calls ------------------------------------------------------------------------- */

static ssize_t call_open(request *q)
{
    uv_fs_t fs;
    uv_fs_open(NULL, &fs, q->path, q->flags, (int)q->mode, NULL);
    return result_of(&fs);
}

int ferry_fs_open(const char *path, int flags, mode_t mode, ferry_file **ret)
{
    request *q = NULL;
    int r = request_begin(call_open, path, NULL, &q);
    if (r < 0)
        return r;
    q->opens = true;
    q->flags = flags | O_CLOEXEC;
    q->mode = mode;
    ssize_t fd = request_await(q);
    return fd < 0 ? (int)fd : ferry_file_new((int)fd, ret);
}

/* Of a call on an open file. */
static FERRY_CO int begin_on(ferry_file *f, ferry_buf *b, ssize_t (*call)(request *),
                             request **ret)
{
    int r = request_begin(call, NULL, NULL, ret);
    if (r < 0)
        return r;
    (*ret)->file = ferry_file_ref(f);
    f->busy++;
    (*ret)->buf = b ? ferry_buf_ref(b) : NULL;
    return 0;
}

static ssize_t call_read(request *q)
{
    uv_fs_t fs;
    uv_buf_t buf = uv_buf_init(q->data, (unsigned)q->len);
    uv_fs_read(NULL, &fs, q->file->fd, &buf, 1, position(q), NULL);
    return result_of(&fs);
}

ssize_t ferry_fs_read(ferry_file *f, ferry_buf *b, size_t len, uint64_t offset)
{
    request *q = NULL;
    int r = begin_on(f, b, call_read, &q);
    if (r < 0)
        return r;
    if (len > ferry_buf_room(b))
        len = ferry_buf_room(b);
    q->len = len < REQUEST_MAX ? len : REQUEST_MAX;
    q->data = b->data + b->len;
    q->offset = offset;
    ssize_t n = request_await(q);
    if (n > 0)
        b->len += (size_t)n;
    return n;
}

/* Bytes a system call. Of 2 MiB at once, Linux 6.18 makes pages of that size in the page cache, and looks
 * for them: 0.1 to 0.7 s for 256 MiB, in steps of 1 MiB always 0.1 (docs/performance.md). */
#define WRITE_STEP ((size_t)512 * 1024)

static ssize_t call_write(request *q)
{
    int64_t at = position(q);
    size_t done = 0;
    while (done < q->len) {
        uv_fs_t fs;
        size_t n = q->len - done < WRITE_STEP ? q->len - done : WRITE_STEP;
        uv_buf_t buf = uv_buf_init((char *)q->data + done, (unsigned)n);
        uv_fs_write(NULL, &fs, q->file->fd, &buf, 1, at < 0 ? at : at + (int64_t)done,
                    NULL);
        ssize_t written = result_of(&fs);
        if (written <= 0)
            return done > 0 ? (ssize_t)done : written; /* the next write tells why */
        done += (size_t)written;
    }
    return (ssize_t)done;
}

int ferry_fs_write(ferry_file *f, const ferry_slice *s, uint64_t offset)
{
    for (size_t done = 0; done < s->len;) {
        request *q = NULL;
        int r = begin_on(f, s->buf, call_write, &q);
        if (r < 0)
            return r;
        q->len = s->len - done < REQUEST_MAX ? s->len - done : REQUEST_MAX;
        q->data = (void *)(uintptr_t)(s->data + done);
        q->offset = offset == FERRY_FS_IN_SEQUENCE ? offset : offset + done;
        ssize_t n = request_await(q);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO; /* a file that takes nothing and says nothing */
        done += (size_t)n;
    }
    return 0;
}

static ssize_t call_truncate(request *q)
{
    uv_fs_t fs;
    uv_fs_ftruncate(NULL, &fs, q->file->fd, (int64_t)q->offset, NULL);
    return result_of(&fs);
}

int ferry_fs_truncate(ferry_file *f, uint64_t size)
{
    request *q = NULL;
    int r = begin_on(f, NULL, call_truncate, &q);
    if (r < 0)
        return r;
    q->offset = size;
    return (int)request_await(q);
}

static ssize_t call_sync(request *q)
{
    uv_fs_t fs;
    uv_fs_fsync(NULL, &fs, q->file->fd, NULL);
    return result_of(&fs);
}

int ferry_fs_sync(ferry_file *f)
{
    request *q = NULL;
    int r = begin_on(f, NULL, call_sync, &q);
    return r < 0 ? r : (int)request_await(q);
}

static ssize_t call_rename(request *q)
{
    uv_fs_t fs;
    uv_fs_rename(NULL, &fs, q->path, q->to, NULL);
    return result_of(&fs);
}

int ferry_fs_rename(const char *from, const char *to)
{
    request *q = NULL;
    int r = request_begin(call_rename, from, to, &q);
    return r < 0 ? r : (int)request_await(q);
}

static ssize_t call_unlink(request *q)
{
    uv_fs_t fs;
    uv_fs_unlink(NULL, &fs, q->path, NULL);
    return result_of(&fs);
}

int ferry_fs_unlink(const char *path)
{
    request *q = NULL;
    int r = request_begin(call_unlink, path, NULL, &q);
    return r < 0 ? r : (int)request_await(q);
}

static ssize_t call_close(request *q)
{
    close(q->closes);
    q->closes = -1;
    return 0;
}

/* An orphan from the start, with a thread of its own. False: none is to be had. */
static bool close_aside(ferry_loop *loop, int fd)
{
    request *q = NULL;
    if (loop_has_gone || !loop->pool || /* it is closing */
        request_new(loop, call_close, NULL, NULL, &q) < 0)
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

void ferry_file_close(ferry_file *f)
{
    request *q = NULL;
    if (!f || !f->aside || f->refs > 1 || request_begin(call_close, NULL, NULL, &q) < 0) {
        ferry_file_unref(f);
        return;
    }
    q->closes = f->fd;
    request_await(q);
    free(f);
}

/* ---- any other work ---------------------------------------------------------------- */

void ferry_job_init(ferry_job *job, void (*run)(ferry_job *),
                    void (*release)(ferry_job *))
{
    *job = (ferry_job){.refs = 1, .run = run, .free = release};
}

void ferry_job_unref(ferry_job *job)
{
    if (job && --job->refs == 0)
        job->free(job);
}

static ssize_t call_job(request *q)
{
    q->job->run(q->job);
    return 0;
}

int ferry_work(ferry_job *job)
{
    request *q = NULL;
    int r = request_begin(call_job, NULL, NULL, &q);
    if (r < 0)
        return r;
    q->job = job;
    job->refs++;
    return (int)request_await(q);
}

static ssize_t call_run(request *q)
{
    q->run(q->run_arg);
    return 0;
}

/* A cancel takes it back while it can. */
static FERRY_CO int request_join(request *q)
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

int ferry_work_joined(void (*run)(void *arg), void *arg, enum ferry_work_pace pace)
{
    request *q = NULL;
    int r = request_begin_at(pace, call_run, NULL, NULL, &q);
    if (r < 0)
        return r;
    q->run = run;
    q->run_arg = arg;
    return request_join(q);
}

struct stat_job {
    ferry_job job;
    ferry_file *file;
    struct stat st;
    int result;
};

static void run_stat(ferry_job *job)
{
    struct stat_job *j = ferry_container(job, struct stat_job, job);
    j->result = fstat(j->file->fd, &j->st) < 0 ? -errno : 0;
}

static void free_stat(ferry_job *job)
{
    struct stat_job *j = ferry_container(job, struct stat_job, job);
    ferry_file_unref(j->file);
    free(j);
}

int ferry_fs_stat(ferry_file *f, struct stat *ret)
{
    struct stat_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run_stat, free_stat);
    j->file = ferry_file_ref(f);
    int r = ferry_work(&j->job);
    if (r == 0)
        r = j->result;
    if (r == 0)
        *ret = j->st;
    ferry_job_unref(&j->job);
    return r;
}
