/* upload: DATA of the stream to a file or device. Owns the pipeline; its ends are
 * intake.c (batches of what comes), sink.c (writes) and target.c (temporaries, commit).
 *
 *      receive ----> batch ----> [chan] ----> writer, writer ----> commit
 *      credit bounds what is    one waits    ferryd_sink_write on the pool
 *      not yet received
 *
 * What is small enough to have arrived whole in the first batch is opened, written and
 * committed by a single job: of a 4 KiB file, the two changes of threads would be most of
 * the time. A failing writer cancels the receiver, so that ENOSPC is answered at once,
 * whatever the host is still sending. */
#include "intake.h"

#include "base/auto.h"
#include "base/error.h"
#include "devices.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

/* Writes in flight, where the file system takes two at once; with one more batch waiting and one
 * being received, an upload holds at most 4 batches beside its stream's window. Elsewhere
 * they go one after the other: one that overtakes would make vfat and ntfs fill the gap
 * with zeroes first. */
#define WRITERS 2

/* Preallocation grows in steps, so that a small file does not reserve much and a large one has few
 * extents. */
#define ALLOC_FIRST (8ull * 1024 * 1024)
#define ALLOC_MAX (128ull * 1024 * 1024)

struct upload {
    struct ferryd_call *call;
    const fx_upload_args *args;
    ferry_file *root; /* NULL: a device */
    struct ferryd_target target;
    bool open, opened; /* now; ever */

    struct ferryd_intake in;
    uint64_t lost; /* the lowest offset below in.at that was not written; else UINT64_MAX */

    uint64_t allocated, step; /* preallocated up to here, and by how much next */
    ferry_chan batches;       /* struct ferryd_batch *, to the writers */
    int r;                    /* of a job */
};

/* A batch that was received and not, or not surely, written. With two writers it may have been
 * overtaken: what counts as written ends where it begins. */
static void batch_lost(struct upload *u, const struct ferryd_batch *b)
{
    if (b->n > 0 && b->offset < u->lost)
        u->lost = b->offset;
}

/* ---- before the data ------------------------------------------------------------------------ */

struct kind {
    mode_t mode;
    bool readonly;
};

static int look_at(int fd, void *arg)
{
    struct kind *k = arg;
    struct stat st;
    struct statvfs fs;
    if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0)
        return -errno;
    k->mode = st.st_mode;
    k->readonly = fs.f_flag & ST_RDONLY;
    return 0;
}

/* Tells a hopeless upload at once, before the host has sent it (a pipe may take its time).
 * What is in the directory cache costs no change of threads; a new name is not, but its directory
 * is from the second file on. The job that opens the target looks at everything again. */
static FERRY_CO int check_early(struct upload *u, ferry_error *e)
{
    const struct ferryd_call *c = u->call;
    const char *path = u->args->path;
    char dir[PATH_MAX], name[NAME_MAX + 1];
    struct kind k;
    int r = ferryd_split_path(path, dir, name);
    if (r < 0)
        return ferryd_fail(c, e, r, path);

    r = ferryd_try_path(c, path, 0, look_at, &k);
    if (r == -EAGAIN || r == -ENOENT)
        r = ferryd_with_path(c, dir, O_DIRECTORY, look_at, &k, e);
    else if (r == 0 && S_ISDIR(k.mode))
        r = ferryd_fail(c, e, -FERRY_EISDIR, path);
    if (r == 0 && k.readonly)
        r = ferryd_fail(c, e, -FERRY_EROFS, path);
    return r;
}

static int open_target(struct upload *u, bool large)
{
    const fx_upload_args *a = u->args;
    const struct ferryd_target_opts o = {
        .path = a->path,
        .mode = a->mode,
        .uid = a->uid,
        .gid = a->gid,
        .in_place = a->in_place,
        .durable = a->durable,
        .large = large,
        .offset = a->offset,
        .keep = a->keep,
        .resume_at = a->resume_at,
        .resume_stamp = a->resume_stamp,
    };
    int r = ferryd_target_open(u->root ? u->root->fd : -1, &o, &u->target);
    u->open = u->opened = r == 0;
    return r;
}

/* Blocking: what is left of the target that could not be finished, and the end of it. */
static void leave(struct upload *u)
{
    struct ferryd_left *left = &u->call->left;
    uint64_t end = u->lost < u->in.at ? u->lost : u->in.at;
    left->kind = u->target.resumed ? FERRY_LEFT_UNKNOWN : FERRY_LEFT_NOTHING;
    if (u->target.opts.in_place) {
        left->kind = FERRY_LEFT_WRITTEN;
        left->bytes = end - u->args->offset;
    } else if (ferryd_target_keep(&u->target, u->root->fd, end, &left->path) == 0) {
        left->kind = FERRY_LEFT_PARTIAL;
        left->bytes = end;
    }
    ferryd_target_close(&u->target);
    u->open = false;
}

