/* Destinations of downloads: see sink.h. What touches names is sink_path.c. */
#include "api/sink.h"

#include "api/sink_keep.h"
#include "async/pipe.h"
#include "async/scope.h"
#include "base/auto.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Zeroes written at once where a hole cannot be one. */
#define ZEROES (256 * 1024)

/* No object is larger; and twice as much is still a number. */
#define MEMORY_LIMIT ((uint64_t)PTRDIFF_MAX / 2)

static const char *name_of(const ferry_sink *s)
{
    return s->path ? s->path : "the destination";
}

static int failed(const ferry_sink *s, int r, ferry_error *e)
{
    if (r == -FERRY_ECANCELED || r == -FERRY_ETIMEDOUT)
        return r;
    if (r == -ENXIO)
        r = -FERRY_EPIPE; /* a FIFO that nobody reads any more */
    return ferry_fail(e, r, "download", "%s: %s", name_of(s), ferry_strerror(r));
}

void ferry_sink_done(ferry_sink *s)
{
    if (s->temporary && !s->resumed)
        unlink(s->temporary);
    if (s->resumed && s->file)
        ferry_sink_unlock(s->file);
    if (s->installed) /* whoever unmounts the file system now does not find it busy */
        ferry_file_close_aside(s->file, NULL);
    ferry_file_close(s->file);
    ferry_link_close(s->link);
    free(s->path);
    free(s->target);
    free(s->temporary);
    free(s->memory);
    *s = (ferry_sink){.fd = -1};
}

/* ---- opening ----------------------------------------------------------------------- */

/* The kernel puts what is written there at the end, whatever offset is asked for. */
static bool appends(int fd, const struct stat *st)
{
    int flags = fcntl(fd, F_GETFL);
    return S_ISREG(st->st_mode) && flags >= 0 && flags & O_APPEND;
}

static int settle_fd(ferry_sink *s, ferry_file *own, const struct stat *st, uint64_t at)
{
    if (appends(own->fd, st)) {
        s->kind = FERRY_SINK_SEQUENCE;
        s->file = ferry_file_ref(own);
        return 0;
    }
    if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode)) {
        s->kind = FERRY_SINK_FILE;
        s->offset = at;
        s->file = ferry_file_ref(own);
        return 0;
    }
    s->kind = FERRY_SINK_STREAM;
    int r = ferry_pipe_borrow(ferry_self_loop(), own->fd, FERRY_PIPE_WRITE, &s->link);
    if (r != -EPERM)
        return r;
    s->kind = FERRY_SINK_SEQUENCE;
    s->file = ferry_file_ref(own);
    return 0;
}

static FERRY_CO int open_fd(ferry_sink *s)
{
    struct stat st;
    if (fstat(s->fd, &st) < 0)
        return -errno;
    off_t at = lseek(s->fd, 0, SEEK_CUR);
    int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    FERRY_AUTO(file) ferry_file *own = NULL;
    int r = ferry_file_new(fd, &own);
    return r < 0 ? r : settle_fd(s, own, &st, at < 0 ? 0 : (uint64_t)at);
}

static FERRY_CO int open_path(ferry_sink *s, ferry_error *e)
{
    ferry_sink_place place = {0};
    int r = ferry_sink_prepare(s->path, s->mode, s->resume, &place);
    if (r == -EBUSY)
        return ferry_fail(e, r, "download", "%s: another download has its partial",
                          name_of(s));
    if (r < 0)
        return failed(s, r, e);
    s->resumed = place.resumed;
    s->found = place.found;
    s->target = place.target;
    s->temporary = place.temporary;
    if (!place.special) {
        s->kind = FERRY_SINK_TEMPORARY;
        s->file = place.file;
        ferry_file_close_aside(s->file, ferry_self_loop());
        return 0;
    }
    r = settle_fd(s, place.file, &place.st, 0);
    ferry_file_unref(place.file);
    return r < 0 ? failed(s, r, e) : 0;
}

int ferry_sink_open(ferry_sink *s, ferry_error *e)
{
    if (s->path)
        return open_path(s, e);
    if (s->fd >= 0) {
        int r = open_fd(s);
        return r < 0 ? failed(s, r, e) : 0;
    }
    s->kind = FERRY_SINK_MEMORY;
    return 0;
}

