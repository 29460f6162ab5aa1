/* Sources of uploads: see source.h. */
#include "api/source.h"

#include "async/pipe.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* A shorter file is not searched for holes: one read costs less than two seeks. */
#define HOLES_FROM (1024 * 1024)

static const char *name_of(const ferry_source *s)
{
    return s->path ? s->path : "the source";
}

static int failed(const ferry_source *s, int r, ferry_error *e)
{
    if (r == -FERRY_ECANCELED || r == -FERRY_ETIMEDOUT)
        return r;
    return ferry_fail(e, r, "upload", "%s: %s", name_of(s), ferry_strerror(r));
}

void ferry_source_done(ferry_source *s)
{
    /* The caller's position: not where the last search for holes left it (a duplicate shares
     * it), but behind what was taken, as after read(2). */
    if (!s->path && s->file && s->kind == FERRY_SOURCE_FILE)
        (void)lseek(s->file->fd, (off_t)s->offset, SEEK_SET);
    ferry_file_unref(s->file);
    ferry_link_close(s->link);
    free(s->path);
    *s = (ferry_source){.fd = -1};
}

/* ---- opening ----------------------------------------------------------------------- */

struct open_job {
    ferry_job job;
    char *path; /* NULL: fd is duplicated */
    int fd;     /* in: the caller's; out: ours */
    struct stat st;
    uint64_t position, size;
    int result;
};

static int look(struct open_job *j)
{
    if (fstat(j->fd, &j->st) < 0)
        return -errno;
    off_t at = lseek(j->fd, 0, SEEK_CUR);
    j->position = at < 0 ? 0 : (uint64_t)at;
    j->size = (uint64_t)j->st.st_size;
    if (S_ISBLK(j->st.st_mode) && ioctl(j->fd, BLKGETSIZE64, &j->size) < 0)
        return -errno;
    return S_ISDIR(j->st.st_mode) ? -EISDIR : 0;
}

