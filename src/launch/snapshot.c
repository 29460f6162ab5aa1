/* Making a template of a machine that has booted and has seen no drive; see attempt.h.
 *
 *      lock -> memory as a memfd, shared with qemu -> boot, the daemon's HELLO is read
 *        -> stop -> device state into another memfd -> qemu is killed
 *        -> both to disk, digested on the way (template_save.c)
 *
 * Nothing of a user has been in this guest, and nothing of it goes on. */
#include "async/scope.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/list.h"
#include "launch/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- the lock ------------------------------------------------------------------------ */

struct begin {
    ferry_job job;
    ferry_template_source source;
    char *key;
    int lock;
    int r;
    ferry_error error;
};

static void run_begin(ferry_job *job)
{
    struct begin *b = ferry_container(job, struct begin, job);
    b->r = ferry_template_key(&b->source, b->key);
    if (b->r == 0)
        b->r = ferry_template_lock(b->key, &b->lock, &b->error);
}

static void free_begin(ferry_job *job)
{
    struct begin *b = ferry_container(job, struct begin, job);
    ferry_template_source_done(&b->source);
    if (b->lock >= 0)
        close(b->lock);
    free(b->key);
    free(b);
}

static FERRY_CO int take_lock(ferry_machine *m, ferry_error *e)
{
    struct begin *b = calloc(1, sizeof *b);
    if (!b)
        return ferry_fail(e, -FERRY_ENOMEM, "template", "out of memory");
    ferry_job_init(&b->job, run_begin, free_begin);
    b->lock = -1;
    b->key = calloc(1, FERRY_TEMPLATE_KEY);
    int r = b->key ? ferry_template_source_init(&b->source, m) : -ENOMEM;
    if (r == 0)
        r = ferry_work(&b->job, FERRY_WORK_IN_TURN);
    if (r == 0)
        r = b->r;
    if (r == 0) {
        free(m->template_key);
        m->template_key = ferry_take(&b->key);
        m->template_lock = ferry_take_fd(&b->lock);
    } else if (b->error.code == r && e) {
        *e = b->error;
    } else {
        ferry_fail(e, r, "template", "%s", ferry_strerror(r));
    }
    ferry_job_unref(&b->job);
    return r;
}

FERRY_CO int ferry_snapshot_begin(ferry_machine *m, ferry_error *e)
{
    if (m->template_lock >= 0)
        close(ferry_take_fd(&m->template_lock)); /* another accelerator's */
    if (m->template_ram >= 0)
        close(ferry_take_fd(&m->template_ram));
    int r = take_lock(m, e);
    if (r < 0)
        return r;
    m->template_ram = memfd_create("guestferry-template", MFD_CLOEXEC);
    if (m->template_ram < 0)
        return ferry_fail(e, -errno, "template", "memory for a template: %s",
                          ferry_strerror(-errno));
    return 0;
}

/* ---- the state ------------------------------------------------------------------------ */

FERRY_CO int ferry_snapshot_capabilities(ferry_qmp *qmp, ferry_error *e)
{
    json_t *args =
        json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
                  "x-ignore-shared", "state", 1, "capability", "events", "state", 1);
    return ferry_qmp_execute(qmp, "migrate-set-capabilities", args, NULL, e);
}

static FERRY_CO int take_state(ferry_machine *m, int fd, ferry_error *e)
{
    ferry_qmp *qmp = ferry_qemu_qmp(m->qemu);
    int r = ferry_qmp_execute(qmp, "stop", NULL, NULL, e);
    if (r == 0)
        r = ferry_snapshot_capabilities(qmp, e);
    if (r == 0)
        r = ferry_qmp_execute_fd(qmp, "getfd", json_pack("{s:s}", "fdname", "state"),
                                 fd, NULL, e);
    if (r == 0)
        r = ferry_qmp_execute(qmp, "migrate", json_pack("{s:s}", "uri", "fd:state"),
                              NULL, e);
    if (r < 0)
        return r;
    r = ferry_qemu_migrated(m->qemu);
    if (r == -FERRY_EDEAD)
        return ferry_attempt_blame(m, -FERRY_ELAUNCH, NULL, e);
    return r < 0 ? ferry_fail(e, r, "template", "qemu cannot tell its state") : 0;
}

/* ---- to disk -------------------------------------------------------------------------- */

struct save {
    ferry_job job;
    char *key;
    int ram, state, lock;
    int r;
    ferry_error error;
};

static void run_save(ferry_job *job)
{
    struct save *s = ferry_container(job, struct save, job);
    s->r = ferry_template_save(s->key, s->ram, s->state, &s->error);
}

static void free_save(ferry_job *job)
{
    struct save *s = ferry_container(job, struct save, job);
    close(s->ram);
    close(s->state);
    close(s->lock);
    free(s->key);
    free(s);
}

/* The job has the lock: a save whose context was closed is finished under it. */
static FERRY_CO int save(ferry_machine *m, int state, ferry_error *e)
{
    struct save *s = calloc(1, sizeof *s);
    if (!s) {
        close(state);
        return ferry_fail(e, -FERRY_ENOMEM, "template", "out of memory");
    }
    ferry_job_init(&s->job, run_save, free_save);
    s->key = ferry_take(&m->template_key);
    s->ram = ferry_take_fd(&m->template_ram);
    s->lock = ferry_take_fd(&m->template_lock);
    s->state = state;
    int r = ferry_work(&s->job, FERRY_WORK_BULK);
    if (r < 0)
        ferry_fail(e, r, "template", "%s", ferry_strerror(r));
    else if ((r = s->r) < 0 && e)
        *e = s->error;
    ferry_job_unref(&s->job);
    return r;
}

FERRY_CO int ferry_machine_save(ferry_machine *m, ferry_error *e)
{
    FERRY_AUTO(fd) int state = memfd_create("guestferry-state", MFD_CLOEXEC);
    if (state < 0)
        return ferry_fail(e, -errno, "template", "memory for a template: %s",
                          ferry_strerror(-errno));
    int r = take_state(m, state, e);
    ferry_qemu_free(ferry_take(&m->qemu));
    return r < 0 ? r : save(m, ferry_take_fd(&state), e);
}