/* ---- writing ----------------------------------------------------------------------- */

static int to_memory(ferry_sink *s, const ferry_piece *p, ferry_error *e)
{
    uint64_t n = p->hole ? p->hole : p->data.len;
    uint64_t max = s->max_bytes < MEMORY_LIMIT ? s->max_bytes : MEMORY_LIMIT;
    if (n > max - s->offset)
        return ferry_fail(e, -FERRY_EFBIG, "download",
                          "the file is larger than %llu bytes, the limit for memory; "
                          "raise max_bytes, or download to a path",
                          (unsigned long long)max);
    if (s->offset + n + 1 > s->capacity) {
        size_t capacity = (size_t)(s->offset + n + 1) + s->capacity / 2;
        uint8_t *memory = realloc(s->memory, capacity);
        if (!memory)
            return failed(s, -ENOMEM, e);
        s->memory = memory;
        s->capacity = capacity;
    }
    if (p->hole)
        memset(s->memory + s->offset, 0, (size_t)n);
    else
        memcpy(s->memory + s->offset, p->data.data, (size_t)n);
    s->offset += n;
    s->memory[s->offset] = 0;
    return 0;
}

static FERRY_CO int write_bytes(ferry_sink *s, const ferry_slice *b)
{
    if (s->kind == FERRY_SINK_STREAM) {
        struct iovec v = {(void *)(uintptr_t)b->data, b->len};
        return ferry_link_write(s->link, &v, 1);
    }
    return ferry_fs_write(s->file, b,
                          s->kind == FERRY_SINK_SEQUENCE ? FERRY_FS_IN_SEQUENCE
                                                         : s->offset);
}

static FERRY_CO int write_zeroes(ferry_sink *s, uint64_t n)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_new(ZEROES, &b);
    if (r < 0)
        return r;
    memset(b->data, 0, ZEROES);
    while (n > 0 && r == 0) {
        ferry_slice z = {b, b->data, n < ZEROES ? (size_t)n : ZEROES};
        r = write_bytes(s, &z);
        s->offset += z.len;
        n -= z.len;
    }
    return r;
}

/* The peer's word, any 64-bit number: an offset that wrapped would lead into what the caller
 * has before it. */
static bool too_far(const ferry_sink *s, const ferry_piece *p)
{
    return (s->kind == FERRY_SINK_TEMPORARY || s->kind == FERRY_SINK_FILE) &&
           (p->hole ? p->hole : p->data.len) > INT64_MAX - s->offset;
}

int ferry_sink_write(ferry_sink *s, const ferry_piece *p, ferry_error *e)
{
    int r;
    if (s->kind == FERRY_SINK_MEMORY)
        return to_memory(s, p, e);
    if (too_far(s, p))
        return failed(s, -FERRY_EFBIG, e);
    if (!p->hole) {
        r = write_bytes(s, &p->data);
        if (r == 0)
            s->offset += p->data.len;
    } else if (s->kind == FERRY_SINK_TEMPORARY) {
        s->offset += p->hole; /* a fresh file: commit sets its size */
        r = 0;
    } else if (s->kind == FERRY_SINK_FILE &&
               ferry_sink_punch(s->file, s->offset, p->hole) == 0) {
        s->offset += p->hole;
        r = 0;
    } else {
        r = write_zeroes(s, p->hole);
    }
    return r < 0 ? failed(s, r, e) : 0;
}

/* ---- the end ----------------------------------------------------------------------- */

int ferry_sink_commit(ferry_sink *s, ferry_error *e)
{
    ferry_scope shield;
    int r = s->durable && s->file ? ferry_fs_sync(s->file) : 0;
    if (r < 0 && r != -EINVAL) /* EINVAL: /dev/null and its like */
        return failed(s, r, e);

    r = 0;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    if (s->kind == FERRY_SINK_TEMPORARY)
        r = ferry_sink_install(s);
    else if (s->kind == FERRY_SINK_FILE)
        r = ferry_sink_end_file(s);
    else if (s->kind == FERRY_SINK_MEMORY && !s->memory)
        r = (s->memory = calloc(1, 1)) ? 0 : -ENOMEM;
    ferry_scope_join(&shield);
    return r < 0 ? failed(s, r, e) : 0;
}
