/* Preparing a launch on a pool thread; see prepare.h. The jobs own copies of all that they
 * read: a cancelled launch leaves while they still run. */
#include "launch/prepare.h"

#include "async/scope.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/list.h"
#include "launch/libvirt.h"
#include "launch/manifest.h"
#include "launch/ticks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* To write a line to a file. It is worth a wait: without it the next launch tries kvm again, and finds
 * no template for it. On a busy machine 100 ms were not enough. */
#define VERDICT_MS 10000
#define VERDICT_CANCELLED_MS 100 /* who has cancelled waits for the end */

void ferry_prepared_done(ferry_prepared *p)
{
    ferry_appliance_done(&p->appliance);
    free(p->qemu);
    free(p->guard);
    free(p->uri);
    memset(p, 0, sizeof *p);
}

/* ---- looking --------------------------------------------------------------------- */

struct look {
    ferry_job job;
    char *appliance, *qemu; /* NULL: default */
    char *backend;          /* NULL: direct */
    ferry_accel accel;

    int r;
    ferry_prepared found;
    ferry_error error;
};

/* kvm runs guests of the host's own kind. */
static bool is_foreign(const ferry_prepared *f)
{
    return f->appliance.platform != ferry_platform_host();
}

static int kvm_is_possible(const ferry_prepared *f, ferry_error *e)
{
    if (is_foreign(f))
        return ferry_fail(e, -FERRY_ELAUNCH, "launch",
                          "kvm: the appliance is for %s, which this machine is not",
                          f->appliance.platform->arch);
    return ferry_accel_kvm_opens(e);
}

static void note_no_kvm(ferry_prepared *f, const ferry_error *e)
{
    snprintf(f->no_kvm, sizeof f->no_kvm, "%.*s", (int)sizeof f->no_kvm - 1, e->msg);
}

/* Whether libvirtd, which need not be on this host, has kvm is for it to say; that kvm does
 * not boot on this one is known here. */
static int decide_libvirt(struct look *l)
{
    ferry_prepared *f = &l->found;
    FERRY_AUTO(mem) char *qemu = NULL;
    if (l->accel == FERRY_ACCEL_TCG)
        return 0;
    ferry_error e = {0};
    bool here = !ferry_libvirt_remote(f->uri);
    /* To ask libvirt costs seconds. */
    if (here && (is_foreign(f) || access("/dev/kvm", F_OK) < 0)) {
        kvm_is_possible(f, &e);
        note_no_kvm(f, &e);
        return 0;
    }
    if (here) {
        if (!f->qemu)
            ferry_qemu_find(f->appliance.platform, NULL, &qemu, NULL);
        const char *program = f->qemu ? f->qemu : qemu;
        if (program)
            ferry_accel_key(program, f->appliance.kernel, f->accel_key);
    }
    f->try_kvm = !ferry_accel_recall(f->accel_key, f->no_kvm);
    return 0;
}

/* An explicit kvm is tried whatever was remembered; if it cannot be, that is an error. */
static int decide(struct look *l)
{
    ferry_prepared *f = &l->found;
    ferry_accel_key(f->qemu, f->appliance.kernel, f->accel_key);
    if (l->accel == FERRY_ACCEL_TCG)
        return 0;

    ferry_error e = {0};
    int r = kvm_is_possible(f, &e);
    if (l->accel == FERRY_ACCEL_KVM) {
        l->error = e;
        return r;
    }
    if (r < 0)
        note_no_kvm(f, &e);
    else
        f->try_kvm = !ferry_accel_recall(f->accel_key, f->no_kvm);
    return 0;
}

/* qemu and what stands beside it are libvirt's, unless a program was named. */
static int look_libvirt(struct look *l, const char *uri)
{
    ferry_prepared *f = &l->found;
    const char *env = secure_getenv("FERRY_QEMU");
    if (uri && !(f->uri = strdup(uri)))
        return ferry_fail(&l->error, -FERRY_ENOMEM, "launch", "out of memory");
    int r = ferry_libvirt_load(&f->libvirt, &l->error);
    if (r == 0 && (l->qemu || (env && *env)))
        r = ferry_qemu_find(f->appliance.platform, l->qemu, &f->qemu, &l->error);
    return r < 0 ? r : decide_libvirt(l);
}

static int look_direct(struct look *l)
{
    ferry_prepared *f = &l->found;
    int r = ferry_qemu_find(f->appliance.platform, l->qemu, &f->qemu, &l->error);
    if (r == 0)
        r = ferry_guard_find(&f->guard, &l->error);
    if (r == 0 && f->appliance.platform->tells_ticks && !is_foreign(f))
        f->ticks_khz = ferry_ticks_khz();
    return r < 0 ? r : decide(l);
}