/* O_NONBLOCK: a FIFO without a writer opens at once, and is waited for where a cancel is heard. */
static void run_open(ferry_job *job)
{
    struct open_job *j = ferry_container(job, struct open_job, job);
    j->fd = j->path ? open(j->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                    : fcntl(j->fd, F_DUPFD_CLOEXEC, 0);
    j->result = j->fd < 0 ? -errno : look(j);
}

static void free_open(ferry_job *job)
{
    struct open_job *j = ferry_container(job, struct open_job, job);
    if (j->result != -EINPROGRESS && j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j);
}

static int open_stream(ferry_source *s, int fd, ferry_link **ret)
{
    ferry_loop *loop = ferry_self_loop();
    return s->path ? ferry_pipe_open(loop, fd, FERRY_PIPE_READ, 0, ret)
                   : ferry_pipe_borrow(loop, s->fd, FERRY_PIPE_READ, ret);
}

static int settle(ferry_source *s, struct open_job *j)
{
    /* Files of /proc say that they are empty: such a one is read until it ends. */
    if (S_ISREG(j->st.st_mode) && j->size == 0) {
        s->kind = FERRY_SOURCE_SEQUENCE;
        return ferry_file_new(ferry_take_fd(&j->fd), &s->file);
    }
    if (S_ISREG(j->st.st_mode) || S_ISBLK(j->st.st_mode)) {
        s->kind = FERRY_SOURCE_FILE;
        s->offset = s->path ? 0 : j->position;
        s->end = j->size > s->offset ? j->size : s->offset;
        s->length = s->end - s->offset;
        if (s->length < HOLES_FROM || S_ISBLK(j->st.st_mode))
            s->data_end = s->end;
        return ferry_file_new(ferry_take_fd(&j->fd), &s->file);
    }
    s->kind = FERRY_SOURCE_STREAM;
    int fd = s->path ? fcntl(j->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (s->path && fd < 0)
        return -errno;
    int r = open_stream(s, fd, &s->link);
    if (r < 0 && r != -EPERM)
        return r;
    if (r == -EPERM)
        s->kind = FERRY_SOURCE_SEQUENCE;
    return ferry_file_new(ferry_take_fd(&j->fd), &s->file);
}

int ferry_source_open(ferry_source *s, ferry_error *e)
{
    if (s->memory) {
        s->kind = FERRY_SOURCE_MEMORY;
        return 0; /* end and length are set */
    }
    struct open_job *j = calloc(1, sizeof *j);
    if (!j)
        return failed(s, -ENOMEM, e);
    ferry_job_init(&j->job, run_open, free_open);
    j->result = -EINPROGRESS;
    j->fd = s->fd;
    int r = 0;
    if (s->path && !(j->path = strdup(s->path)))
        r = -ENOMEM;
    if (r == 0)
        r = ferry_work(&j->job, FERRY_WORK_IN_TURN);
    if (r == 0)
        r = j->result;
    if (r == 0)
        r = settle(s, j);
    ferry_job_unref(&j->job);
    return r < 0 ? failed(s, r, e) : 0;
}

/* ---- holes ------------------------------------------------------------------------- */

struct seek_job {
    ferry_job job;
    ferry_file *file;
    uint64_t from, end;
    uint64_t data, hole; /* the first data at or after `from`, and where it ends */
};

static bool is_shorter(int fd, uint64_t than)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (uint64_t)st.st_size < than;
}

static void run_seek(ferry_job *job)
{
    struct seek_job *j = ferry_container(job, struct seek_job, job);
    off_t data = lseek(j->file->fd, (off_t)j->from, SEEK_DATA);
    if (data < 0) {
        /* ENXIO: only a hole is left, or less than a hole: the file was cut, which a read finds
         * out. Else: a file system that cannot tell: all data. */
        bool hole = errno == ENXIO && !is_shorter(j->file->fd, j->end);
        j->data = hole ? j->end : j->from;
        j->hole = j->end;
        return;
    }
    off_t hole = lseek(j->file->fd, data, SEEK_HOLE);
    j->data = (uint64_t)data;
    j->hole = hole < 0 || (uint64_t)hole > j->end ? j->end : (uint64_t)hole;
    if (j->data > j->end)
        j->data = j->end;
}

static void free_seek(ferry_job *job)
{
    struct seek_job *j = ferry_container(job, struct seek_job, job);
    ferry_file_unref(j->file);
    free(j);
}

/* Looks for the data that follows. 1 and a hole if there is one before it; 0 when data is next. */
static FERRY_CO int next_extent(ferry_source *s, ferry_piece *ret)
{
    struct seek_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run_seek, free_seek);
    j->file = ferry_file_ref(s->file);
    j->from = s->offset;
    j->end = s->end;
    int r = ferry_work(&j->job, FERRY_WORK_IN_TURN);
    if (r == 0) {
        s->data_end = j->hole;
        if (j->data > s->offset) {
            *ret = (ferry_piece){.hole = j->data - s->offset};
            s->offset = j->data;
            r = 1;
        }
    }
    ferry_job_unref(&j->job);
    return r;
}

/* ---- reading ----------------------------------------------------------------------- */

static int new_piece(ferry_buf **b, ferry_piece *ret)
{
    ferry_buf *taken = ferry_take(b);
    *ret = (ferry_piece){.data = {taken, taken->data, taken->len}};
    return 1;
}

static uint64_t wanted(const ferry_source *s, uint64_t left)
{
    return s->piece_max && s->piece_max < left ? s->piece_max : left;
}

static size_t at_most(uint64_t n)
{
    return n < FERRY_FRAME_MAX ? (size_t)n : FERRY_FRAME_MAX;
}

