/* See sink_keep.h. Called by sink_path.c and download.c; what is named run_ is on a pool thread. */
#include "api/sink_keep.h"

#include "async/scope.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/digest.h"
#include "base/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

int ferry_sink_open_partial(ferry_sink_place *p)
{
    struct stat st;
    FERRY_AUTO(mem) char *name = ferry_partial_name(p->target);
    if (!name)
        return -ENOMEM;
    FERRY_AUTO(fd) int fd = ferry_partial_open(AT_FDCWD, name);
    if (fd < 0)
        return fd == -EBUSY ? -EBUSY : -ENOENT;
    if (fstat(fd, &st) < 0)
        return -errno;
    p->temporary = ferry_take(&name);
    p->resumed = true;
    p->found = (uint64_t)st.st_size;
    return ferry_take_fd(&fd);
}

void ferry_sink_unlock(ferry_file *f)
{
    if (f->busy == 0)
        (void)flock(f->fd, LOCK_UN);
}

struct keep_job {
    ferry_job job;
    ferry_file *file;
    char *target, *temporary, *partial; /* temporary NULL: it has no name */
    bool resumed;
    uint64_t size;
    int result;
};

/* The bytes of a file that not everybody may read are not everybody's either. */
static void restrict_mode(const struct keep_job *j)
{
    struct stat target, ours;
    if (stat(j->target, &target) == 0 && fstat(j->file->fd, &ours) == 0)
        (void)fchmod(j->file->fd, ours.st_mode & target.st_mode & 0777);
}

static int keep(const struct keep_job *j)
{
    bool enough = j->size >= FERRY_DIGEST_PIECE;
    if (j->resumed && !enough)
        unlink(j->partial);
    if (!enough)
        return -ENODATA;
    restrict_mode(j);
    if (j->resumed)
        return ftruncate(j->file->fd, (off_t)j->size) < 0 ? -errno : 0;
    return ferry_partial_keep(AT_FDCWD, j->partial, j->file->fd, j->temporary,
                              (off_t)j->size);
}

static void run_keep(ferry_job *job)
{
    struct keep_job *j = ferry_container(job, struct keep_job, job);
    j->result = keep(j);
}

static void free_keep(ferry_job *job)
{
    struct keep_job *j = ferry_container(job, struct keep_job, job);
    ferry_file_unref(j->file);
    free(j->target);
    free(j->temporary);
    free(j->partial);
    free(j);
}

static int new_job(const ferry_sink *s, struct keep_job **ret)
{
    struct keep_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run_keep, free_keep);
    j->file = ferry_file_ref(s->file);
    j->resumed = s->resumed;
    j->size = s->offset;
    j->target = strdup(s->target);
    j->partial = ferry_partial_name(s->target);
    j->temporary = s->temporary ? strdup(s->temporary) : NULL;
    if (!j->target || !j->partial || (s->temporary && !j->temporary)) {
        ferry_job_unref(&j->job);
        return -ENOMEM;
    }
    *ret = j;
    return 0;
}

/* A write that was orphaned by the cancel must not come after the cut. */
static FERRY_CO int run_shielded(struct keep_job *j)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, FERRY_SINK_KEEP_MS);
    int r = ferry_file_settle(j->file);
    if (r == 0)
        r = ferry_work(&j->job, FERRY_WORK_IN_TURN);
    ferry_scope_join(&s);
    return r < 0 ? r : j->result;
}

int ferry_sink_keep(ferry_sink *s, char **ret_path)
{
    struct keep_job *j;
    int r = new_job(s, &j);
    if (r < 0)
        return r;
    r = run_shielded(j);
    if (r == 0) {
        free(ferry_take(&s->temporary)); /* it is the partial now */
        *ret_path = ferry_take(&j->partial);
    }
    ferry_job_unref(&j->job);
    return r;
}
