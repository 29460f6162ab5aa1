/* Launching, and ending, an appliance; the contract is in machine.h.
 *
 *      prepare --> attempt(kvm) --> attempt(tcg) --> up --> quit | wait | free
 *                   spawn, "starting qemu"
 *                   first byte on the channel, "booting"
 *                   greet, "greeting"
 *
 * An attempt owns one qemu (qemu.c). However it fails - by itself, by the deadline or a
 * cancel, at any step - it comes out at one place, which finds the reason and frees that
 * qemu; a launch that fails comes out at one place, which frees the machine. */
#include "launch/machine.h"

#include "async/pipe.h"
#include "async/poll.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "launch/direct.h"
#include "launch/hotplug.h"
#include "launch/libvirt.h"
#include "launch/qemu.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* qemu's stderr, as far as an error text wants it. */
#define WORDS_SIZE 4096
/* The channel ends a moment before the guard has told how qemu did. */
#define CAUSE_MS 1000

struct ferry_machine {
    ferry_loop *loop;
    ferry_machine_spec spec; /* drives are our copy; the other strings are not kept */
    ferry_prepared found;
    const ferry_backend *backend;
    ferry_accel accel;
    bool no_sandbox; /* this qemu has none */
    ferry_qemu *qemu;
    const char *phase;

    uint64_t started; /* ms */
    ferry_launch_times times;
    bool quitting;
};

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
    return m;
}

static uint32_t ms_since(const ferry_machine *m, uint64_t then)
{
    return (uint32_t)(ferry_loop_now(m->loop) - then);
}

static void enter(ferry_machine *m, const ferry_machine_hooks *hooks, const char *phase)
{
    m->phase = phase;
    FERRY_TRACE(launch, "%s", phase);
    if (hooks->phase)
        hooks->phase(hooks->arg, phase);
}

/* ---- one attempt: from argv to a greeting ------------------------------------------ */

static FERRY_CO int spawn(ferry_machine *m, ferry_error *e)
{
    ferry_argv_in in = {
        .platform = m->found.platform,
        .qemu = m->found.qemu,
        .kernel = m->found.appliance.kernel,
        .initramfs = m->found.appliance.initramfs,
        .usr = m->found.appliance.usr,
        .bios = m->found.appliance.bios,
        .drives = m->spec.drives,
        .ndrives = m->spec.ndrives,
        .accel = m->accel,
        .memory_mib = m->spec.memory_mib,
        .cpus = m->spec.cpus,
        .lane_fd = m->spec.lane_fd,
        .lane_bytes = m->spec.lane_bytes,
        .sandbox = !m->no_sandbox,
        .verbose = ferry_trace_mask & FERRY_TRACE_console,
    };
    ferry_watcher *watcher = NULL;
    int r = m->backend->watcher(&in, &m->found, &watcher, e);
    return r < 0 ? r : ferry_qemu_spawn(m->loop, watcher, &m->qemu, e);
}

/* Until the daemon has sent something. The channel is a socket with qemu from the start, so
 * it says nothing about the guest until then. */
static FERRY_CO int first_byte(ferry_machine *m)
{
    int fd = ferry_qemu_channel(m->qemu);
    FERRY_AUTO(poll) ferry_poll *poll = NULL;
    int r = ferry_poll_open(m->loop, fd, &poll);
    if (r < 0)
        return r;
    r = ferry_poll_wait(poll, POLLIN);
    if (r < 0)
        return r;

    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0)
        return -FERRY_EPIPE;
    return n < 0 ? -errno : 0;
}

static FERRY_CO int reach_daemon(ferry_machine *m, const ferry_machine_hooks *hooks,
                                 ferry_error *e)
{
    int r = ferry_qemu_started(m->qemu);
    if (r < 0)
        return r;
    m->times.prepare_ms = ms_since(m, m->started);

    enter(m, hooks, "booting");
    uint64_t then = ferry_loop_now(m->loop);
    r = first_byte(m);
    if (r < 0)
        return r;
    m->times.boot_ms = ms_since(m, then);

    enter(m, hooks, "greeting");
    then = ferry_loop_now(m->loop);
    ferry_link *channel;
    r = ferry_pipe_open(m->loop, ferry_qemu_take_channel(m->qemu),
                        FERRY_PIPE_READ | FERRY_PIPE_WRITE, 0, &channel);
    if (r < 0)
        return ferry_fail(e, r, "launch", "the channel: %s", ferry_strerror(r));
    r = hooks->greet(hooks->arg, channel, e);
    m->times.hello_ms = ms_since(m, then);
    return r;
}

struct boot {
    ferry_qemu *qemu;
    ferry_scope scope;
};

static FERRY_CO int watch_qemu(void *arg)
{
    struct boot *b = arg;
    int r = ferry_qemu_wait(b->qemu);
    if (r == 0)
        ferry_scope_cancel(&b->scope, -FERRY_EDEAD);
    return r;
}

/* Boots within `ms` (0: as long as the caller has). A qemu that ends in between ends it. */
static FERRY_CO int boot(ferry_machine *m, const ferry_machine_hooks *hooks,
                         uint64_t ms, ferry_error *e)
{
    struct boot b = {.qemu = m->qemu};
    ferry_scope_open(&b.scope, 0);
    if (ms)
        ferry_scope_deadline(&b.scope, ms);
    int r = ferry_spawn(&b.scope, "watch-qemu", watch_qemu, &b);
    if (r == 0)
        r = reach_daemon(m, hooks, e);
    if (r < 0 && b.scope.cancel)
        r = b.scope.cancel; /* the reason, whatever the greeting made of it */
    ferry_scope_cancel(&b.scope, -FERRY_ECANCELED);
    ferry_scope_join(&b.scope);
    return r;
}

