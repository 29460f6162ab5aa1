/* A launch from a template; see attempt.h and template.h.
 *
 *      qemu -S -incoming defer      while it starts:   every byte that it will load is read
 *        | take in device state                        and compared (a pool thread)
 *        '---------- both good? ---------- no: the launch is cold
 *        | cont                       the guest's first instruction
 *        | greet                      the daemon says HELLO again
 *        '-> the drives, one by one, as blockdev-add and device_add */
#include "async/scope.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/list.h"
#include "base/trace.h"
#include "launch/attempt.h"
#include "launch/hotplug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding one --------------------------------------------------------------------- */

struct find {
    ferry_job job;
    ferry_template_source source;
    char *key;
    ferry_template template;
    int r;
    ferry_error error;
};

static void run_find(ferry_job *job)
{
    struct find *f = ferry_container(job, struct find, job);
    f->r = ferry_template_key(&f->source, f->key);
    if (f->r == 0)
        f->r = ferry_template_open(f->key, &f->template, &f->error);
}

static void free_find(ferry_job *job)
{
    struct find *f = ferry_container(job, struct find, job);
    ferry_template_source_done(&f->source);
    ferry_template_done(&f->template);
    free(f->key);
    free(f);
}

FERRY_CO int ferry_restore_find(ferry_machine *m, ferry_error *e)
{
    struct find *f = calloc(1, sizeof *f);
    if (!f)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    ferry_job_init(&f->job, run_find, free_find);
    f->template = (ferry_template)FERRY_TEMPLATE_INIT;
    f->key = calloc(1, FERRY_TEMPLATE_KEY);
    int r = f->key ? ferry_template_source_init(&f->source, m) : -ENOMEM;
    if (r == 0)
        r = ferry_work(&f->job, FERRY_WORK_IN_TURN);
    if (r == 0)
        r = f->r;
    if (r == 0) {
        m->template = f->template;
        f->template = (ferry_template)FERRY_TEMPLATE_INIT;
    } else if (f->error.code == r && e) {
        *e = f->error;
    } else {
        ferry_fail(e, r, "template", "%s", ferry_strerror(r));
    }
    ferry_job_unref(&f->job);
    return r;
}

/* ---- comparing ----------------------------------------------------------------------- */

struct verify {
    ferry_job job;
    ferry_template template; /* descriptors of its own */
    atomic_bool stop;
    int r;
    ferry_error error;
};

static void run_verify(ferry_job *job)
{
    struct verify *v = ferry_container(job, struct verify, job);
    v->r = ferry_template_verify(&v->template, &v->stop, &v->error);
}

static void free_verify(ferry_job *job)
{
    struct verify *v = ferry_container(job, struct verify, job);
    ferry_template_done(&v->template);
    free(v);
}

struct restore {
    ferry_machine *m;
    ferry_error bad; /* what the comparison found */
};

/* Not a duplicate, which would share its position: qemu reads the state from there. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int copy_template(const ferry_template *from, ferry_template *ret)
{
    *ret = *from;
    ret->ram = open_again(from->ram);
    ret->state = open_again(from->state);
    return ret->ram < 0 || ret->state < 0 ? -errno : 0;
}

static FERRY_CO int verify_task(void *arg)
{
    struct restore *t = arg;
    struct verify *v = calloc(1, sizeof *v);
    if (!v)
        return ferry_fail(&t->bad, -FERRY_ENOMEM, "launch", "out of memory");
    ferry_job_init(&v->job, run_verify, free_verify);
    int r = copy_template(&t->m->template, &v->template);
    if (r < 0)
        ferry_fail(&t->bad, r, "template", "%s", ferry_strerror(r));
    else if ((r = ferry_work(&v->job, FERRY_WORK_BULK)) < 0)
        atomic_store(&v->stop, true);
    else if ((r = v->r) < 0)
        t->bad = v->error;
    ferry_job_unref(&v->job);
    return r;
}

/* ---- going on ------------------------------------------------------------------------ */

static FERRY_CO int take_in(ferry_machine *m, ferry_error *e)
{
    ferry_qmp *qmp = ferry_qemu_qmp(m->qemu);
    char uri[16];
    snprintf(uri, sizeof uri, "fd:%d", FERRY_FD_STATE);
    int r = ferry_snapshot_capabilities(qmp, e);
    if (r == 0)
        r = ferry_qmp_execute(qmp, "migrate-incoming", json_pack("{s:s}", "uri", uri),
                              NULL, e);
    if (r == 0)
        r = ferry_qemu_migrated(m->qemu);
    return r == -FERRY_EIO && e->code != r ? -FERRY_EPIPE
                                           : r; /* it ends, and says why */
}

/* 0: all that qemu has taken in is what was written once. */
static FERRY_CO int load(ferry_machine *m, ferry_error *e)
{
    struct restore t = {.m = m};
    ferry_scope s;
    ferry_scope_open(&s, 0);
    int r = ferry_spawn(&s, "verify-template", verify_task, &t);
    if (r == 0)
        r = take_in(m, e);
    if (r < 0)
        ferry_scope_cancel(&s, -FERRY_ECANCELED);
    int joined = ferry_scope_join(&s);
    if (t.bad.code) {
        *e = t.bad;
        return t.bad.code;
    }
    return r < 0 ? r : joined;
}

static FERRY_CO int plug_drives(ferry_machine *m, ferry_error *e)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < m->spec.ndrives; i++) {
        const ferry_drive drive =
            m->spec.drives[i]; /* nobody changes it while launching */
        r = ferry_hotplug_add(m->qemu, &drive, e);
    }
    if (r < 0 && e->code == r)
        snprintf(e->where, sizeof e->where, "launch");
    return r;
}

FERRY_CO int ferry_restore(ferry_machine *m, const ferry_machine_hooks *hooks,
                           ferry_error *e)
{
    int r = ferry_qemu_started(m->qemu);
    if (r < 0)
        return r;
    m->times.prepare_ms = ferry_attempt_ms(m, m->started);

    ferry_attempt_phase(m, hooks, "restoring");
    uint64_t then = ferry_loop_now(m->loop);
    r = load(m, e);
    if (r == 0)
        r = ferry_qmp_execute(ferry_qemu_qmp(m->qemu), "cont", NULL, NULL, e);
    if (r < 0)
        return r;
    m->times.boot_ms = ferry_attempt_ms(m, then);

    r = ferry_attempt_greet(m, hooks, e);
    if (r < 0)
        return r;
    m->greeted = true;

    then = ferry_loop_now(m->loop);
    ferry_attempt_phase(m, hooks, "plugging");
    r = plug_drives(m, e);
    m->times.drives_ms = ferry_attempt_ms(m, then);
    return r;
}