/* A slot of the lane, or memory of our own. An error is the stream's, which its reply explains. */
static FERRY_CO int get_buf(ferry_source *s, uint64_t want, ferry_buf **ret,
                            ferry_error *e)
{
    int r = s->stream ? ferry_stream_slot(s->stream, want, ret) : 0;
    if (r != 0)
        return r < 0 ? r : 0;
    r = ferry_buf_new(at_most(want), ret);
    return r < 0 ? failed(s, r, e) : 0;
}

static FERRY_CO int next_of_file(ferry_source *s, ferry_piece *ret, ferry_error *e)
{
    if (s->offset >= s->end)
        return 0;
    if (s->offset >= s->data_end) {
        int r = next_extent(s, ret);
        if (r != 0)
            return r < 0 ? failed(s, r, e) : r;
    }
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    uint64_t want = wanted(s, s->data_end - s->offset);
    int r = get_buf(s, want, &b, e);
    if (r < 0)
        return r;
    ssize_t n = ferry_fs_read(s->file, b, want < b->cap ? want : b->cap, s->offset);
    if (n < 0)
        return failed(s, (int)n, e);
    if (n == 0)
        return ferry_fail(e, -FERRY_ECHANGED, "upload",
                          "%s: became shorter while it was read (%llu of %llu bytes)",
                          name_of(s), (unsigned long long)s->offset,
                          (unsigned long long)s->end);
    s->offset += (uint64_t)n;
    return new_piece(&b, ret);
}

/* What there is now: a pipe gives 64 KiB at a time, and its writer has written more meanwhile. */
static FERRY_CO ssize_t read_stream(ferry_source *s, ferry_buf *b)
{
    int more = 0;
    ssize_t n = ferry_link_read(s->link, b);
    int fd = s->file ? s->file->fd : s->fd;
    while (n > 0 && ferry_buf_room(b) > 0 && ioctl(fd, FIONREAD, &more) == 0 && more > 0)
        n = ferry_link_read(s->link, b);
    return n < 0 ? n : (ssize_t)b->len;
}

/* What came is too little for a slot. */
static int leave_slot(ferry_source *s, ferry_buf **b, ferry_error *e)
{
    ferry_buf *copy = NULL;
    if (!ferry_buf_is_lent(*b) || (*b)->len >= FERRY_SLOT_WORTH)
        return 0;
    int r = ferry_buf_copy((*b)->data, (*b)->len, &copy);
    if (r < 0)
        return failed(s, r, e);
    ferry_buf_unref(*b);
    *b = copy;
    return 0;
}

static FERRY_CO int next_in_sequence(ferry_source *s, ferry_piece *ret, ferry_error *e)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = get_buf(s, FERRY_FRAME_MAX, &b, e);
    if (r < 0)
        return r;
    ssize_t n = s->kind == FERRY_SOURCE_STREAM
                    ? read_stream(s, b)
                    : ferry_fs_read(s->file, b, b->cap, FERRY_FS_IN_SEQUENCE);
    if (n < 0)
        return failed(s, (int)n, e);
    if (n == 0)
        return 0;
    r = leave_slot(s, &b, e);
    return r < 0 ? r : new_piece(&b, ret);
}

static FERRY_CO int next_of_memory(ferry_source *s, ferry_piece *ret, ferry_error *e)
{
    if (s->offset >= s->end)
        return 0;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    uint64_t want = wanted(s, s->end - s->offset);
    int r = get_buf(s, want, &b, e);
    if (r < 0)
        return r;
    b->len = want < b->cap ? (size_t)want : b->cap;
    memcpy(b->data, s->memory + s->offset, b->len);
    s->offset += b->len;
    return new_piece(&b, ret);
}

int ferry_source_next(ferry_source *s, ferry_piece *ret, ferry_error *e)
{
    switch (s->kind) {
    case FERRY_SOURCE_FILE: return next_of_file(s, ret, e);
    case FERRY_SOURCE_MEMORY: return next_of_memory(s, ret, e);
    default: return next_in_sequence(s, ret, e);
    }
}
