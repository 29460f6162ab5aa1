/* guestferry/ctx.h - the engine: where ops run.
 *
 *      ferry_ctx --- owns ---> ferry_vm --- has ---> ferry_op (counted; yours until freed)
 *      one loop                one qemu              one piece of work
 *
 * A context is one of two kinds:
 *
 *                       ferry_ctx_new_on_loop()        ferry_ctx_new()
 *   runs on             your uv loop, your thread      a private thread, all signals blocked
 *   _start/_poll/_free  that thread only               any thread
 *   _cancel             anywhere                       anywhere
 *   blocking calls      refused (FERRY_ESTATE)         any thread, side by side
 *   on_done callbacks   from your loop                 from ferry_ctx_dispatch(), your thread
 *
 * A context belongs to the process that made it. A child that this process forks may make contexts
 * of its own; with its parent's it gets FERRY_ESTATE from every call that can say so, and cancels,
 * kills, frees and closes do nothing there: a VM is not its child's to end, and lives on when the
 * child exits.
 *
 * The library stays mapped after dlclose(): a thread of a closed context may hang in a system call
 * for as long as the disk behind it does, and comes back to its code. */
#ifndef GUESTFERRY_CTX_H
#define GUESTFERRY_CTX_H

#include <guestferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;
typedef struct ferry_ctx ferry_ctx;

/* A context with a loop and a thread of its own.
 * Errors: FERRY_ENOMEM, FERRY_ENPROC, or what the lack of descriptors gave (EMFILE, ENFILE).
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_ctx_new(ferry_ctx **ret_ctx, ferry_error *reterr);

/* A context on a libuv loop of the caller's (uv_loop_t *). Nothing of ours runs on another
 * thread, apart from its file system calls, on a few threads with all signals blocked. The
 * loop is kept alive while an op is pending, not by an idle VM. The loop must outlive the context: close with ferry_ctx_close().
 * Errors: FERRY_ENOMEM. Thread: loop. Since 0.1. */
FERRY_EXPORT int ferry_ctx_new_on_loop(struct uv_loop_s *loop, ferry_ctx **ret_ctx,
                                       ferry_error *reterr);

/* Ends a context of either kind: every op still pending completes with FERRY_ECANCELED, every
 * VM that is still up is killed (not flushed: ferry_shutdown() does that), every process,
 * descriptor and temporary is gone. VM and ctx pointers are invalid from here on; ops remain
 * until ferry_op_free().
 *
 * Private thread: returns when all is done; closed() may be NULL, and is called before return.
 * Borrowed loop: returns at once; closed(user) is called from the loop when all is done, after
 * which the uv loop holds nothing of ours.
 * NULL is allowed. Thread: loop (borrowed) or any (private, not from a callback). Since 0.1. */
FERRY_EXPORT void ferry_ctx_close(ferry_ctx *ctx, void (*closed)(void *user),
                                  void *user);

/* ferry_ctx_close() without a callback. */
FERRY_EXPORT void ferry_ctx_free(ferry_ctx *ctx);

/* For event loops that are not libuv's (GLib, asyncio, poll(2)): a descriptor that is readable
 * when completion callbacks wait. It belongs to the context; never read it.
 * Returns the fd; -FERRY_ESTATE on a borrowed loop, which needs none, and in a forked child.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_ctx_fd(ferry_ctx *ctx);

/* Calls the completion callbacks that wait, on this thread. Returns how many were called.
 * One thread at a time. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_ctx_dispatch(ferry_ctx *ctx);

/* So many launches of this context's VMs go on at once; others wait their turn, in order ("waiting
 * for other launches"), and can be cancelled there. 0, the default: the number of CPUs. Holds for
 * launches that begin from now on. Thread: any. Since 0.1. */
FERRY_EXPORT void ferry_ctx_set_launches_max(ferry_ctx *ctx, unsigned n);

/* Has warning(what, user) called when something is not as it should be and the work goes on without
 * it: a template that cannot be used, say. what->msg is one sentence; the struct is valid
 * during the call. The same sentence is not told twice in a row. NULL, the default: nobody is
 * told. Called like a completion callback: by ferry_ctx_dispatch(), or from your loop. The library
 * itself writes to no terminal and no log. Thread: loop (borrowed) or any. Since 0.1. */
FERRY_EXPORT void ferry_ctx_on_warning(
    ferry_ctx *ctx, void (*warning)(const ferry_error *what, void *user), void *user);

#ifdef __cplusplus
}
#endif
#endif
