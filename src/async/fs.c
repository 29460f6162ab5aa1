/* File system calls on the loop's pool: see fs.h. */
#include "async/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Most bytes of one request: what a read(2) moves at most, more or less. */
#define REQUEST_MAX ((size_t)1 << 30)

/* Reads and writes from here on are bulk: what a large file is cut into where there is no lane. */
#define BULK_MIN ((size_t)256 * 1024)

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

void ferry_file_close_aside(ferry_file *f, ferry_loop *loop)
{
    f->aside = loop;
}

void ferry_file_unref(ferry_file *f)
{
    if (!f || --f->refs > 0)
        return;
    if (!f->aside || !ferry_request_close_aside(f->aside, f->fd))
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

/* uv_fs_X() without a callback does its work at once, in the thread that calls it: here, one of the
 * pool's. libuv's codes are negative errnos. */
static ssize_t result_of(uv_fs_t *fs)
{
    ssize_t r = fs->result;
    uv_fs_req_cleanup(fs);
    return r;
}

/* libuv's -1: the current position. */
static int64_t position(const ferry_request *q)
{
    return q->offset == FERRY_FS_IN_SEQUENCE ? -1 : (int64_t)q->offset;
}

/* ---- calls ------------------------------------------------------------------------- */

static ssize_t call_open(ferry_request *q)
{
    uv_fs_t fs;
    uv_fs_open(NULL, &fs, q->path, q->flags, (int)q->mode, NULL);
    return result_of(&fs);
}

int ferry_fs_open(const char *path, int flags, mode_t mode, ferry_file **ret)
{
    ferry_request *q = NULL;
    int r = ferry_request_begin(FERRY_WORK_IN_TURN, call_open, path, NULL, &q);
    if (r < 0)
        return r;
    q->opens = true;
    q->flags = flags | O_CLOEXEC;
    q->mode = mode;
    ssize_t fd = ferry_request_await(q);
    return fd < 0 ? (int)fd : ferry_file_new((int)fd, ret);
}

/* Of a call on an open file. */
static FERRY_CO int begin_on(ferry_file *f, ferry_buf *b, enum ferry_work_pace pace,
                             ssize_t (*call)(ferry_request *), ferry_request **ret)
{
    int r = ferry_request_begin(pace, call, NULL, NULL, ret);
    if (r < 0)
        return r;
    (*ret)->file = ferry_file_ref(f);
    f->busy++;
    (*ret)->buf = b ? ferry_buf_ref(b) : NULL;
    return 0;
}

/* Of so many bytes. */
static enum ferry_work_pace pace_of(size_t len)
{
    return len >= BULK_MIN ? FERRY_WORK_BULK : FERRY_WORK_IN_TURN;
}

static ssize_t call_read(ferry_request *q)
{
    uv_fs_t fs;
    uv_buf_t buf = uv_buf_init(q->data, (unsigned)q->len);
    uv_fs_read(NULL, &fs, q->file->fd, &buf, 1, position(q), NULL);
    return result_of(&fs);
}

ssize_t ferry_fs_read(ferry_file *f, ferry_buf *b, size_t len, uint64_t offset)
{
    ferry_request *q = NULL;
    if (len > ferry_buf_room(b))
        len = ferry_buf_room(b);
    int r = begin_on(f, b, pace_of(len), call_read, &q);
    if (r < 0)
        return r;
    q->len = len < REQUEST_MAX ? len : REQUEST_MAX;
    q->data = b->data + b->len;
    q->offset = offset;
    ssize_t n = ferry_request_await(q);
    if (n > 0)
        b->len += (size_t)n;
    return n;
}

/* Bytes a system call. Of 2 MiB at once, Linux 6.18 makes pages of that size in the page cache, and looks
 * for them: 0.1 to 0.7 s for 256 MiB, in steps of 1 MiB always 0.1 (docs/performance.md). */
#define WRITE_STEP ((size_t)512 * 1024)

static ssize_t call_write(ferry_request *q)
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
        ferry_request *q = NULL;
        int r = begin_on(f, s->buf, pace_of(s->len), call_write, &q);
        if (r < 0)
            return r;
        q->len = s->len - done < REQUEST_MAX ? s->len - done : REQUEST_MAX;
        q->data = (void *)(uintptr_t)(s->data + done);
        q->offset = offset == FERRY_FS_IN_SEQUENCE ? offset : offset + done;
        ssize_t n = ferry_request_await(q);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO; /* a file that takes nothing and says nothing */
        done += (size_t)n;
    }
    return 0;
}

static ssize_t call_truncate(ferry_request *q)
{
    uv_fs_t fs;
    uv_fs_ftruncate(NULL, &fs, q->file->fd, (int64_t)q->offset, NULL);
    return result_of(&fs);
}

int ferry_fs_truncate(ferry_file *f, uint64_t size)
{
    ferry_request *q = NULL;
    int r = begin_on(f, NULL, FERRY_WORK_IN_TURN, call_truncate, &q);
    if (r < 0)
        return r;
    q->offset = size;
    return (int)ferry_request_await(q);
}

static ssize_t call_sync(ferry_request *q)
{
    uv_fs_t fs;
    uv_fs_fsync(NULL, &fs, q->file->fd, NULL);
    return result_of(&fs);
}

int ferry_fs_sync(ferry_file *f)
{
    ferry_request *q = NULL;
    int r = begin_on(f, NULL, FERRY_WORK_BULK, call_sync, &q);
    return r < 0 ? r : (int)ferry_request_await(q);
}

static ssize_t call_rename(ferry_request *q)
{
    uv_fs_t fs;
    uv_fs_rename(NULL, &fs, q->path, q->to, NULL);
    return result_of(&fs);
}

int ferry_fs_rename(const char *from, const char *to)
{
    ferry_request *q = NULL;
    int r = ferry_request_begin(FERRY_WORK_IN_TURN, call_rename, from, to, &q);
    return r < 0 ? r : (int)ferry_request_await(q);
}

static ssize_t call_unlink(ferry_request *q)
{
    uv_fs_t fs;
    uv_fs_unlink(NULL, &fs, q->path, NULL);
    return result_of(&fs);
}

int ferry_fs_unlink(const char *path)
{
    ferry_request *q = NULL;
    int r = ferry_request_begin(FERRY_WORK_IN_TURN, call_unlink, path, NULL, &q);
    return r < 0 ? r : (int)ferry_request_await(q);
}

void ferry_file_close(ferry_file *f)
{
    ferry_request *q = NULL;
    if (!f || !f->aside || f->refs > 1 ||
        ferry_request_begin(FERRY_WORK_BULK, ferry_request_close, NULL, NULL, &q) < 0) {
        ferry_file_unref(f);
        return;
    }
    q->closes = f->fd;
    ferry_request_await(q);
    free(f);
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
    int r = ferry_work(&j->job, FERRY_WORK_IN_TURN);
    if (r == 0)
        r = j->result;
    if (r == 0)
        *ret = j->st;
    ferry_job_unref(&j->job);
    return r;
}