static void run_look(ferry_job *job)
{
    struct look *l = ferry_container(job, struct look, job);
    ferry_prepared *f = &l->found;
    const char *uri;
    l->r = ferry_appliance_find(l->appliance, &f->appliance, &l->error);
    if (l->r == 0)
        l->r = ferry_libvirt_named(l->backend, &uri) ? look_libvirt(l, uri)
                                                     : look_direct(l);
}

static void free_look(ferry_job *job)
{
    struct look *l = ferry_container(job, struct look, job);
    ferry_prepared_done(&l->found);
    free(l->appliance);
    free(l->qemu);
    free(l->backend);
    free(l);
}

FERRY_CO int ferry_prepare(const ferry_machine_spec *spec, ferry_prepared *ret,
                           ferry_error *e)
{
    struct look *l = calloc(1, sizeof *l);
    if (!l)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    ferry_job_init(&l->job, run_look, free_look);
    l->accel = spec->accel;
    l->appliance = spec->appliance ? strdup(spec->appliance) : NULL;
    l->qemu = spec->qemu ? strdup(spec->qemu) : NULL;
    l->backend = spec->backend ? strdup(spec->backend) : NULL;

    int r = 0;
    if ((spec->appliance && !l->appliance) || (spec->qemu && !l->qemu) ||
        (spec->backend && !l->backend))
        r = ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    else if ((r = ferry_work(&l->job, FERRY_WORK_IN_TURN)) < 0)
        ferry_fail(e, r, "launch", "%s before qemu was started", ferry_strerror(r));
    else if ((r = l->r) < 0 && e)
        *e = l->error;
    if (r == 0) {
        *ret = l->found;
        memset(&l->found, 0, sizeof l->found);
    }
    ferry_job_unref(&l->job);
    return r;
}

/* ---- comparing --------------------------------------------------------------------- */

struct check {
    ferry_job job;
    ferry_appliance appliance;
    atomic_bool stop;
    int r;
    ferry_error error;
};

static void run_check(ferry_job *job)
{
    struct check *c = ferry_container(job, struct check, job);
    c->r = ferry_manifest_check(&c->appliance, &c->stop, &c->error);
}

static void free_check(ferry_job *job)
{
    struct check *c = ferry_container(job, struct check, job);
    ferry_appliance_done(&c->appliance);
    free(c);
}

FERRY_CO int ferry_prepared_check(const ferry_prepared *p, ferry_error *e)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    ferry_job_init(&c->job, run_check, free_check);
    int r = ferry_appliance_copy(&p->appliance, &c->appliance);
    if (r < 0)
        ferry_fail(e, r, "launch", "out of memory");
    else if ((r = ferry_work(&c->job, FERRY_WORK_BULK)) < 0)
        atomic_store(&c->stop, true); /* nobody waits for it any more */
    else if ((r = c->r) < 0 && e)
        *e = c->error;
    ferry_job_unref(&c->job);
    return r;
}

/* ---- remembering ----------------------------------------------------------------- */

struct verdict {
    ferry_job job;
    bool failed;
    char key[FERRY_ACCEL_KEY];
    char reason[FERRY_ACCEL_REASON];
};

static void run_verdict(ferry_job *job)
{
    struct verdict *v = ferry_container(job, struct verdict, job);
    if (v->failed)
        ferry_accel_remember(v->key, v->reason);
    else
        ferry_accel_forget();
}

static void free_verdict(ferry_job *job)
{
    free(ferry_container(job, struct verdict, job));
}

FERRY_CO void ferry_prepared_verdict(const ferry_prepared *p, const char *reason)
{
    struct verdict *v = calloc(1, sizeof *v);
    if (!v)
        return; /* the next launch finds out for itself */
    ferry_job_init(&v->job, run_verdict, free_verdict);
    v->failed = reason;
    memcpy(v->key, p->accel_key, sizeof v->key);
    snprintf(v->reason, sizeof v->reason, "%.*s", (int)sizeof v->reason - 1,
             reason ? reason : "");

    /* Also when the launch was cancelled meanwhile, but then not for long. */
    uint64_t ms = ferry_cancelled() ? VERDICT_CANCELLED_MS : VERDICT_MS;
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, ms);
    ferry_work(&v->job, FERRY_WORK_IN_TURN);
    ferry_scope_join(&s);
    ferry_job_unref(&v->job);
}
