/* Launching, and ending, an appliance; the contract is in machine.h.
 *
 *      prepare --> attempt(kvm) --> attempt(tcg) --> up --> quit | wait | free
 *
 * What an attempt is: attempt.h. A launch that fails comes out at one place, which frees the
 * machine. */
#include "launch/machine.h"

#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "launch/attempt.h"
#include "launch/direct.h"
#include "launch/hotplug.h"
#include "launch/libvirt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ferry_backend_known(const char *backend)
{
    const char *uri;
    return strcmp(backend, "direct") == 0 || ferry_libvirt_named(backend, &uri);
}

/* ---- new ------------------------------------------------------------------------- */

static int copy_drives(ferry_machine *m, const ferry_machine_spec *spec)
{
    m->spec.drives = calloc(FERRY_DRIVES_MAX, sizeof *spec->drives);
    if (!m->spec.drives)
        return -ENOMEM;
    for (unsigned i = 0; i < spec->ndrives; i++) {
        ferry_drive *to = &m->spec.drives[i];
        int r = ferry_drive_copy(&spec->drives[i], to);
        if (r < 0)
            return r;
        to->target = i;
        m->spec.ndrives++;
    }
    return 0;
}

static int check_count(const ferry_machine_spec *spec, ferry_error *e)
{
    if (spec->ndrives > FERRY_DRIVES_MAX)
        return ferry_fail(e, -FERRY_EINVAL, "launch",
                          "%u drives: at most %d are possible", spec->ndrives,
                          FERRY_DRIVES_MAX);
    return 0;
}

/* NULL: e says why. */
static FERRY_CO ferry_machine *new_machine(const ferry_machine_spec *spec,
                                           ferry_error *e)
{
    if (check_count(spec, e) < 0)
        return NULL;
    ferry_machine *m = calloc(1, sizeof *m);
    if (m) {
        m->template = (ferry_template)FERRY_TEMPLATE_INIT;
        m->template_ram = m->template_lock = -1;
    }
    if (!m || copy_drives(m, spec) < 0) {
        ferry_machine_free(m);
        ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
        return NULL;
    }
    m->loop = ferry_self_loop();
    const char *uri;
    m->backend = ferry_libvirt_named(spec->backend, &uri) ? &ferry_backend_libvirt
                                                          : &ferry_backend_direct;
    m->started = ferry_loop_now(m->loop);
    m->spec.memory_mib = spec->memory_mib;
    m->spec.cpus = spec->cpus;
    m->spec.lane_fd = spec->lane_fd;
    m->spec.lane_bytes = m->backend->has_lane ? spec->lane_bytes : 0;
    m->spec.template = spec->template;
    m->spec.build = spec->build;
    return m;
}

/* An attempt, and another one without -sandbox, or without a lane, if this qemu turns out to have
 * none: to ask it first would cost every launch a run of qemu. */
static FERRY_CO int attempt_accel(ferry_machine *m, const ferry_machine_hooks *hooks,
                                  ferry_accel accel, enum ferry_suspect *ret_suspect,
                                  ferry_error *e)
{
    int r = ferry_attempt(m, hooks, accel, ret_suspect, e);
    if (r < 0 && *ret_suspect == FERRY_SUSPECT_SANDBOX && !m->no_sandbox) {
        m->no_sandbox = true;
        r = ferry_attempt(m, hooks, accel, ret_suspect, e);
    }
    if (r < 0 && *ret_suspect == FERRY_SUSPECT_LANE && m->spec.lane_bytes) {
        m->spec.lane_bytes = 0;
        r = ferry_attempt(m, hooks, accel, ret_suspect, e);
    }
    return r;
}

static FERRY_CO int only_kvm(ferry_machine *m, const ferry_machine_hooks *hooks,
                             ferry_error *e)
{
    enum ferry_suspect suspect;
    int r = attempt_accel(m, hooks, FERRY_ACCEL_KVM, &suspect, e);
    if (r == 0)
        ferry_prepared_verdict(&m->found, NULL);
    else if (suspect == FERRY_SUSPECT_ACCEL || suspect == FERRY_SUSPECT_BOOT)
        ferry_error_prefix(e, "kvm does not work here (try --accel tcg)");
    return r;
}

/* A kvm that did not boot is remembered, unless tcg does not boot this appliance either.
 * One that is not to be had ("permission denied") says so at once, every time: it is not
 * worth remembering, and may change with the next login. */
