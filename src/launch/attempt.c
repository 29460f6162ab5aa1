/* One attempt at a launch: a qemu that comes up and greets, or the reason why not; see attempt.h.
 *
 *      template? --> try_template --> up
 *          '--no--> try_cold: spawn "starting qemu" -> first byte "booting" -> "greeting"
 *
 * However a qemu fails - by itself, by the deadline or a cancel, at any step - it comes out at one
 * place, which finds the reason and frees it. */
#include "launch/attempt.h"

#include "async/pipe.h"
#include "async/poll.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* The channel ends a moment before the guard has told how qemu did. */
#define CAUSE_MS 1000
/* A restore takes 0.3 s, on a machine that is ten times too busy 3. One that hangs costs this
 * once, and is then made anew. */
#define RESTORE_MS 20000
/* Of a qemu that a template is made of: a tenth of what others get, where they want it. */
#define LOW_PRIORITY 10

uint32_t ferry_attempt_ms(const ferry_machine *m, uint64_t since)
{
    return (uint32_t)(ferry_loop_now(m->loop) - since);
}

void ferry_attempt_phase(ferry_machine *m, const ferry_machine_hooks *hooks,
                         const char *phase)
{
    m->phase = phase;
    FERRY_TRACE(launch, "%s", phase);
    if (hooks->phase)
        hooks->phase(hooks->arg, phase);
}

/* ---- one attempt: from argv to a greeting ------------------------------------------ */

/* What of FERRY_TRACE concerns the daemon, which says it on the console: nothing, unless it is asked
 * to. */
static unsigned daemon_trace(void)
{
    const unsigned its =
        FERRY_TRACE_base | FERRY_TRACE_async | FERRY_TRACE_proto | FERRY_TRACE_daemon;
    return ferry_trace_mask & FERRY_TRACE_daemon ? ferry_trace_mask & its : 0;
}

ferry_argv_in ferry_attempt_argv(const ferry_machine *m)
{
    bool drives = m->ram == FERRY_RAM_OWN; /* else they come when it runs, or never */
    return (ferry_argv_in){
        .platform = m->found.appliance.platform,
        .qemu = m->found.qemu,
        .kernel = m->found.appliance.kernel,
        .initramfs = m->found.appliance.initramfs,
        .usr = m->found.appliance.usr,
        .bios = m->found.appliance.bios,
        .drives = m->spec.drives,
        .ndrives = drives ? m->spec.ndrives : 0,
        .accel = m->accel,
        .memory_mib = m->spec.memory_mib,
        .cpus = m->spec.cpus,
        .lane_fd = m->spec.lane_fd,
        .lane_bytes = m->spec.lane_bytes,
        .sandbox = !m->no_sandbox,
        .ticks_khz = m->found.ticks_khz,
        .trace = daemon_trace(),
        .verbose = ferry_trace_mask & FERRY_TRACE_console,
        .ram = m->ram,
        .ram_fd = m->ram == FERRY_RAM_PRIVATE ? m->template.ram : m->template_ram,
        .state_fd = m->template.state,
    };
}

static FERRY_CO int spawn(ferry_machine *m, ferry_error *e)
{
    ferry_argv_in in = ferry_attempt_argv(m);
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

FERRY_CO int ferry_attempt_greet(ferry_machine *m, const ferry_machine_hooks *hooks,
                                 ferry_error *e)
{
    ferry_attempt_phase(m, hooks, "greeting");
    uint64_t then = ferry_loop_now(m->loop);
    ferry_link *channel;
    int r = ferry_pipe_open(m->loop, ferry_qemu_take_channel(m->qemu),
                            FERRY_PIPE_READ | FERRY_PIPE_WRITE, 0, &channel);
    if (r < 0)
        return ferry_fail(e, r, "launch", "the channel: %s", ferry_strerror(r));
    r = hooks->greet(hooks->arg, channel, m->ram == FERRY_RAM_PRIVATE, e);
    m->times.hello_ms = ferry_attempt_ms(m, then);
    return r;
}

static FERRY_CO int reach_daemon(ferry_machine *m, const ferry_machine_hooks *hooks,
                                 ferry_error *e)
{
    int r = ferry_qemu_started(m->qemu);
    if (r < 0)
        return r;
    m->times.prepare_ms = ferry_attempt_ms(m, m->started);
    if (m->ram == FERRY_RAM_SHARED) /* nobody waits for it; its threads are yet to come */
        setpriority(PRIO_PROCESS, (id_t)ferry_qemu_pid(m->qemu), LOW_PRIORITY);

    ferry_attempt_phase(m, hooks, "booting");
    uint64_t then = ferry_loop_now(m->loop);
    r = first_byte(m);
    if (r < 0)
        return r;
    m->times.boot_ms = ferry_attempt_ms(m, then);

    return ferry_attempt_greet(m, hooks, e);
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
        r = m->ram == FERRY_RAM_PRIVATE ? ferry_restore(m, hooks, e)
                                        : reach_daemon(m, hooks, e);
    if (r < 0 && b.scope.cancel)
        r = b.scope.cancel; /* the reason, whatever the greeting made of it */
    ferry_scope_cancel(&b.scope, -FERRY_ECANCELED);
    ferry_scope_join(&b.scope);
    return r;
}

/* ---- why an attempt failed --------------------------------------------------------- */

/* The channel's end is qemu's end, which will be told in a moment. */
FERRY_CO void ferry_attempt_await_end(ferry_machine *m)
{
    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, CAUSE_MS);
    ferry_qemu_wait(m->qemu);
    ferry_scope_join(&s);
}

