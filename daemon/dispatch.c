/* One CALL, one task: decodes the arguments, runs ferryd_<call>(), encodes status and
 * result, replies. Called by the connection; the table of calls is generated
 * (gen/daemon_dispatch.c). Knows no call by name.
 *
 *      CALL -> ferryd_dispatch -> [task] decode -> entry->run -> encode -> REPLY
 *      RESET -> on_reset ----------^ cancels the call's scope
 */
#include "call.h"

#include "block.h"
#include "drives.h"

#include "base/alloc.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "proto/codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- errors ----------------------------------------------------------------------- */

int ferryd_fail(const struct ferryd_call *c, ferry_error *e, int r, const char *what)
{
    return ferry_fail(e, r, c->entry->name, "%s: %s", what, ferry_strerror(r));
}

int ferryd_failf(const struct ferryd_call *c, ferry_error *e, int r, const char *fmt,
                 ...)
{
    char msg[sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return ferry_fail(e, r, c->entry->name, "%s", msg);
}

/* ---- the reply --------------------------------------------------------------------- */

/* What nearly every body fits in: it is encoded without having been measured, which takes as long. */
#define USUAL_BODY 512

/* xdr_ret NULL: there is no result. False: it does not fit, or is over the schema's limits. */
static bool encode_to(ferry_buf *body, fx_status *status, xdrproc_t xdr_ret, void *ret)
{
    XDR x;
    xdrmem_create(&x, (char *)body->data, (u_int)body->cap, XDR_ENCODE);
    bool ok = xdr_fx_status(&x, status) && (!xdr_ret || xdr_ret(&x, ret));
    body->len = xdr_getpos(&x);
    xdr_destroy(&x);
    return ok;
}

/* Status, and on success the result, as one REPLY body. */
static int encode(const ferryd_entry *entry, const ferry_error *e,
                  const struct ferryd_left *left, void *ret, ferry_buf **ret_body)
{
    fx_status status = {
        .code = e->code,
        .os_errno = e->os_errno,
        .where = (char *)(uintptr_t)e->where,
        .msg = (char *)(uintptr_t)e->msg,
        .left = left ? left->kind : FERRY_LEFT_NOTHING,
        .left_bytes = left ? left->bytes : 0,
        .left_path = left && left->path ? left->path : (char[]){""},
    };
    xdrproc_t xdr_ret = e->code == 0 && entry ? entry->xdr_ret : NULL;
    FERRY_AUTO(buf) ferry_buf *body = NULL;
    int r = ferry_buf_new(USUAL_BODY, &body);
    if (r < 0)
        return r;
    if (!encode_to(body, &status, xdr_ret, ret)) {
        ferry_buf_unref(ferry_take(&body));
        size_t size = xdr_sizeof((xdrproc_t)xdr_fx_status, &status);
        if (xdr_ret)
            size += xdr_sizeof(xdr_ret, ret);
        if (size > FERRY_FRAME_MAX)
            return -E2BIG;
        r = ferry_buf_new(size, &body);
        if (r < 0)
            return r;
        if (!encode_to(body, &status, xdr_ret, ret))
            return -FERRY_ENAMETOOLONG; /* over the schema's limit: a name in the image */
    }

    *ret_body = ferry_take(&body);
    return 0;
}

static void reply(ferry_stream *st, const ferryd_entry *entry, ferry_error *e,
                  const struct ferryd_left *left, void *ret)
{
    ferry_buf *body = NULL;
    int r = encode(entry, e, left, ret, &body);
    if (r < 0) {
        ferry_fail(e, r, entry ? entry->name : "call", "result: %s", ferry_strerror(r));
        r = encode(entry, e, left, NULL, &body);
    }
    if (r == 0)
        ferry_stream_reply(st, body);
    /* else: out of memory for a hundred bytes; the close that follows ends the stream */
}

/* ---- one call ---------------------------------------------------------------------- */

static int run_decoded(struct ferryd_call *c, const void *args, ferry_error *e)
{
    const ferryd_entry *entry = c->entry;
    FERRY_AUTO(mem) void *ret = entry->ret_size ? ferry_zalloc(entry->ret_size) : NULL;
    if (entry->ret_size && !ret)
        return ferry_fail(e, -ENOMEM, entry->name, "%s", ferry_strerror(-ENOMEM));

    int r = entry->run(c, args, ret, e);
    if (r == -FERRY_ECANCELED && ferryd_stop(c)) { /* with the reason that was given */
        r = ferryd_stop(c);
        e->code = 0;
    }
    if (r < 0 && e->code == 0)
        ferry_fail(e, r, entry->name, "%s", ferry_strerror(r));
    e->code = r < 0 ? r : 0; /* a failure that was recovered from may have filled e */
    reply(c->stream, entry, e, &c->left, ret);

    if (ret)
        xdr_free(entry->xdr_ret, ret);
    return r;
}

/* Arguments are the host's, but a host that is confused gets an error, not a crash. */
static int decode_and_run(struct ferryd_call *c, ferry_error *e)
{
    const ferryd_entry *entry = c->entry;
    FERRY_AUTO(mem) void *args =
        entry->args_size ? ferry_zalloc(entry->args_size) : NULL;
    if (entry->args_size && !args)
        return ferry_fail(e, -ENOMEM, entry->name, "%s", ferry_strerror(-ENOMEM));

    int r = 0;
    if (entry->args_size) {
        r = ferry_codec_decode(entry->xdr_args, c->body.data, c->body.len,
                               entry->args_size, args);
        if (r < 0)
            ferry_fail(e, r, entry->name, "the arguments do not decode");
    }
    ferry_slice_done(&c->body);

    if (r == 0 && entry->device_at)
        r = ferryd_resolve_label(c->d, (char **)((char *)args + entry->device_at - 1));
    if (r == -ENOMEM)
        ferry_fail(e, r, entry->name, "%s", ferry_strerror(r));
    if (r == 0)
        r = run_decoded(c, args, e);
    else
        reply(c->stream, entry, e, NULL, NULL);
    if (args)
        xdr_free(entry->xdr_args, args);
    return r;
}

/* Before the task has run its first instruction there is no scope yet: the code waits. */
static void cancel(struct ferryd_call *c, int code)
{
    if (ferryd_stop(c))
        return;
    atomic_store(&c->cancelled, code);
    if (c->running)
        ferry_scope_cancel(&c->scope, code);
}

static void on_reset(void *arg, int code)
{
    cancel(arg, code < 0 ? code : -FERRY_ECANCELED);
}

static void call_free(struct ferryd_call *c)
{
    ferry_list_remove(&c->link);
    ferry_stream_close(c->stream);
    ferry_slice_done(&c->body);
    free(c->left.path);
    ferry_cond_wake(&c->d->ended);
    free(c);
}

static FERRY_CO int call_task(void *arg)
{
    struct ferryd_call *c = arg;
    ferry_error e = {0};

    ferry_scope_open(&c->scope, 0);
    c->running = true;
    if (ferryd_stop(c))
        ferry_scope_cancel(&c->scope, ferryd_stop(c));
    ferry_stream_on_reset(c->stream, on_reset, c);

    int r = decode_and_run(c, &e);
    c->running = false;
    ferry_scope_join(&c->scope);

    FERRY_TRACE(daemon, "%s: %s", c->entry->name, r < 0 ? e.msg : "ok");
    call_free(c);
    return 0;
}

/* ---- public ------------------------------------------------------------------------ */

static int start(struct ferryd *d, ferry_stream *st, ferry_slice *body, ferry_error *e)
{
    const ferryd_entry *entry = ferryd_entry_find(ferry_stream_proc(st));
    if (!entry)
        return ferry_fail(e, -FERRY_ENOSYS, "call", "no call has the number %u",
                          ferry_stream_proc(st));
    if (d->closing)
        return ferry_fail(e, -FERRY_ESTATE, entry->name,
                          "the appliance is shutting down");

    struct ferryd_call *c = ferry_zalloc(sizeof *c);
    if (!c)
        return ferry_fail(e, -ENOMEM, entry->name, "%s", ferry_strerror(-ENOMEM));
    c->d = d;
    c->stream = st;
    c->entry = entry;
    ferry_list_append(&d->calls, &c->link);

    int r = ferry_spawn(&d->tasks, entry->name, call_task, c);
    if (r < 0) {
        ferry_list_remove(&c->link);
        free(c);
        return ferry_fail(e, r, entry->name, "%s", ferry_strerror(r));
    }
    c->body = *body;
    *body = (ferry_slice){0};
    return 0;
}

void ferryd_dispatch(void *daemon, ferry_stream *st, ferry_slice body)
{
    ferry_error e = {0};
    if (start(daemon, st, &body, &e) < 0) {
        reply(st, NULL, &e, NULL, NULL);
        ferry_slice_done(&body);
        ferry_stream_close(st);
    }
}

void ferryd_cancel_calls(struct ferryd *d, const struct ferryd_call *except, int code)
{
    for (;;) {
        bool others = false;
        ferry_list_each (struct ferryd_call, c, &d->calls, link)
            if (c != except) {
                others = true;
                cancel(c, code);
            }
        if (!others || ferry_cond_wait(&d->ended) < 0)
            return;
    }
}
