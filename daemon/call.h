/* One daemon, and one call of it. Every file of this directory that implements calls
 * includes this and what it needs of the rest; main.c and server.c own struct ferryd.
 *
 *      server.c   connection: HELLO, frames, the end        dispatch.c  one CALL -> one task
 *      root.c     guest paths     block.c  blocking work     run.c      programs
 *      devices.c files.c upload.c ...: ferryd_<call>() as declared in gen/daemon_calls.h
 *
 * A call runs as a task in a scope of its own. A RESET from the host cancels that scope, and the
 * call unwinds: what it waits for returns the cancel code, programs are killed with
 * their group, temporaries are removed. Its REPLY goes out when that is done, so a host that has
 * the REPLY of a cancelled call knows that nothing of it is still going on.
 *
 * All of it belongs to the loop's thread, save where block.h says otherwise. */
#ifndef FERRYD_CALL_H
#define FERRYD_CALL_H

#include "async/fs.h"
#include "async/scope.h"
#include "async/sync.h"
#include "proto/conn.h"

#include "daemon_calls.h"

#include <guestferry/error.h>
#include <guestferry/op.h>

#include <stdatomic.h>
#include <stdbool.h>

struct ferryd {
    ferry_loop *loop;
    ferry_conn *conn;
    bool appliance; /* clock and randomness of this machine are ours (main.c): not so in
                            * tests, which run it on a host */
    const char *root_path; /* where the image's file systems are mounted: "/sysroot" */
    ferry_file *root;      /* O_PATH on what is mounted there; NULL: nothing is */

    ferry_scope tasks; /* supervising: every call's task */
    ferry_list calls;  /* ferryd_call.link: not yet replied to */
    ferry_cond ended;  /* one of them has ended */
    bool closing;      /* shutdown has begun: no further calls */

    ferry_sem mounting;     /* held by whoever changes what is mounted or partitioned */
    bool volumes_activated; /* by us: to be deactivated at the end */
    int lane_fd; /* tests: memory that stands for the lane's device; -1: the device */
    uint64_t lane_bytes;  /* of its slots, once it was offered */
    ferry_lane_map *lane; /* NULL: not open */
    bool fuse;            /* a file system that is a process has been mounted */
    ferry_list labels;    /* ferryd_label.link (drives.h) */
};

/* What a transfer leaves behind: ferry_leftover of guestferry/op.h. */
struct ferryd_left {
    ferry_leftover_kind kind;
    uint64_t bytes;
    char *path; /* malloced; NULL: none */
};

struct ferryd_call {
    struct ferryd *d;
    ferry_stream *stream;
    const ferryd_entry *entry;
    ferry_slice body; /* XDR arguments */
    ferry_list link;
    ferry_scope scope; /* open while `running` */
    bool running;
    atomic_int cancelled;    /* 0 or the code: what blocking work looks at (block.h) */
    struct ferryd_left left; /* set by transfers: goes with the REPLY */
    ferry_buf *items; /* of a list, not yet sent (gen/daemon_dispatch.c); NULL: none */
};

/* "PATH: reason", under the call's name; the reason is r's text. Returns r. */
int ferryd_fail(const struct ferryd_call *c, ferry_error *e, int r, const char *what);

/* The same with a reason of one's own. */
int ferryd_failf(const struct ferryd_call *c, ferry_error *e, int r, const char *fmt,
                 ...) FERRY_PRINTF(4, 5);

/* on_call of the connection: starts the call's task, or replies with why not. */
void ferryd_dispatch(void *daemon, ferry_stream *st, ferry_slice body);

/* Cancels every call but `except` (may be NULL) and waits until they have ended. */
FERRY_CO void ferryd_cancel_calls(struct ferryd *d, const struct ferryd_call *except,
                                  int code);

#endif