static FERRY_CO int any_accel(ferry_machine *m, const ferry_machine_hooks *hooks,
                              ferry_error *e)
{
    enum ferry_suspect suspect = FERRY_SUSPECT_OTHER, ignored;
    if (m->found.try_kvm) {
        int r = attempt_accel(m, hooks, FERRY_ACCEL_KVM, &suspect, e);
        if (suspect != FERRY_SUSPECT_ACCEL && suspect != FERRY_SUSPECT_BOOT)
            return r;
        snprintf(m->found.no_kvm, sizeof m->found.no_kvm, "%.*s",
                 (int)sizeof m->found.no_kvm - 1, e->msg);
    }
    int r = attempt_accel(m, hooks, FERRY_ACCEL_TCG, &ignored, e);
    if (suspect == FERRY_SUSPECT_BOOT && (r == 0 || ferry_cancelled()))
        ferry_prepared_verdict(&m->found, m->found.no_kvm);
    return r;
}

/* ---- the files --------------------------------------------------------------------- */

/* The appliance's files are compared with their manifest while they boot: what is wrong with them
 * is then the reason of whatever else goes wrong, and ends a boot that would hang. */
struct check {
    ferry_machine *m;
    ferry_scope scope;
    int code; /* 0: nothing is known to be wrong */
    ferry_error error;
};

static FERRY_CO int check_files(void *arg)
{
    struct check *c = arg;
    int r = ferry_prepared_check(&c->m->found, &c->error);
    if (r < 0 && !ferry_cancelled()) {
        c->code = r;
        ferry_scope_cancel(&c->scope, -FERRY_ECANCELED);
    }
    return r;
}

static FERRY_CO int launch(ferry_machine *m, const ferry_machine_spec *spec,
                           const ferry_machine_hooks *hooks, ferry_error *e)
{
    struct check c = {.m = m};
    ferry_scope_open(&c.scope, 0);
    int r = ferry_spawn(&c.scope, "check-appliance", check_files, &c);
    if (r < 0)
        ferry_fail(e, r, "launch", "out of memory");
    else if (spec->accel == FERRY_ACCEL_KVM)
        r = only_kvm(m, hooks, e);
    else
        r = any_accel(m, hooks, e);
    if (r < 0)
        ferry_scope_cancel(&c.scope, -FERRY_ECANCELED);
    ferry_scope_join(&c.scope);
    if (c.code < 0)
        *e = c.error;
    return c.code < 0 ? c.code : r;
}

/* ---- the contract ------------------------------------------------------------------ */

FERRY_CO int ferry_machine_start(const ferry_machine_spec *spec,
                                 const ferry_machine_hooks *hooks, ferry_machine **ret,
                                 ferry_error *e)
{
    ferry_error own = {0};
    ferry_machine *m = new_machine(spec, &own);
    int r = m ? ferry_prepare(spec, &m->found, &own) : own.code;
    if (m && r == 0 && !m->found.appliance.platform->lane)
        m->spec.lane_bytes = 0;
    if (m && r == 0)
        r = launch(m, spec, hooks, &own);
    if (!m || r < 0) {
        ferry_machine_free(m);
        if (e)
            *e = own;
        return r;
    }
    m->times.total_ms = ferry_attempt_ms(m, m->started);
    FERRY_TRACE(launch, "up in %u ms", m->times.total_ms);
    *ret = m;
    return 0;
}

/* ---- drives at run time ------------------------------------------------------------ */

static ferry_drive *drive_at(const ferry_machine *m, unsigned target)
{
    for (unsigned i = 0; i < m->spec.ndrives; i++)
        if (m->spec.drives[i].target == target)
            return &m->spec.drives[i];
    return NULL;
}

static void forget_drive(ferry_machine *m, ferry_drive *d)
{
    ferry_drive_done(d);
    *d = m->spec.drives[--m->spec.ndrives];
}

FERRY_CO int ferry_machine_plug(ferry_machine *m, const ferry_drive *d, ferry_error *e)
{
    if (!ferry_qemu_qmp(m->qemu))
        return ferry_fail(e, -FERRY_ENOTSUP, "plug_drive",
                          "the %s backend takes no drives at run time",
                          m->backend->name);
    if (m->spec.ndrives == FERRY_DRIVES_MAX || drive_at(m, d->target))
        return ferry_fail(e, -FERRY_EBUSY, "plug_drive", "target %u is taken",
                          d->target);
    ferry_drive *ours = &m->spec.drives[m->spec.ndrives];
    if (ferry_drive_copy(d, ours) < 0)
        return ferry_fail(e, -FERRY_ENOMEM, "plug_drive", "out of memory");
    m->spec.ndrives++; /* io errors are told by its name from now on */

    int r = ferry_hotplug_add(m->qemu, d, e);
    if (r < 0)
        forget_drive(m, drive_at(m, d->target));
    return r;
}

