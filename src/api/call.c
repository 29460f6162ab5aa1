/* Remote calls: encode, CALL, REPLY, decode; and what a cancel does to one. See call.h.
 *
 *      cancel --> RESET --> daemon unwinds --> REPLY "cancelled"   the op is CANCELLED
 *                              '-- was done --> REPLY "ok"          the op is OK
 *                              '-- silent for grace_ms              the VM is given up
 */
#include "api/call.h"
#include "base/alloc.h"
#include "base/auto.h"
#include "proto/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- steps ------------------------------------------------------------------------- */

int ferry_call_encode(const ferry_call_desc *d, const void *args, ferry_buf **ret)
{
    int r = 0;
    ferry_buf *body = NULL;
    if (d->xdr_args)
        r = ferry_codec_encode(d->xdr_args, args, &body);
    if (r < 0)
        return r;
    if (body)
        body->secret = d->secret_args;
    *ret = body;
    return 0;
}

int ferry_call_open(ferry_op *op, const ferry_call_desc *d, ferry_buf *body,
                    ferry_stream **ret, ferry_error *e)
{
    int r =
        ferry_cancelled(); /* before "shut down": a shutdown cancels what was pending */
    if (r == 0)
        r = ferry_vm_check_up(op->vm, d->name, e);
    if (r < 0 || !op->vm->conn) {
        ferry_buf_unref(body);
        return r < 0 ? r : ferry_vm_failed(op->vm, -FERRY_EPIPE, d->name, e);
    }
    r = ferry_stream_call(op->vm->conn, d->proc, body, ret);
    if (r < 0)
        return ferry_vm_failed(op->vm, r, d->name, e);
    ferry_stream_set_rank(*ret, op->rank);
    ferry_op_leave(op, FERRY_LEFT_UNKNOWN, 0, NULL); /* until the daemon says */
    return 0;
}

/* The daemon is hostile: nothing it says is believed to be what it should be. */
static int broken_reply(ferry_op *op, const char *name, ferry_error *e)
{
    ferry_vm_condemn(op->vm, "the daemon sent a reply that cannot be decoded");
    return ferry_fail(e, -FERRY_EPROTO, name,
                      "the daemon sent a reply that cannot be decoded");
}

static int decode_reply(ferry_op *op, const ferry_call_desc *d, const ferry_slice *s,
                        void *ret, ferry_error *e)
{
    if (s->len == 0)
        return ferry_fail(e, -FERRY_ENOMEM, d->name,
                          "the appliance has no memory left; give it more");
    int r = ferry_codec_reply(s->data, s->len, d->xdr_ret, d->ret_size, ret, e);
    return r == -FERRY_EPROTO ? broken_reply(op, d->name, e) : r;
}

/* After a RESET: the daemon's answer, within the grace period. Not shortened by the cancel
 * that brought us here. */
static FERRY_CO int wait_for_clean_up(ferry_vm *vm, ferry_stream *st, ferry_slice *ret)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, vm->grace_ms);
    int r = ferry_stream_wait_reply(st, ret);
    ferry_scope_join(&s);
    return r;
}

static FERRY_CO int stop(ferry_op *op, ferry_stream *st, int code, ferry_slice *ret)
{
    ferry_op_phase(op, "cancelling");
    ferry_stream_reset(st, code);
    int r = wait_for_clean_up(op->vm, st, ret);
    if (r == -FERRY_ETIMEDOUT)
        ferry_vm_condemn(op->vm,
                         "the appliance did not answer a cancel in time; launch a "
                         "new one");
    return r;
}

/* What the daemon says is left; where it is not to be believed, or cannot be, that is unknown. */
static void take_left(ferry_op *op, const ferry_slice *reply)
{
    ferry_left left = {.kind = FERRY_LEFT_UNKNOWN};
    if (reply->len > 0)
        ferry_codec_left(reply->data, reply->len, &left);
    ferry_op_leave(op, left.kind, left.bytes, left.path);
}

int ferry_call_finish(ferry_op *op, const ferry_call_desc *d, ferry_stream *st,
                      void *ret, ferry_error *e)
{
    FERRY_AUTO(slice) ferry_slice reply = {0};
    int r = ferry_stream_wait_reply(st, &reply);
    if (r == 0) {
        take_left(op, &reply);
        return decode_reply(op, d, &reply, ret, e);
    }

    int code = ferry_cancelled();
    if (code == 0)
        return ferry_vm_failed(op->vm, r, d->name, e);
    if (stop(op, st, code, &reply) < 0)
        return code;
    take_left(op, &reply);
    return decode_reply(op, d, &reply, ret, e) == 0 ? 0 : code;
}

int ferry_call_now(ferry_op *op, const ferry_call_desc *d, const void *args, void *ret,
                   ferry_error *e)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    ferry_buf *body = NULL;
    ferry_vm *vm = op->vm;
    int r = ferry_call_encode(d, args, &body);
    if (r < 0)
        return ferry_fail(e, r, d->name, "arguments: %s", ferry_strerror(r));
    if (!vm->conn) {
        ferry_buf_unref(body);
        return ferry_vm_failed(vm, -FERRY_EPIPE, d->name, e);
    }
    r = ferry_stream_call(vm->conn, d->proc, body, &st);
    if (r < 0)
        return ferry_vm_failed(vm, r, d->name, e);
    return ferry_call_finish(op, d, st, ret, e);
}

