/* What ferry_copy_in and ferry_copy_out share: arguments, the work, how the ends are told. */
#ifndef FERRY_API_COPY_H
#define FERRY_API_COPY_H

#include "api/call.h"
#include "api/meter.h"
#include "api/tree_work.h"
#include "proto/seal.h"

#include <guestferry/tree.h>

typedef struct ferry_copy {
    ferry_tree_work *work; /* what, from where, to where */
    ferry_copy_opts opts;  /* without name */
    ferry_stream *stream;
    ferry_seal seal;
    ferry_meter meter;
    int heard; /* copy_in: how listening to the daemon ended */
} ferry_copy;

/* Checks, copies the arguments, starts. The path of the image is `remote`, one of the two. */
int ferry_copy_start(ferry_vm *vm, const char *call, ferry_op_run run, const char *src,
                     const char *dir, const char *remote, const ferry_copy_opts *opts,
                     ferry_op **ret_op, ferry_error *e);

/* "path/in/the/tree: reason", unless r is a cancel's or e is filled. Returns r. */
int ferry_copy_failed(const ferry_copy *c, const char *call, int r, ferry_error *e);

#endif
