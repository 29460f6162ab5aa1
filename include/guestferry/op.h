/* guestferry/op.h - one piece of work: started, polled, awaited, cancelled.
 *
 *                 .--> OK          the result is there
 *      PENDING ---+--> FAILED      ferry_op_error() says why
 *                 '--> CANCELLED   by you, or by the close of its VM
 *
 * An op reaches exactly one end, and a callback, if there is one, is called exactly once.
 * A cancel is latched: it counts from the op's creation on, before its first instruction as
 * well as at its last byte. What was already committed when the cancel came is success, and
 * is reported as success.
 *
 * "Any thread" below is for contexts with a private thread; on a borrowed loop it is the loop's
 * thread, except for ferry_op_cancel() and ferry_vm_cancel_all(), which may be called anywhere. */
#ifndef GUESTFERRY_OP_H
#define GUESTFERRY_OP_H

#include <guestferry/ctx.h>
#include <guestferry/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ferry_op ferry_op;

typedef enum ferry_op_state {
    FERRY_OP_PENDING = 0,
    FERRY_OP_OK = 1,
    FERRY_OP_FAILED = 2,
    FERRY_OP_CANCELLED = 3,
} ferry_op_state;

/* Which of the transfers of a VM go first, for their option `priority`. Bulk data of a lower one moves
 * when no higher one has any that could be moved, in the same direction: it gets the rest, and all
 * there is beside one that stands still. Those of equal priority share. Calls wait for none of
 * them. */
typedef enum ferry_priority {
    FERRY_PRIORITY_LOW = -1,
    FERRY_PRIORITY_NORMAL = 0,
    FERRY_PRIORITY_HIGH = 1,
} ferry_priority;

/* How far an op is.
 *
 * bytes   moved so far: acknowledged by the other side, so never ahead of the truth
 * total   bytes expected; 0 = unknown
 * rate    bytes per second over the last few seconds; 0 until known
 * elapsed milliseconds since the start
 * phase   static text: "booting", "verifying", "copying", "committing"; never NULL
 * files, total_files   of a tree: files and links made so far, and in all (0: unknown) */
typedef struct ferry_progress {
    uint64_t bytes;
    uint64_t total;
    uint64_t rate;
    uint64_t elapsed_ms;
    const char *phase;
    uint64_t files;
    uint64_t total_files;
    uint64_t reserved[1];
} ferry_progress;

/* The state now, and if ret_progress is not NULL the progress. Never blocks.
 * Thread: any. Since 0.1. */
FERRY_EXPORT ferry_op_state ferry_op_poll(ferry_op *op, ferry_progress *ret_progress);

/* Waits for the end, at most timeout_ms (negative: without limit).
 * Returns 0 when the op has ended (however: see ferry_op_error), -FERRY_EAGAIN when
 * the time was up, -FERRY_EINTR when a signal handler ran on this thread (so that a language
 * binding can run its own; call again to wait on), -FERRY_ESTATE on a borrowed loop, where
 * waiting would stop the loop that does the work.
 * Thread: any of a private context. Since 0.1. */
FERRY_EXPORT int ferry_op_wait(ferry_op *op, int timeout_ms);

/* Asks for the end of the op. Returns at once: the end comes as CANCELLED, or as OK or
 * FAILED if that was faster. A second cancel, or one after the end, does nothing.
 * Thread: anywhere. Signal-safe: yes (an atomic store and a write(2); errno is kept). The op
 * must not have been freed. Since 0.1. */
FERRY_EXPORT void ferry_op_cancel(ferry_op *op);

/* A plain value that stands for the op in cancels, for those who cannot know whether it still
 * lives: a signal handler, another thread, a table of jobs. Never 0, and never that of another op of the
 * context. Thread: any. Since 0.1. */
typedef uint64_t ferry_op_token;
FERRY_EXPORT ferry_op_token ferry_op_get_token(const ferry_op *op);

/* ferry_op_cancel() by token. If the op has ended or been freed, or the token is 0 or nonsense, nothing
 * happens. The context must not have been closed.
 * Thread: anywhere. Signal-safe: yes (lock-free; errno is kept). Since 0.1. */
FERRY_EXPORT void ferry_ctx_cancel(ferry_ctx *ctx, ferry_op_token token);

/* Gives the op at most ms milliseconds from now, after which it FAILs with
 * FERRY_ETIMEDOUT; 0 takes the limit away. Thread: any. Since 0.1. */
FERRY_EXPORT void ferry_op_timeout(ferry_op *op, uint32_t ms);

/* Has done(op, user) called once, when the op has ended; soon, if it has already. On a
 * borrowed loop it is called from the loop, never from inside this call; with a private thread
 * from ferry_ctx_dispatch(). The callback may start ops and may free this one.
 * Returns 0; -FERRY_EINVAL if done is NULL; -FERRY_EEXIST if a callback was set before;
 * -FERRY_ESTATE (done is not called) if the context is closed. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_op_on_done(ferry_op *op, void (*done)(ferry_op *op, void *user),
                                  void *user);

/* 0 if the op is OK; else its code, with reterr (may be NULL) filled: FERRY_ECANCELED for
 * CANCELLED, -FERRY_EAGAIN while PENDING. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_op_error(ferry_op *op, ferry_error *reterr);

/* What is left of an op that did not come to its end.
 *
 * NOTHING  nothing: what was there before is as it was. Of an op that is OK: nothing but its result
 * PARTIAL  the first `bytes` bytes of what was to come, in a file of their own beside the
 *          target, which is as it was: `path`, in the image (upload) or on the host (download).
 *          The option `resume` goes on from it (guestferry/transfer.h)
 * WRITTEN  the target itself (in_place, offset, a device; a descriptor) was written: the first `bytes`
 *          bytes of what was to come, and perhaps some behind them; of an OK op, all
 * UNKNOWN  the VM died, or a call that is no transfer may have done a part of its work */
typedef enum ferry_leftover_kind {
    FERRY_LEFT_NOTHING = 0,
    FERRY_LEFT_PARTIAL = 1,
    FERRY_LEFT_WRITTEN = 2,
    FERRY_LEFT_UNKNOWN = 3,
} ferry_leftover_kind;

/* size     set to sizeof(ferry_leftover) before the call
 * bytes    length of the part of the source that is there, from its first byte (of `offset`, if
 *          that was asked for) on and without gaps; holes count
 * path     of a PARTIAL, else NULL. The op's: valid until it is freed. Bytes as they are on the disk
 * found    with `resume`: length of the partial that was there at the start; 0: none
 * resumed  with `resume`: bytes of it that were equal and not sent again. 0 while `found` is not:
 *          the two differ from the start on, and the transfer started over */
typedef struct ferry_leftover {
    size_t size;
    ferry_leftover_kind kind;
    uint64_t bytes;
    const char *path;
    uint64_t found;
    uint64_t resumed;
    uint64_t reserved[2];
} ferry_leftover;

/* Says what is left, once the op has ended. 0; -FERRY_EAGAIN while it is PENDING (ret is not
 * touched); -FERRY_EINVAL: ret is NULL or its size is not set. Never blocks.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_op_get_leftover(ferry_op *op, ferry_leftover *ret);

/* Gives the op back. A pending op is cancelled and ends on its own. Its callback is not called any
 * more, except for one that another thread has begun to deliver (ferry_ctx_dispatch, a borrowed
 * loop): that may still run after this returns, so what it points to lives as long as that
 * thread's turn. NULL is allowed. Thread: any. Since 0.1. */
FERRY_EXPORT void ferry_op_free(ferry_op *op);

#ifdef __cplusplus
}
#endif
#endif