int ferry_call_abort(ferry_op *op, const ferry_call_desc *d, ferry_stream *st, int r,
                     ferry_error *e)
{
    FERRY_AUTO(slice) ferry_slice reply = {0};
    if (ferry_stream_replied(st) && ferry_stream_wait_reply(st, &reply) == 0) {
        ferry_error theirs = {0};
        take_left(op, &reply);
        int code = ferry_codec_reply(reply.data, reply.len, NULL, 0, NULL, &theirs);
        if (code == 0 || code == -FERRY_EPROTO)
            return r; /* it was content with less than all: our error is the one */
        if (e)
            *e = theirs;
        return code;
    }
    if (ferry_stream_lost(st) && !ferry_cancelled())
        return ferry_vm_failed(op->vm, r, d->name, e);
    if (stop(op, st, r, &reply) == 0)
        take_left(op, &reply);
    return r;
}

/* ---- generated calls --------------------------------------------------------------- */

struct call {
    const ferry_call_desc *desc;
    ferry_buf *body;
    void *ret; /* of desc->ret_size */
    ferry_call_items items;
};

static void call_free(void *arg)
{
    struct call *c = arg;
    ferry_buf_unref(c->body);
    if (c->ret && c->desc->xdr_ret)
        xdr_free(c->desc->xdr_ret, c->ret);
    free(c->ret);
    ferry_codec_items_free(c->desc->xdr_item, c->items.val, c->items.len,
                           c->desc->item_size);
    free(c);
}

/* A list's bytes, whole: an item may lie across frames. */
struct bytes {
    uint8_t *data;
    size_t len, cap;
};

static int append(struct bytes *b, const ferry_slice *s)
{
    if (s->len > FERRY_ITEMS_MAX - b->len)
        return -FERRY_EFBIG;
    if (b->len + s->len > b->cap) {
        size_t cap = (b->len + s->len) * 2;
        uint8_t *data = realloc(b->data, cap);
        if (!data)
            return -ENOMEM;
        b->data = data;
        b->cap = cap;
    }
    memcpy(b->data + b->len, s->data, s->len);
    b->len += s->len;
    return 0;
}

static FERRY_CO int read_all(ferry_stream *st, struct bytes *b)
{
    for (;;) {
        ferry_piece p = {0};
        int r = ferry_stream_read(st, &p);
        if (r <= 0)
            return r;
        r = p.hole ? -FERRY_EPROTO : append(b, &p.data);
        ferry_slice_done(&p.data);
        if (r < 0)
            return r;
    }
}

static FERRY_CO int run_list(ferry_op *op, struct call *c, ferry_stream *st,
                             ferry_error *e)
{
    struct bytes b = {0};
    int r = read_all(st, &b);
    if (r < 0) {
        free(b.data);
        return ferry_call_abort(op, c->desc, st, r, e);
    }
    r = ferry_call_finish(op, c->desc, st, NULL, e);
    if (r == 0) {
        r = ferry_codec_items(c->desc->xdr_item, b.data, b.len, c->desc->item_size,
                              &c->items.val, &c->items.len);
        if (r == -FERRY_EPROTO)
            r = broken_reply(op, c->desc->name, e);
    }
    free(b.data);
    return r;
}

static FERRY_CO int run_call(ferry_op *op, ferry_error *e)
{
    struct call *c = op->body;
    FERRY_AUTO(stream) ferry_stream *st = NULL;

    ferry_op_phase(op, c->desc->name);
    int r = ferry_call_open(op, c->desc, ferry_take(&c->body), &st, e);
    if (r < 0)
        return r;
    r = c->desc->stream_result ? run_list(op, c, st, e)
                               : ferry_call_finish(op, c->desc, st, c->ret, e);
    /* Of these only their own page knows what a part of their work is. */
    ferry_op_leave(op, r < 0 ? FERRY_LEFT_UNKNOWN : FERRY_LEFT_NOTHING, 0, NULL);
    return r;
}

int ferry_call_start(ferry_vm *vm, const ferry_call_desc *d, const void *args,
                     ferry_op **ret_op, ferry_error *reterr)
{
    struct call *c = ferry_zalloc(sizeof *c);
    if (!c)
        return ferry_fail(reterr, -FERRY_ENOMEM, d->name, "out of memory");
    c->desc = d;
    int r = ferry_call_encode(d, args, &c->body);
    if (r == 0 && d->ret_size && !(c->ret = ferry_zalloc(d->ret_size)))
        r = -ENOMEM;
    if (r < 0) {
        call_free(c);
        return ferry_fail(reterr, r, d->name, "arguments: %s", ferry_strerror(r));
    }
    ferry_op *op = NULL;
    r = ferry_op_new(vm, d->name, run_call, c, call_free, &op, reterr);
    return r < 0 ? r : ferry_op_submit(op, ret_op, reterr);
}

int ferry_call_result(ferry_op *op, const ferry_call_desc *d, const void **ret,
                      ferry_error *reterr)
{
    struct call *c = op->body;
    if (op->run != run_call || c->desc != d)
        return ferry_fail(reterr, -FERRY_EINVAL, d->name,
                          "the op is of another call: %s", op->name);
    int r = ferry_op_error(op, reterr);
    if (r < 0)
        return r;
    *ret = d->stream_result ? (const void *)&c->items : c->ret;
    return 0;
}