/* ---- why an attempt failed --------------------------------------------------------- */

/* The channel's end is qemu's end, which will be told in a moment. */
static FERRY_CO void await_cause(ferry_machine *m)
{
    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, CAUSE_MS);
    ferry_qemu_wait(m->qemu);
    ferry_scope_join(&s);
}

static int blame_end(ferry_machine *m, int code, enum ferry_suspect *ret_suspect,
                     ferry_error *e)
{
    char words[WORDS_SIZE];
    ferry_evidence ev = {.spec = &m->spec,
                         .qemu = m->found.libvirt ? m->found.uri : m->found.qemu};
    ferry_qemu_evidence(m->qemu, words, sizeof words, &ev);
    if (ret_suspect)
        *ret_suspect = m->backend->suspect(&ev);
    return m->backend->blame(&ev, code, e);
}

/* It is silent or too slow: all there is to tell is what it said last. */
static int blame_silence(ferry_machine *m, int code, const char *what, ferry_error *e)
{
    char words[WORDS_SIZE];
    ferry_evidence ev = {0};
    ferry_qemu_evidence(m->qemu, words, sizeof words, &ev);
    const char *line = *ev.panic ? ev.panic : ev.last;
    return ferry_fail(e, code, "launch", "%s while %s%s%s", what, m->phase,
                      *line ? "; the console's last line: " : "; its console is empty",
                      line);
}

/* r is what boot() returned; e may hold the greeting's own words. */
static FERRY_CO int explain(ferry_machine *m, int r, enum ferry_suspect *ret_suspect,
                            ferry_error *e)
{
    *ret_suspect = FERRY_SUSPECT_OTHER;
    if (!ferry_cancelled() && (r == -FERRY_EPIPE || r == -ECONNRESET))
        await_cause(m);

    int outer = ferry_cancelled();
    if (outer == -FERRY_ECANCELED)
        return ferry_fail(e, outer, "launch", "cancelled while %s", m->phase);
    if (ferry_qemu_ended(m->qemu))
        return blame_end(m, outer ? outer : -FERRY_ELAUNCH, outer ? NULL : ret_suspect,
                         e);
    if (outer)
        return blame_silence(m, outer, "the appliance did not answer in time", e);
    if (r == -FERRY_ETIMEDOUT) { /* kvm's own deadline */
        *ret_suspect = FERRY_SUSPECT_BOOT;
        return blame_silence(m, -FERRY_ELAUNCH, "no answer from the appliance", e);
    }
    if (e->code == r)
        return r; /* the greeting's */
    return blame_silence(m, r, ferry_strerror(r), e);
}

/* ---- the attempts ------------------------------------------------------------------ */

static FERRY_CO int attempt(ferry_machine *m, const ferry_machine_hooks *hooks,
                            ferry_accel accel, enum ferry_suspect *ret_suspect,
                            ferry_error *e)
{
    *ret_suspect = FERRY_SUSPECT_OTHER;
    memset(e, 0, sizeof *e);
    m->accel = accel;
    enter(m, hooks, "starting qemu");

    int r = spawn(m, e);
    if (r < 0)
        return r;
    r = boot(m, hooks, accel == FERRY_ACCEL_KVM ? FERRY_ACCEL_KVM_MS : 0, e);
    if (r == 0)
        return 0;
    r = explain(m, r, ret_suspect, e);
    ferry_qemu_free(ferry_take(&m->qemu));
    return r;
}

/* An attempt, and another one without -sandbox, or without a lane, if this qemu turns out to have
 * none: to ask it first would cost every launch a run of qemu. */
static FERRY_CO int attempt_accel(ferry_machine *m, const ferry_machine_hooks *hooks,
                                  ferry_accel accel, enum ferry_suspect *ret_suspect,
                                  ferry_error *e)
{
    int r = attempt(m, hooks, accel, ret_suspect, e);
    if (r < 0 && *ret_suspect == FERRY_SUSPECT_SANDBOX && !m->no_sandbox) {
        m->no_sandbox = true;
        r = attempt(m, hooks, accel, ret_suspect, e);
    }
    if (r < 0 && *ret_suspect == FERRY_SUSPECT_LANE && m->spec.lane_bytes) {
        m->spec.lane_bytes = 0;
        r = attempt(m, hooks, accel, ret_suspect, e);
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
    if (m && r == 0)
        r = launch(m, spec, hooks, &own);
    if (!m || r < 0) {
        ferry_machine_free(m);
        if (e)
            *e = own;
        return r;
    }
    m->times.total_ms = ms_since(m, m->started);
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
    char words[WORDS_SIZE];
    ferry_evidence ev;
    ferry_qemu_evidence(m->qemu, words, sizeof words, &ev);
    if (m->quitting && ev.status == 0)
        return 0;
    return blame_end(m, -FERRY_EDEAD, NULL, e);
}

/* qemu reports a flush that failed at its end in words only. */
static int check_flushed(ferry_machine *m, ferry_error *e)
{
    char words[WORDS_SIZE], said[200];
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
    if (r == 0 || !ferry_cancelled())
        r = ferry_machine_wait(m, e); /* an end of the connection is an end of qemu */
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
    ferry_prepared_done(&m->found);
    for (unsigned i = 0; i < m->spec.ndrives; i++)
        ferry_drive_done(&m->spec.drives[i]);
    free(m->spec.drives);
    free(m);
}
