/* File system calls and other blocking work on libuv's thread pool: see fs.h.
 *
 *      task                       request (heap)                 pool thread
 *      begin: wait for a share -> in flight ------------------> runs
 *      await: park               done = true, wake <----------- callback, on the loop
 *         '-- cancelled:         task = NULL: an orphan, freed by its callback
 */
#include "async/fs.h"

#include "async/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Most bytes of one request: libuv counts a buffer's in an unsigned int. */
#define REQUEST_MAX ((size_t)1 << 30)

typedef struct request {
    union {
        uv_req_t req;
        uv_fs_t fs;
        uv_work_t work;
    } uv;
    ferry_loop *loop;
    ferry_task *task; /* NULL: orphan */
    bool done;
    bool opens; /* a result >= 0 is a descriptor */
    ssize_t result;
    ferry_file *file; /* what a running request needs to stay alive */
    ferry_buf *buf;
    ferry_job *job;
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

void ferry_file_unref(ferry_file *f)
{
    if (!f || --f->refs > 0)
        return;
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
    ferry_file_unref(q->file);
    ferry_buf_unref(q->buf);
    ferry_job_unref(q->job);
    free(q);
}

/* Waits for a place in the pool. A task that is cancelled already begins nothing: an unlink
 * it is told did not happen must not happen behind its back. */
static FERRY_CO int request_begin(ferry_file *file, ferry_buf *buf, request **ret)
{
    int r = ferry_cancelled();
    if (r < 0)
        return r;
    request *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->loop = ferry_self_loop();
    assert(q->loop->uv && "a fake loop has no thread pool");
    r = ferry_sem_get(&q->loop->pool_share);
    if (r < 0) {
        free(q);
        return r;
    }
    q->task = ferry_self();
    q->file = file ? ferry_file_ref(file) : NULL;
    if (file)
        file->busy++;
    q->buf = buf ? ferry_buf_ref(buf) : NULL;
    ferry_loop_ref(q->loop);
    *ret = q;
    return 0;
}

/* On the loop's thread: the request is out of the pool. */
static void request_over(request *q, ssize_t result)
{
    ferry_loop *loop = q->loop;

    q->done = true;
    q->result = result;
    ferry_sem_put(&loop->pool_share);
    if (q->file) {
        q->file->busy--;
        ferry_cond_wake(&q->file->settled);
    }
    if (q->task)
        ferry_wake(q->task);
    else
        request_free(q);
    ferry_loop_unref(loop);
}

static void on_fs(uv_fs_t *fs)
{
    request *q = ferry_container(fs, request, uv.fs);
    ssize_t result = fs->result;
    uv_fs_req_cleanup(fs);
    request_over(q, result);
}

/* `started` is what the uv_ call returned. Gives the result, or the cancel code. */
static FERRY_CO ssize_t request_await(request *q, int started)
{
    if (started < 0) {
        request_over(q, started);
    } else {
        while (!q->done) {
            int r = ferry_park();
            if (r < 0 && !q->done) {
                q->task = NULL;
                uv_cancel(&q->uv.req); /* works only while it waits in libuv's queue */
                return r;
            }
        }
    }
    ssize_t result = q->result;
    q->opens = false; /* the descriptor, if there is one, is the caller's */
    request_free(q);
    return result;
}

/* ---- calls ------------------------------------------------------------------------- */

int ferry_fs_open(const char *path, int flags, mode_t mode, ferry_file **ret)
{
    request *q = NULL;
    int r = request_begin(NULL, NULL, &q);
    if (r < 0)
        return r;
    q->opens = true;
    ssize_t fd = request_await(q, uv_fs_open(q->loop->uv, &q->uv.fs, path,
                                             flags | O_CLOEXEC, (int)mode, on_fs));
    return fd < 0 ? (int)fd : ferry_file_new((int)fd, ret);
}

ssize_t ferry_fs_read(ferry_file *f, ferry_buf *b, size_t len, uint64_t offset)
{
    request *q = NULL;
    int r = request_begin(f, b, &q);
    if (r < 0)
        return r;
    if (len > ferry_buf_room(b))
        len = ferry_buf_room(b);
    if (len > REQUEST_MAX)
        len = REQUEST_MAX;
    uv_buf_t v = uv_buf_init((char *)b->data + b->len, (unsigned)len);
    ssize_t n = request_await(q, uv_fs_read(q->loop->uv, &q->uv.fs, f->fd, &v, 1,
                                            (int64_t)offset, on_fs));
    if (n > 0)
        b->len += (size_t)n;
    return n;
}

/* libuv's -1 is "where the last call ended", however far that came. */
static int64_t position(uint64_t offset, size_t done)
{
    return offset == FERRY_FS_IN_SEQUENCE ? -1 : (int64_t)(offset + done);
}

int ferry_fs_write(ferry_file *f, const ferry_slice *s, uint64_t offset)
{
    for (size_t done = 0; done < s->len;) {
        request *q = NULL;
        int r = request_begin(f, s->buf, &q);
        if (r < 0)
            return r;
        size_t len = s->len - done < REQUEST_MAX ? s->len - done : REQUEST_MAX;
        uv_buf_t v = uv_buf_init((char *)(uintptr_t)(s->data + done), (unsigned)len);
        ssize_t n = request_await(q, uv_fs_write(q->loop->uv, &q->uv.fs, f->fd, &v, 1,
                                                 position(offset, done), on_fs));
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO; /* a file that takes nothing and says nothing */
        done += (size_t)n;
    }
    return 0;
}

int ferry_fs_truncate(ferry_file *f, uint64_t size)
{
    request *q = NULL;
    int r = request_begin(f, NULL, &q);
    if (r < 0)
        return r;
    return (int)request_await(q, uv_fs_ftruncate(q->loop->uv, &q->uv.fs, f->fd,
                                                 (int64_t)size, on_fs));
}

int ferry_fs_sync(ferry_file *f)
{
    request *q = NULL;
    int r = request_begin(f, NULL, &q);
    if (r < 0)
        return r;
    return (int)request_await(q, uv_fs_fsync(q->loop->uv, &q->uv.fs, f->fd, on_fs));
}

int ferry_fs_rename(const char *from, const char *to)
{
    request *q = NULL;
    int r = request_begin(NULL, NULL, &q);
    if (r < 0)
        return r;
    return (int)request_await(q, uv_fs_rename(q->loop->uv, &q->uv.fs, from, to, on_fs));
}

int ferry_fs_unlink(const char *path)
{
    request *q = NULL;
    int r = request_begin(NULL, NULL, &q);
    if (r < 0)
        return r;
    return (int)request_await(q, uv_fs_unlink(q->loop->uv, &q->uv.fs, path, on_fs));
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

static void run_job(uv_work_t *w)
{
    request *q = ferry_container(w, request, uv.work);
    q->job->run(q->job);
}

static void on_job(uv_work_t *w, int status)
{
    request_over(ferry_container(w, request, uv.work), status);
}

int ferry_work(ferry_job *job)
{
    request *q = NULL;
    int r = request_begin(NULL, NULL, &q);
    if (r < 0)
        return r;
    q->job = job;
    job->refs++;
    return (int)request_await(q,
                              uv_queue_work(q->loop->uv, &q->uv.work, run_job, on_job));
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
