/* XDR bodies to bytes and back; see codec.h. Called by src/api and the daemon. Knows the
 * status that is in front of every reply, and no call. */
#include "proto/codec.h"

#include "base/auto.h"
#include "base/error.h"

#include "ferry_xdr.h"

#include <stdbool.h>
#include <string.h>

/* Encodes behind b->len; false when that fails, with b as it was. */
static bool put(ferry_buf *b, xdrproc_t xdr, const void *value)
{
    XDR x;
    xdrmem_create(&x, (char *)b->data + b->len, (u_int)ferry_buf_room(b), XDR_ENCODE);
    bool ok = xdr(&x, (void *)(uintptr_t)value); /* XDR_ENCODE only reads it */
    if (ok)
        b->len += xdr_getpos(&x);
    xdr_destroy(&x);
    return ok;
}

int ferry_codec_encode(xdrproc_t xdr, const void *value, ferry_buf **ret)
{
    size_t size = xdr_sizeof(xdr, (void *)(uintptr_t)value);
    if (size == 0) /* no body of ours is empty */
        return -FERRY_ENAMETOOLONG;

    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_new(size, &b);
    if (r < 0)
        return r;
    if (!put(b, xdr, value))
        return -FERRY_ENAMETOOLONG;

    *ret = ferry_take(&b);
    return 0;
}

int ferry_codec_append(ferry_buf *b, xdrproc_t xdr, const void *value)
{
    if (put(b, xdr, value))
        return 0;
    return b->len > 0 ? -ENOBUFS : -FERRY_ENAMETOOLONG;
}

/* Decodes one value from the front of *data. On failure everything is freed. */
static bool get(xdrproc_t xdr, const uint8_t **data, size_t *len, void *ret, size_t size)
{
    XDR x;
    memset(ret, 0, size);
    xdrmem_create(&x, (char *)(uintptr_t)*data, (u_int)*len, XDR_DECODE);
    bool ok = xdr(&x, ret);
    size_t used = xdr_getpos(&x);
    xdr_destroy(&x);
    if (!ok) {
        xdr_free(xdr, ret);
        memset(ret, 0, size);
        return false;
    }
    *data += used;
    *len -= used;
    return true;
}

int ferry_codec_decode(xdrproc_t xdr, const void *data, size_t len, size_t size,
                       void *ret)
{
    const uint8_t *p = data;
    if (!get(xdr, &p, &len, ret, size))
        return -FERRY_EPROTO;
    if (len > 0) {
        xdr_free(xdr, ret);
        memset(ret, 0, size);
        return -FERRY_EPROTO;
    }
    return 0;
}

/* No errno and no code of ours is larger. */
#define CODE_MAX 4095

/* ---- replies --------------------------------------------------------------------- */

/* Copies a text of the daemon's; a terminal may show it, so it must not steer one. */
static void copy_text(char *to, size_t room, const char *from)
{
    size_t n = strnlen(from, room - 1);
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? ' ' : from[i];
    to[n] = 0;
}

static int take_status(const fx_status *status, ferry_error *e)
{
    if (status->code > 0 || status->code < -CODE_MAX)
        return ferry_fail(e, -FERRY_EPROTO, "reply", "the daemon sent the status %d",
                          status->code);
    if (status->code < 0 && e) {
        *e = (ferry_error){
            .code = status->code,
            .os_errno = status->os_errno > 0 ? status->os_errno : 0,
        };
        copy_text(e->where, sizeof e->where, status->where);
        copy_text(e->msg, sizeof e->msg, status->msg);
    }
    return status->code;
}

int ferry_codec_reply(const void *data, size_t len, xdrproc_t xdr, size_t size,
                      void *ret, ferry_error *e)
{
    const uint8_t *p = data;
    fx_status status;
    if (!get((xdrproc_t)xdr_fx_status, &p, &len, &status, sizeof status))
        return ferry_fail(e, -FERRY_EPROTO, "reply", "the daemon's reply has no status");
    int r = take_status(&status, e);
    xdr_free((xdrproc_t)xdr_fx_status, &status);
    if (r < 0)
        return r;

    if (xdr)
        r = ferry_codec_decode(xdr, p, len, size, ret);
    else if (len > 0)
        r = -FERRY_EPROTO;
    if (r < 0)
        return ferry_fail(e, r, "reply", "the daemon's reply does not decode");
    return 0;
}

static int take_left(const fx_status *status, ferry_left *ret)
{
    ferry_left left = {.kind = (ferry_leftover_kind)status->left,
                       .bytes = status->left_bytes};
    if (status->left > FERRY_LEFT_UNKNOWN)
        return -FERRY_EPROTO;
    if (*status->left_path && !(left.path = strdup(status->left_path)))
        return -ENOMEM;
    *ret = left;
    return 0;
}

int ferry_codec_left(const void *data, size_t len, ferry_left *ret)
{
    const uint8_t *p = data;
    fx_status status;
    if (!get((xdrproc_t)xdr_fx_status, &p, &len, &status, sizeof status))
        return -FERRY_EPROTO;
    int r = take_left(&status, ret);
    xdr_free((xdrproc_t)xdr_fx_status, &status);
    return r;
}

/* ---- lists ----------------------------------------------------------------------- */

void ferry_codec_items_free(xdrproc_t xdr, void *items, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        xdr_free(xdr, (char *)items + i * size);
    free(items);
}

int ferry_codec_items(xdrproc_t xdr, const void *data, size_t len, size_t size,
                      void **ret_items, size_t *ret_count)
{
    const uint8_t *p = data;
    char *items = NULL;
    size_t count = 0, room = 0;
    int r = 0;

    while (len > 0) {
        if (count == room) {
            room = room ? room * 2 : 16;
            char *more = reallocarray(items, room, size);
            r = more ? 0 : -ENOMEM;
            if (r < 0)
                goto fail;
            items = more;
        }
        r = get(xdr, &p, &len, items + count * size, size) ? 0 : -FERRY_EPROTO;
        if (r < 0)
            goto fail;
        count++;
    }
    *ret_items = items;
    *ret_count = count;
    return 0;

fail:
    ferry_codec_items_free(xdr, items, count, size);
    return r;
}