int ferry_attempt_blame(ferry_machine *m, int code, enum ferry_suspect *ret_suspect,
                        ferry_error *e)
{
    char words[FERRY_WORDS];
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
    char words[FERRY_WORDS];
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
        ferry_attempt_await_end(m);

    int outer = ferry_cancelled();
    if (outer == -FERRY_ECANCELED)
        return ferry_fail(e, outer, "launch", "cancelled while %s", m->phase);
    if (ferry_qemu_ended(m->qemu))
        return ferry_attempt_blame(m, outer ? outer : -FERRY_ELAUNCH,
                                   outer ? NULL : ret_suspect, e);
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

/* ---- the ways ------------------------------------------------------------------------ */

/* Starts qemu as m->ram says, and ends it again unless it comes up within `ms`. */
static FERRY_CO int try_qemu(ferry_machine *m, const ferry_machine_hooks *hooks,
                             uint64_t ms, enum ferry_suspect *ret_suspect,
                             ferry_error *e)
{
    *ret_suspect = FERRY_SUSPECT_OTHER;
    memset(e, 0, sizeof *e);
    m->greeted = false;
    ferry_attempt_phase(m, hooks, "starting qemu");
    int r = spawn(m, e);
    if (r < 0)
        return r;
    r = boot(m, hooks, ms, e);
    if (r == 0)
        return 0;
    r = explain(m, r, ret_suspect, e);
    ferry_qemu_free(ferry_take(&m->qemu));
    return r;
}

static FERRY_CO int try_cold(ferry_machine *m, const ferry_machine_hooks *hooks,
                             enum ferry_suspect *ret_suspect, ferry_error *e)
{
    m->ram = FERRY_RAM_OWN;
    if (m->spec.template == FERRY_MACHINE_TEMPLATE_MAKE && !m->backend->templates)
        return ferry_fail(e, -FERRY_ENOTSUP, "template",
                          "the %s backend makes no templates", m->backend->name);
    if (m->spec.template == FERRY_MACHINE_TEMPLATE_MAKE) {
        int r = ferry_snapshot_begin(m, e);
        if (r < 0)
            return r;
        m->ram = FERRY_RAM_SHARED;
    }
    uint64_t ms = m->accel == FERRY_ACCEL_KVM ? FERRY_ACCEL_KVM_MS : 0;
    return try_qemu(m, hooks, ms, ret_suspect, e);
}

/* 0: up. -FERRY_ENOENT: there is no template. *ret_final: a cold boot would fail, too. */
static FERRY_CO int try_template(ferry_machine *m, const ferry_machine_hooks *hooks,
                                 enum ferry_suspect *ret_suspect, bool *ret_final,
                                 ferry_error *e)
{
    int r = ferry_restore_find(m, e);
    if (r == 0) {
        m->ram = FERRY_RAM_PRIVATE;
        r = try_qemu(m, hooks, RESTORE_MS, ret_suspect, e);
        m->ram = FERRY_RAM_OWN;
        ferry_template_done(&m->template); /* qemu has its own */
    }
    *ret_final = r == 0 || ferry_cancelled() || (r < 0 && m->greeted) ||
                 *ret_suspect == FERRY_SUSPECT_SANDBOX ||
                 *ret_suspect == FERRY_SUSPECT_LANE;
    return r;
}

static void refuse_template(ferry_machine *m, const ferry_machine_hooks *hooks,
                            const ferry_error *why)
{
    ferry_error e = *why;
    m->template_use = FERRY_TEMPLATE_REFUSED;
    ferry_error_prefix(&e, "launched cold");
    FERRY_TRACE(launch, "%s", e.msg);
    if (hooks->warn)
        hooks->warn(hooks->arg, &e);
}

FERRY_CO int ferry_attempt(ferry_machine *m, const ferry_machine_hooks *hooks,
                           ferry_accel accel, enum ferry_suspect *ret_suspect,
                           ferry_error *e)
{
    bool require = m->spec.template == FERRY_MACHINE_TEMPLATE_REQUIRE;
    /* Who wants to see a boot gets one; and a template's daemon has been told nothing of traces. */
    bool verbose = ferry_trace_mask & (FERRY_TRACE_console | FERRY_TRACE_daemon);
    m->accel = accel;
    *ret_suspect = FERRY_SUSPECT_OTHER;
    if (!m->backend->templates ||
        (!require && (m->spec.template != FERRY_MACHINE_TEMPLATE_AUTO || verbose)))
        return try_cold(m, hooks, ret_suspect, e);

    bool final = false;
    int r = try_template(m, hooks, ret_suspect, &final, e);
    if (r == 0)
        m->template_use = FERRY_TEMPLATE_USED;
    if (final || require)
        return r;
    if (r == -FERRY_ENOENT)
        m->template_use = FERRY_TEMPLATE_MISSING;
    else
        refuse_template(m, hooks, e);
    return try_cold(m, hooks, ret_suspect, e);
}
