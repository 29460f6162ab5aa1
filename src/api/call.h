/* One call as the generated code sees it (schema/templates/api_calls.c.j2), and the steps
 * every remote call shares with the transfers. */
#ifndef FERRY_API_CALL_H
#define FERRY_API_CALL_H

#include "api/internal.h"

#include <rpc/xdr.h>

typedef struct ferry_call_desc {
    const char *name;
    uint32_t proc;
    xdrproc_t xdr_args; /* NULL: none */
    bool secret_args;   /* a passphrase is among them: our copy is wiped */
    xdrproc_t xdr_ret;  /* NULL: none */
    size_t ret_size;
    bool stream_result; /* a list that comes as DATA: items of item_size, one after another */
    xdrproc_t xdr_item;
    size_t item_size;
} ferry_call_desc;

/* The result of a stream_result call: `len` decoded items. */
typedef struct ferry_call_items {
    void *val;
    size_t len;
} ferry_call_items;

/* ---- for generated code ------------------------------------------------------------ */

/* Encodes args at once: nothing of the caller's is kept. */
int ferry_call_start(ferry_vm *vm, const ferry_call_desc *d, const void *args,
                     ferry_op **ret_op, ferry_error *reterr);

/* The decoded fx_..._ret (or ferry_call_items), which stays the op's. -FERRY_EINVAL if the
 * op is of another call, its error if it is not OK. */
int ferry_call_result(ferry_op *op, const ferry_call_desc *d, const void **ret,
                      ferry_error *reterr);

/* Blocking (blocking.c): waits for the end, through signals, and gives op's error. */
int ferry_op_await(ferry_op *op, ferry_error *reterr);

/* ---- steps of a remote call, on the loop ------------------------------------------- */

/* XDR arguments as a CALL body. -ENOMEM, -FERRY_EINVAL. */
int ferry_call_encode(const ferry_call_desc *d, const void *args, ferry_buf **ret);

/* Sends CALL. Fails with a full error. Takes over body. */
FERRY_CO int ferry_call_open(ferry_op *op, const ferry_call_desc *d, ferry_buf *body,
                             ferry_stream **ret, ferry_error *e);

/* Waits for the REPLY and decodes it: the daemon's status as the error, its result into ret
 * (zeroed; of d->ret_size; xdr_free it; NULL when there is none). On a cancel: RESET, then
 * waits for the daemon to have cleaned up, at most grace_ms; what it had committed
 * by then is success. */
FERRY_CO int ferry_call_finish(ferry_op *op, const ferry_call_desc *d, ferry_stream *st,
                               void *ret, ferry_error *e);

/* One call from start to end, whatever the VM's state: for what the library itself says to the
 * daemon during launch, shutdown and other ops. `ret` as above. */
FERRY_CO int ferry_call_now(ferry_op *op, const ferry_call_desc *d, const void *args,
                            void *ret, ferry_error *e);

/* Something other than the REPLY failed on this side with r (and e filled, or e->code 0): stops the
 * daemon and waits as above. Returns the error to report: the daemon's own if it had
 * failed first (a write that got -EPIPE), else r. */
FERRY_CO int ferry_call_abort(ferry_op *op, const ferry_call_desc *d, ferry_stream *st,
                              int r, ferry_error *e);

#endif
