/* The image's open state; see session.h. */
#include "session.h"

#include "auto.h"
#include "behind.h"
#include "signals.h"
#include "text.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- open -------------------------------------------------------------------------- */

static void on_warning(const ferry_error *what, void *user)
{
    (void)user;
    say_notice("warning: %s", what->msg);
}

int session_prepare(struct session *s, const struct options *o)
{
    ferry_error e = {0};
    memset(s, 0, sizeof *s);
    s->o = o;
    progress_init(&s->progress, o->progress, o->command);
    if (o->timeout_ms)
        s->deadline_ms = progress_now_ms() + o->timeout_ms;

    if (ferry_ctx_new(&s->ctx, &e) < 0)
        return session_failed_on(s, "start", &e);
    ferry_ctx_on_warning(s->ctx, on_warning, NULL);
    ferry_vm_opts opts = {.size = sizeof opts,
                          .accel = o->accel,
                          .backend = o->backend,
                          .templates = o->templates};
    if (ferry_vm_new(s->ctx, &opts, &s->vm, &e) < 0)
        return session_failed_on(s, "start", &e);
    signals_attach(s->vm);
    return STATUS_OK;
}

/* What is wrong with the image is a failure like any other; 5 is for the appliance, and for the
 * template that --template require wants. */
static int launch_status(const ferry_error *e)
{
    if (strcmp(e->where, "template") == 0)
        return STATUS_LAUNCH;
    switch (e->code) {
    case -FERRY_EBUSY:
    case -FERRY_EFORMAT:
    case -FERRY_EROFS:
    case -FERRY_EIO: return STATUS_FAILED;
    default: return STATUS_LAUNCH;
    }
}

static void say_launch(const struct session *s)
{
    ferry_launch_times t;
    if (ferry_vm_get_launch_times(s->vm, &t) < 0)
        return;
    const char *accel = ferry_vm_get_accel(s->vm);
    say("appliance up in %u ms with %s (prepare %u, %s %u, hello %u, drives %u, settle "
        "%u)",
        t.total_ms, accel ? accel : "?", t.prepare_ms, t.restored ? "restore" : "boot",
        t.boot_ms, t.hello_ms, t.drives_ms, t.settle_ms);
}

int session_launch(struct session *s)
{
    ferry_error e = {0};
    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = ferry_launch_start(s->vm, &op, &e);
    if (r == 0) {
        s->launched = true;
        r = session_await_shown(s, op, NULL, &e);
    }
    if (r < 0) {
        int status = launch_status(&e);
        /* The appliance's own troubles are not the image's. */
        session_failed_on(s, status == STATUS_LAUNCH || !s->image ? "launch" : s->image,
                          &e);
        return status;
    }
    if (s->o->verbose)
        say_launch(s);
    return STATUS_OK;
}

static int add_image(struct session *s, ferry_error *e)
{
    ferry_drive_opts drive = {.size = sizeof drive,
                              .format = s->o->format,
                              .readonly = s->readonly};
    return ferry_add_drive(s->vm, s->image, &drive, e);
}

static int add_domain(struct session *s, ferry_error *e)
{
    FERRY_AUTO(op) ferry_op *op = NULL;
    ferry_domain_opts opts = {.size = sizeof opts,
                              .uri = s->o->connect,
                              .readonly = s->readonly,
                              .force = s->o->force_running};
    int r = ferry_add_domain_start(s->vm, s->o->domain, &opts, &op, e);
    return r < 0 ? r : session_await(s, op, e);
}

int session_open(struct session *s, const struct options *o, const char *image,
                 enum session_access access)
{
    int status = session_prepare(s, o);
    if (status != STATUS_OK)
        return status;
    if (access == SESSION_WRITE && o->ro)
        return say_usage("writes to the image, which --ro forbids");
    s->image = image;
    s->readonly = o->ro || access == SESSION_READ;

    ferry_error e = {0};
    int r = o->domain ? add_domain(s, &e) : add_image(s, &e);
    if (r < 0) {
        session_failed_on(s, image, &e);
        return STATUS_FAILED; /* not 4: that is for files in the image */
    }
    return session_launch(s);
}

/* ---- waiting ----------------------------------------------------------------------- */

bool session_stopping(const struct session *s)
{
    return signals_caught() || (s->deadline_ms && progress_now_ms() >= s->deadline_ms);
}

bool session_is_over(int code)
{
    switch (code) {
    case -FERRY_ECANCELED:
    case -FERRY_ETIMEDOUT:
    case -FERRY_EDEAD:
    case -FERRY_EPROTO:
    case -FERRY_ESTATE: return true;
    default: return false;
    }
}

void session_started(struct session *s, ferry_op *op)
{
    if (s->closing)
        return;
    if (s->deadline_ms) {
        uint64_t now = progress_now_ms();
        /* 0 would mean no limit. */
        ferry_op_timeout(op,
                         now < s->deadline_ms ? (uint32_t)(s->deadline_ms - now) : 1);
    }
    /* A signal before the start cancelled the ops of then: this one was not there. */
    if (signals_caught())
        ferry_op_cancel(op);
}

void session_turn(struct session *s)
{
    struct pollfd fds[] = {{.fd = signals_fd(), .events = POLLIN},
                           {.fd = ferry_ctx_fd(s->ctx), .events = POLLIN}};
    poll(fds, 2, progress_due_ms(&s->progress));
    bool redraw = signals_drain();
    ferry_ctx_dispatch(s->ctx);
    progress_tick(&s->progress, redraw);
}

struct awaited {
    bool done;
};

