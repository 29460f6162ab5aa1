/* XDR bodies: the structs of gen/ferry_xdr.h to bytes and back. Pure.
 *
 *      CALL   args                     ferry_codec_encode     ferry_codec_decode
 *      REPLY  fx_status [ret]          (daemon/dispatch.c)    ferry_codec_reply
 *      DATA   item item item ...       ferry_codec_append     ferry_codec_items
 *
 * Decoding takes hostile bytes: every bound is in the schema, nothing is left allocated
 * on failure, and bytes that are left over are a failure too. What decodes is well formed
 * and no more: whoever uses it checks what it means.
 *
 * Compiled into ferry_schema, beside the code that rpcgen writes. */
#ifndef FERRY_PROTO_CODEC_H
#define FERRY_PROTO_CODEC_H

#include "base/buf.h"

#include <guestferry/error.h>
#include <guestferry/op.h>

#include <rpc/rpc.h>

/* Most bytes of a list that a daemon can make us hold. A directory of a million entries
 * with long names fits; decoded, the worst such list takes ten times as much. */
#define FERRY_ITEMS_MAX (64 * 1024 * 1024)

/* A buffer that holds `value`. -ENOMEM; -ENAMETOOLONG: a string over its bound. */
int ferry_codec_encode(xdrproc_t xdr, const void *value, ferry_buf **ret);

/* Puts `value` behind what is in b. -ENOBUFS: b has no room (empty it and try again);
 * -ENAMETOOLONG: not even an empty b has, or a string is over its bound. */
int ferry_codec_append(ferry_buf *b, xdrproc_t xdr, const void *value);

/* All of data[0..len) into `ret`, a struct of `size` bytes (its old content is lost; free
 * with xdr_free). -FERRY_EPROTO, and ret is zeroed: too short, too long, over a bound (or
 * out of memory: libtirpc does not say which). */
int ferry_codec_decode(xdrproc_t xdr, const void *data, size_t len, size_t size,
                       void *ret);

/* A REPLY's payload. 0: it was a success and ret is filled as above (xdr NULL: there is
 * none). Else the daemon's code with e filled (control characters of its text are gone:
 * somebody's terminal will show it), or -FERRY_EPROTO when the payload is not a reply. */
int ferry_codec_reply(const void *data, size_t len, xdrproc_t xdr, size_t size,
                      void *ret, ferry_error *e);

/* What a REPLY, of success or failure, says is left of a transfer. path is malloced, NULL: none. */
typedef struct ferry_left {
    ferry_leftover_kind kind;
    uint64_t bytes;
    char *path;
} ferry_left;

/* 0; -FERRY_EPROTO when the payload is not a reply; -ENOMEM. */
int ferry_codec_left(const void *data, size_t len, ferry_left *ret);

/* The items that data[0..len) consists of, as an array of structs of `size` bytes: free
 * with ferry_codec_items_free. No items is {NULL, 0}. -FERRY_EPROTO, -ENOMEM. */
int ferry_codec_items(xdrproc_t xdr, const void *data, size_t len, size_t size,
                      void **ret_items, size_t *ret_count);
void ferry_codec_items_free(xdrproc_t xdr, void *items, size_t count, size_t size);

#endif