/* Blocking, after the commit. */
static void finish(struct upload *u)
{
    struct ferryd_left *left = &u->call->left;
    left->kind = u->target.opts.in_place ? FERRY_LEFT_WRITTEN : FERRY_LEFT_NOTHING;
    left->bytes = u->target.opts.in_place ? u->in.at - u->args->offset : 0;
    ferryd_target_close(&u->target);
    u->open = false;
}

/* ---- small --------------------------------------------------------------------------------- */

struct small {
    struct upload *u;
    const struct ferryd_batch *batch;
};

static void small_run(void *arg)
{
    struct small *s = arg;
    struct upload *u = s->u;
    u->r = open_target(u, false);
    if (u->r < 0)
        return;
    if (s->batch->n > 0)
        u->r = ferryd_sink_write(&u->target, s->batch);
    if (u->r < 0)
        batch_lost(u, s->batch);
    else
        u->r = ferryd_target_commit(&u->target, u->in.at);
    if (u->r < 0)
        leave(u);
    else
        finish(u);
}

static FERRY_CO int upload_small(struct upload *u, const struct ferryd_batch *b)
{
    struct small s = {u, b};
    int r = u->args->durable ? ferryd_block_bulk(small_run, &s)
                             : ferryd_block(small_run, &s);
    return r < 0 ? r : u->r;
}

/* ---- large: the receiver ----------------------------------------------------------------------- */

static void allocate_run(void *arg)
{
    struct upload *u = arg;
    if (!ferryd_sink_allocate(&u->target, u->allocated, u->allocated + u->step))
        u->target.can_alloc = false;
}

/* Space for the batch and some more. In the receiver, not beside the write: a hole that comes
 * later must find all of it done. */
static FERRY_CO int allocate(struct upload *u, const struct ferryd_batch *b)
{
    uint64_t end = b->offset + b->len;
    if (!u->target.can_alloc || end <= u->allocated)
        return 0;

    if (u->allocated < b->offset) /* a hole was between */
        u->allocated = b->offset;
    uint64_t total = u->args->total,
             left = total > u->allocated ? total - u->allocated : 0;
    u->step = u->step == 0          ? ALLOC_FIRST
              : u->step < ALLOC_MAX ? 2 * u->step
                                    : ALLOC_MAX;
    if (left > 0 && left < u->step)
        u->step = left;
    if (u->step < b->len)
        u->step = b->len;

    int r = ferryd_block_bulk(allocate_run, u);
    u->allocated += u->step;
    return r;
}

static void hole_run(void *arg)
{
    struct upload *u = arg;
    u->r = ferryd_sink_hole(u->call, &u->target, u->in.at, u->in.at + u->in.hole);
}

/* In a fresh file only what was preallocated is there to be given back. */
static FERRY_CO int pass_hole(struct upload *u)
{
    if (u->in.at + u->in.hole < u->in.at || u->in.at + u->in.hole > INT64_MAX)
        return -FERRY_EFBIG;

    int r = 0;
    if (!u->target.fresh || u->in.at < u->allocated) {
        r = ferryd_block_bulk(hole_run, u);
        if (r == 0)
            r = u->r;
    }
    if (r < 0)
        return r;
    u->in.at += u->in.hole;
    u->in.hole = 0;
    u->step = 0;
    return 0;
}

static FERRY_CO int hand_on(struct upload *u, struct ferryd_batch **b)
{
    if ((*b)->n == 0)
        return 0;
    int r = allocate(u, *b);
    if (r == 0)
        r = ferry_chan_send(&u->batches, *b);
    if (r < 0)
        batch_lost(u, *b);
    else
        ferry_take(b);
    return r;
}

static FERRY_CO int receive(struct upload *u, struct ferryd_batch **first)
{
    FERRY_AUTO(batch) struct ferryd_batch *b = ferry_take(first);
    for (;;) {
        int r = hand_on(u, &b);
        if (r == 0 && u->in.hole)
            r = pass_hole(u);
        if (r < 0 || ferryd_intake_is_over(&u->in))
            return r;

        ferryd_batch_free(b);
        b = calloc(1, sizeof *b);
        r = b ? ferryd_intake_fill(&u->in, b) : -ENOMEM;
        if (r < 0)
            return r;
    }
}

/* ---- large: the writers ------------------------------------------------------------------------ */

struct writing {
    struct upload *u;
    struct ferryd_batch *batch;
    int r;
};

static void write_run(void *arg)
{
    struct writing *w = arg;
    w->r = ferryd_sink_write(&w->u->target, w->batch);
}