FERRY_CO int ferry_machine_unplug(ferry_machine *m, unsigned target, ferry_error *e)
{
    ferry_drive *d = drive_at(m, target);
    if (!d)
        return ferry_fail(e, -FERRY_ENODEV, "remove_drive", "no drive is at target %u",
                          target);
    if (!ferry_qemu_qmp(m->qemu))
        return ferry_fail(e, -FERRY_ENOTSUP, "remove_drive",
                          "the %s backend gives no drives back at run time",
                          m->backend->name);
    int r = ferry_hotplug_remove(m->qemu, target, !d->path, e);
    d = drive_at(m, target);
    if (r == 0 && d)
        forget_drive(m, d);
    return r;
}

/* ---- the end ----------------------------------------------------------------------- */

FERRY_CO int ferry_machine_wait(ferry_machine *m, ferry_error *e)
{
    int r = ferry_qemu_wait(m->qemu);
    if (r < 0)
        return r;
    char words[FERRY_WORDS];
    ferry_evidence ev;
    ferry_qemu_evidence(m->qemu, words, sizeof words, &ev);
    if (m->quitting && ev.status == 0)
        return 0;
    return ferry_attempt_blame(m, -FERRY_EDEAD, NULL, e);
}

/* qemu reports a flush that failed at its end in words only. */
static int check_flushed(ferry_machine *m, ferry_error *e)
{
    char words[FERRY_WORDS], said[200];
    ferry_evidence ev;
    ferry_qemu_evidence(m->qemu, words, sizeof words, &ev);
    const char *line = strcasestr(words, "flush");
    if (!line)
        return 0;
    while (line > words && line[-1] != '\n')
        line--;
    ferry_words(line, said, sizeof said);
    return ferry_fail(e, -FERRY_EIO, "shutdown",
                      "not everything has reached the image: %s", said);
}

FERRY_CO int ferry_machine_quit(ferry_machine *m, ferry_error *e)
{
    m->quitting = true;
    int r = ferry_qemu_quit(m->qemu, e);
    if (r < 0 && !ferry_cancelled()) {
        ferry_attempt_await_end(m); /* an end of the connection is an end of qemu */
        if (!ferry_qemu_ended(m->qemu)) {
            ferry_machine_kill(m); /* it was not asked, and will not end by itself */
            return r;
        }
    }
    if (r == 0 || !ferry_cancelled())
        r = ferry_machine_wait(m, e);
    if (ferry_cancelled() && !ferry_qemu_ended(m->qemu)) {
        r = ferry_cancelled();
        ferry_machine_kill(m);
        return ferry_fail(e, r, "shutdown", "%s before qemu had closed the images",
                          ferry_strerror(r));
    }
    return r < 0 ? r : check_flushed(m, e);
}

void ferry_machine_kill(ferry_machine *m)
{
    ferry_qemu_kill(m->qemu);
}

ferry_accel ferry_machine_accel(const ferry_machine *m)
{
    return m->accel;
}

bool ferry_machine_lane(const ferry_machine *m)
{
    return m->spec.lane_bytes > 0;
}

ferry_launch_times ferry_machine_times(const ferry_machine *m)
{
    return m->times;
}

pid_t ferry_machine_pid(const ferry_machine *m)
{
    return ferry_qemu_pid(m->qemu);
}

const char *ferry_machine_no_kvm(const ferry_machine *m)
{
    return m->found.no_kvm;
}

ferry_template_use ferry_machine_template_use(const ferry_machine *m)
{
    return m->template_use;
}

size_t ferry_machine_io_error(const ferry_machine *m, char *buf, size_t size)
{
    unsigned drive;
    const char *why = ferry_qemu_io_error(m->qemu, &drive);
    buf[0] = '\0';
    if (!*why)
        return 0;
    const ferry_drive *d = drive_at(m, drive);
    snprintf(buf, size, "%s: %s", d && d->path ? d->path : "scratch disk", why);
    return strlen(buf);
}

size_t ferry_machine_console(const ferry_machine *m, char *buf, size_t size)
{
    return ferry_qemu_console(m->qemu, buf, size);
}

FERRY_CO void ferry_machine_free(ferry_machine *m)
{
    if (!m)
        return;
    ferry_qemu_free(m->qemu);
    ferry_template_done(&m->template);
    if (m->template_ram >= 0)
        close(m->template_ram);
    if (m->template_lock >= 0)
        close(m->template_lock);
    free(m->template_key);
    ferry_prepared_done(&m->found);
    for (unsigned i = 0; i < m->spec.ndrives; i++)
        ferry_drive_done(&m->spec.drives[i]);
    free(m->spec.drives);
    free(m);
}