static void set_done(ferry_op *op, void *user)
{
    struct awaited *a = user;
    (void)op;
    a->done = true;
}

int session_await(struct session *s, ferry_op *op, ferry_error *reterr)
{
    struct awaited a = {0};
    bool bounded = false;
    session_started(s, op);
    int r = ferry_op_on_done(op, set_done, &a);
    while (r == 0 && !a.done) {
        /* ^C does not cancel the flush; it bounds it. */
        if (s->closing && signals_caught() && !bounded) {
            ferry_op_timeout(op, SESSION_CLEANUP_MS);
            bounded = true;
        }
        session_turn(s);
    }
    return ferry_op_error(op, reterr);
}

static void sample_op(void *user, struct progress_sample *ret)
{
    const struct session *s = user;
    ferry_progress p = {.phase = ""};
    ferry_op_poll(s->shown, &p);
    ret->phase = s->shown_phase ? s->shown_phase : p.phase;
}

int session_await_shown(struct session *s, ferry_op *op, const char *phase,
                        ferry_error *reterr)
{
    s->shown = op;
    s->shown_phase = phase;
    progress_begin_phase(&s->progress, sample_op, s);
    int r = session_await(s, op, reterr);
    progress_end(&s->progress, r == 0                  ? "done"
                               : r == -FERRY_ECANCELED ? "cancelled"
                                                       : "failed");
    s->shown = NULL;
    return r;
}

/* ---- close ------------------------------------------------------------------------- */

/* The end of everything that was reported done: only now is it in the image. */
static int flush(struct session *s, int status)
{
    ferry_error e = {0};
    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = ferry_shutdown_start(s->vm, &op, &e);
    if (r == 0)
        r = session_await_shown(s, op, s->readonly ? "closing" : "flushing", &e);
    if (r == 0)
        return status;

    if (r == -FERRY_ETIMEDOUT && signals_caught())
        say("%s: not unmounted within %d s; check the file system before the next use",
            s->image ? s->image : "scratch", SESSION_CLEANUP_MS / 1000);
    else if (status == STATUS_OK || r != -FERRY_EDEAD)
        session_failed(s, NULL, &e);
    return status == STATUS_OK ? STATUS_FAILED : status;
}

static void say_lane(const struct session *s)
{
    const char *lane = ferry_vm_get_lane(s->vm);
    if (lane)
        say("the lane for large transfers: %s", lane);
}

/* It booted only because there was no template. */
static bool wants_template(const struct session *s)
{
    ferry_launch_times t;
    return s->vm && s->launched && ferry_vm_get_launch_times(s->vm, &t) == 0 &&
           t.template_missing;
}

int session_close(struct session *s, int status)
{
    s->closing = true;
    signals_closing(true);
    if (s->vm && s->launched && ferry_vm_get_state(s->vm) == FERRY_VM_UP) {
        if (s->o->verbose)
            say_lane(s);
        status = flush(s, status);
    }
    progress_done(&s->progress);

    bool build = status == STATUS_OK && wants_template(s);
    signals_attach(NULL);
    ferry_vm_free(s->vm);
    ferry_ctx_free(s->ctx);
    s->vm = NULL;
    s->ctx = NULL;
    signals_closing(false);
    if (build && !signals_caught())
        behind_build_template(s->o);
    return signals_caught() ? 128 + signals_caught() : status;
}

/* ---- words ------------------------------------------------------------------------- */

char *session_name(const struct session *s, const char *path)
{
    char *name;
    if (asprintf(&name, "%s:%s", s->image ? s->image : "", path) < 0)
        return NULL;
    return name;
}

int session_failed_on(struct session *s, const char *thing, const ferry_error *e)
{
    if (e->code == -FERRY_ECANCELED && signals_caught())
        return STATUS_FAILED; /* session_close() makes it 130 */
    if (e->code == -FERRY_ETIMEDOUT && s->deadline_ms && !s->closing) {
        char time[TEXT_MAX];
        text_duration(s->o->timeout_ms, time);
        say("%s: not done within %s (--timeout)", thing, time);
        return STATUS_FAILED;
    }
    say_failed(thing, e);
    return status_of(e);
}

int session_failed(struct session *s, const char *path, const ferry_error *e)
{
    if (!path)
        return session_failed_on(s, s->image ? s->image : "appliance", e);
    FERRY_AUTO(mem) char *name = session_name(s, path);
    return session_failed_on(s, name ? name : path, e);
}

/* What is left of `text` behind `prefix: `; NULL if it does not start so. */
static const char *behind(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return !strncmp(text, prefix, n) && !strncmp(text + n, ": ", 2) ? text + n + 2
                                                                    : NULL;
}

int session_failed_transfer(struct session *s, const char *local, const char *path,
                            const ferry_error *e)
{
    /* The library names a file of the host by its path, a descriptor by its role. */
    const char *in = behind(e->msg, "the source"),
               *out = behind(e->msg, "the destination");
    const char *what = in ? in : out ? out : behind(e->msg, local);
    if (e->msg[0] && !what)
        return session_failed(s, path, e);

    bool stream = !strcmp(local, "-");
    if (stream && out && e->code == -FERRY_EPIPE)
        return STATUS_BROKEN_PIPE; /* `| head` has seen enough: nothing to say */
    ferry_error bare = *e;
    snprintf(bare.msg, sizeof bare.msg, "%s", what ? what : "");
    session_failed_on(s,
                      !stream ? local
                      : in    ? "standard input"
                              : "standard output",
                      &bare);
    return STATUS_FAILED; /* never 4, which is for files in the image */
}