static FERRY_CO int writer(void *arg)
{
    struct upload *u = arg;
    for (;;) {
        void *next;
        int r = ferry_chan_recv(&u->batches, &next);
        if (r < 0)
            return r == -EPIPE ? 0 : r; /* EPIPE: the receiver is through */

        struct writing w = {.u = u, .batch = next};
        r = ferryd_block_bulk(write_run, &w);
        if (r == 0)
            r = w.r;
        if (r < 0)
            batch_lost(u, w.batch);
        ferryd_batch_free(w.batch);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int pipeline(struct upload *u, struct ferryd_batch **first)
{
    int r = ferry_chan_init(&u->batches, 1);
    if (r < 0)
        return r;

    ferry_scope s;
    ferry_scope_open(&s, 0);
    int wanted = u->target.parallel ? WRITERS : 1;
    for (int i = 0; i < wanted && r == 0; i++)
        r = ferry_spawn(&s, "upload writer", writer, u);
    if (r == 0)
        r = receive(u, first);
    if (r < 0)
        ferry_scope_cancel(&s, r);
    ferry_chan_close(&u->batches);
    int writers = ferry_scope_join(&s);

    void *left;
    while (ferry_chan_try_recv(&u->batches, &left)) {
        batch_lost(u, left);
        ferryd_batch_free(left);
    }
    ferry_chan_done(&u->batches);
    /* A writer's failure reaches the receiver as a cancel: the writer knows why. */
    return writers < 0 ? writers : r;
}

/* ---- large: both ends ---------------------------------------------------------------------------- */

static void open_run(void *arg)
{
    struct upload *u = arg;
    u->r = open_target(u, true);
}

static void commit_run(void *arg)
{
    struct upload *u = arg;
    u->r = ferryd_target_commit(&u->target, u->in.at);
}

static void leave_run(void *arg)
{
    leave(arg);
}

static void finish_run(void *arg)
{
    finish(arg);
}

static FERRY_CO void end_target(struct upload *u, int r)
{
    if (u->open)
        ferryd_clean_up(r < 0 ? leave_run : finish_run, u);
}

static FERRY_CO int open_large(struct upload *u)
{
    int r = ferryd_block(open_run, u);
    return r < 0 ? r : u->r;
}

static FERRY_CO int upload_large(struct upload *u, struct ferryd_batch **first)
{
    int r = pipeline(u, first);
    if (r == 0)
        r = ferryd_block_bulk(commit_run, u);
    return r < 0 ? r : u->r;
}

/* ---- the call -------------------------------------------------------------------------------------- */

/* A partial is opened before its data comes: cancelled then, it still is one. */
static FERRY_CO int upload(struct upload *u)
{
    FERRY_AUTO(batch) struct ferryd_batch *first = calloc(1, sizeof *first);
    int r = first ? 0 : -ENOMEM;
    if (r == 0 && u->args->resume_at)
        r = open_large(u);
    if (r == 0)
        r = ferryd_intake_fill(&u->in, first);
    if (r == 0 && !u->open && ferryd_intake_is_over(&u->in))
        return upload_small(u, first);

    if (r == 0 && !u->open)
        r = open_large(u);
    if (r == 0)
        r = upload_large(u, &first);
    if (first) /* nobody has taken it */
        batch_lost(u, first);
    end_target(u, r);
    return r;
}

/* The partial that was to be taken up and was not: whether it is there, and as it is. */
static void look_run(void *arg)
{
    struct upload *u = arg;
    struct ferryd_left *left = &u->call->left;
    struct stat st;
    FERRY_AUTO(fd) int fd = ferryd_partial_open(u->root->fd, u->args->path, &left->path);
    if (fd == -ENOENT)
        left->kind = FERRY_LEFT_NOTHING;
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    left->kind = FERRY_LEFT_PARTIAL;
    left->bytes = (uint64_t)st.st_size;
}

static FERRY_CO void look_at_partial(struct upload *u)
{
    u->call->left.kind = FERRY_LEFT_UNKNOWN;
    if (u->root)
        ferryd_clean_up(look_run, u);
}

static int begin(struct upload *u)
{
    const fx_upload_args *a = u->args;
    if (a->resume_at && (a->in_place || a->offset || !u->root))
        return -EINVAL;
    u->lost = UINT64_MAX;
    u->in.at = a->resume_at ? a->resume_at : a->offset;
    return 0;
}

static FERRY_CO int run_upload(struct upload *u, ferry_error *e)
{
    int r = begin(u);
    if (r == 0 && u->args->verify)
        r = ferry_seal_init(&u->in.seal);
    if (r == 0)
        r = upload(u);
    if (r < 0 && u->in.seal.broken)
        return ferryd_failf(u->call, e, -FERRY_EIO, "%s: " FERRY_SEAL_BROKEN,
                            u->args->path);
    return r < 0 ? ferryd_fail(u->call, e, r, u->args->path) : 0;
}

int ferryd_upload(struct ferryd_call *c, const fx_upload_args *a, fx_upload_ret *ret,
                  ferry_error *e)
{
    struct upload u = {.call = c, .args = a, .in.stream = c->stream};
    bool device;
    int r = ferryd_device_or_file(c, a->path, &device, e);
    if (r == 0 && !device)
        r = ferryd_root_get(c, &u.root, e);
    if (r == 0 && !device)
        r = check_early(&u, e);
    if (r == 0)
        r = run_upload(&u, e);
    if (r < 0 && a->resume_at && !u.opened)
        look_at_partial(&u);
    if (r == 0)
        ret->value = u.in.at - (a->resume_at ? a->resume_at : a->offset);
    ferryd_intake_done(&u.in);
    ferry_file_unref(u.root);
    return r;
}
