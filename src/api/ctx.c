/* Contexts: one loop, the VMs and ops on it, and how both end. See guestferry/ctx.h.
 *
 * Closing:  shut the door (nobody posts or kicks any more)
 *           -> free every VM: their ops end CANCELLED, their keepers kill qemu
 *           -> no VM and no callback left: ferry_loop_close
 *           -> closed(), and the private thread ends */
#include "api/warning.h"
#include "base/trace.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- the door ---------------------------------------------------------------------- */

bool ferry_ctx_is_forked(const ferry_ctx *ctx)
{
    return ctx->process != getpid();
}

int ferry_ctx_refuse(const ferry_ctx *ctx, const char *where, ferry_error *e)
{
    return ferry_fail(
        e, -FERRY_ESTATE, where,
        ferry_ctx_is_forked(ctx)
            ? "the context is the parent process's, from before a fork(): "
              "a child has to make its own"
            : "the context is closed");
}

bool ferry_ctx_enter(ferry_ctx *ctx)
{
    if (ferry_ctx_is_forked(ctx))
        return false;
    atomic_fetch_add(&ctx->inside, 1);
    if (!atomic_load(&ctx->closed))
        return true;
    atomic_fetch_sub(&ctx->inside, 1);
    return false;
}

void ferry_ctx_leave(ferry_ctx *ctx)
{
    atomic_fetch_sub(&ctx->inside, 1);
}

void ferry_ctx_kick(ferry_ctx *ctx)
{
    if (!ferry_ctx_enter(ctx))
        return;
    ferry_loop_kick(ctx->loop);
    ferry_ctx_leave(ctx);
}

/* Those inside are between two atomics and a write(2): a moment. */
static void shut_the_door(ferry_ctx *ctx)
{
    atomic_store(&ctx->closed, true);
    while (atomic_load(&ctx->inside) > 0)
        sched_yield();
}

/* ---- life -------------------------------------------------------------------------- */

ferry_ctx *ferry_ctx_ref(ferry_ctx *ctx)
{
    atomic_fetch_add(&ctx->refs, 1);
    return ctx;
}

void ferry_ctx_unref(ferry_ctx *ctx)
{
    if (atomic_fetch_sub(&ctx->refs, 1) > 1)
        return;
    if (ctx->event_fd >= 0)
        close(ctx->event_fd);
    ferry_ctx_drop_warnings(ctx);
    ferry_slots_done(&ctx->slots);
    pthread_mutex_destroy(&ctx->lock);
    free(ctx);
}

/* Somebody asked for a cancel, a timeout or a kill: look at everything. */
static void on_kick(void *arg)
{
    ferry_ctx *ctx = arg;
    ferry_list_each (ferry_vm, vm, &ctx->vms, link)
        if (vm->machine && atomic_load(&vm->kills) != vm->launch_kills)
            ferry_machine_kill(vm->machine);
    ferry_list_each (ferry_op, op, &ctx->ops, link)
        ferry_op_look(op);
}

/* A boot is all computing: more of them at once than there are CPUs only makes each later. */
void ferry_ctx_set_launches_max(ferry_ctx *ctx, unsigned n)
{
    long cpus = n ? 0 : sysconf(_SC_NPROCESSORS_ONLN);
    atomic_store(&ctx->launches_max, n ? n : cpus > 1 ? (unsigned)cpus : 1);
}

static ferry_ctx *allocate(void)
{
    ferry_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        return NULL;
    atomic_init(&ctx->refs, 1);
    ctx->process = getpid();
    ctx->event_fd = -1;
    ferry_slots_init(&ctx->slots);
    pthread_mutex_init(&ctx->lock, NULL);
    ferry_list_init(&ctx->done);
    ferry_list_init(&ctx->warnings);
    ferry_cond_init(&ctx->launch_over);
    ferry_ctx_set_launches_max(ctx, 0);
    ferry_list_init(&ctx->vms);
    ferry_list_init(&ctx->ops);
    ferry_trace_init(NULL);
    return ctx;
}

static void adopt_loop(ferry_ctx *ctx, ferry_loop *loop)
{
    ctx->loop = loop;
    ferry_scope_open_root(&ctx->root, loop, NULL, FERRY_SCOPE_SUPERVISE);
    ferry_loop_on_kick(loop, on_kick, ctx);
}

int ferry_ctx_new(ferry_ctx **ret_ctx, ferry_error *reterr)
{
    ferry_ctx *ctx = allocate();
    if (!ctx)
        return ferry_fail(reterr, -FERRY_ENOMEM, "ctx_new", "out of memory");

    int r = 0;
    ctx->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ctx->event_fd < 0)
        r = -errno;
    ferry_loop *loop = NULL;
    if (r == 0)
        r = ferry_thread_start(&ctx->thread, &loop);
    if (r < 0) {
        ferry_ctx_unref(ctx);
        return ferry_fail(reterr, r, "ctx_new",
                          "cannot start a loop and its thread: %s", ferry_strerror(r));
    }
    /* The thread sleeps in its loop and touches none of this before the first post. */
    adopt_loop(ctx, loop);
    *ret_ctx = ctx;
    return 0;
}

int ferry_ctx_new_on_loop(struct uv_loop_s *uv, ferry_ctx **ret_ctx, ferry_error *reterr)
{
    if (!uv)
        return ferry_fail(reterr, -FERRY_EINVAL, "ctx_new_on_loop", "loop is NULL");
    ferry_ctx *ctx = allocate();
    if (!ctx)
        return ferry_fail(reterr, -FERRY_ENOMEM, "ctx_new_on_loop", "out of memory");
    ferry_loop *loop = NULL;
    int r = ferry_loop_new(uv, &loop);
    if (r < 0) {
        ferry_ctx_unref(ctx);
        return ferry_fail(reterr, r, "ctx_new_on_loop", "cannot use this loop: %s",
                          ferry_strerror(r));
    }
    adopt_loop(ctx, loop);
    *ret_ctx = ctx;
    return 0;
}

/* ---- closing ----------------------------------------------------------------------- */

static void on_loop_closed(void *arg)
{
    ferry_ctx *ctx = arg;
    if (ctx->thread)
        return; /* the closer joins the thread and goes on */
    if (ctx->on_closed)
        ctx->on_closed(ctx->on_closed_user);
    ferry_ctx_unref(ctx);
}

void ferry_ctx_maybe_close(ferry_ctx *ctx)
{
    if (!ctx->closing || !ferry_list_empty(&ctx->vms) || ctx->undelivered > 0)
        return;
    ctx->closing = false;
    ferry_scope_done(&ctx->root);
    ferry_loop_close(ctx->loop, on_loop_closed, ctx);
}

static void close_on_loop(ferry_post *p)
{
    ferry_ctx *ctx = ferry_container(p, ferry_ctx, close_post);
    ctx->closing = true;
    ferry_list_each (ferry_vm, vm, &ctx->vms, link) {
        ferry_vm_release(vm);
        ferry_vm_disown(vm); /* nobody may free it any more: see ferry_ctx_close() */
    }
    ferry_ctx_maybe_close(ctx);
}

void ferry_ctx_close(ferry_ctx *ctx, void (*closed)(void *user), void *user)
{
    if (!ctx || ferry_ctx_is_forked(ctx))
        return;
    ctx->on_closed = closed;
    ctx->on_closed_user = user;
    ctx->close_post.run = close_on_loop;
    shut_the_door(ctx); /* nothing is posted behind the close */
    /* By way of the mailbox on a borrowed loop too: the caller may stand in a callback. */
    if (!ctx->thread)
        ferry_loop_hold(ctx->loop);
    ferry_loop_post(ctx->loop, &ctx->close_post);
    if (!ctx->thread)
        return;
    ferry_thread_join(ctx->thread);
    ferry_ctx_dispatch(ctx);
    close(ctx->event_fd); /* ops may keep the rest for long */
    ctx->event_fd = -1;
    if (closed)
        closed(user);
    ferry_ctx_unref(ctx);
}

void ferry_ctx_free(ferry_ctx *ctx)
{
    ferry_ctx_close(ctx, NULL, NULL);
}

/* ---- completion callbacks ---------------------------------------------------------- */

static void call_done(ferry_op *op)
{
    ferry_ctx *ctx = op->ctx;
    pthread_mutex_lock(&ctx->lock);
    void (*done)(ferry_op *, void *) = op->freed ? NULL : op->done;
    void *user = op->done_user;
    pthread_mutex_unlock(&ctx->lock);
    if (done)
        done(op, user);
}

static void deliver_on_loop(ferry_post *p)
{
    ferry_op *op = ferry_container(p, ferry_op, done_post);
    ferry_ctx *ctx = op->ctx;
    call_done(op);
    ferry_op_unref(op);
    ctx->undelivered--;
    ferry_loop_release(ctx->loop);
    ferry_ctx_maybe_close(ctx);
}

/* Called when an op with a callback has ended, or a callback was set on an ended op; the
 * reference that comes along is dropped after the call. */
void ferry_ctx_deliver(ferry_op *op)
{
    ferry_ctx *ctx = op->ctx;
    if (ctx->thread) {
        pthread_mutex_lock(&ctx->lock);
        ferry_list_append(&ctx->done, &op->done_link);
        pthread_mutex_unlock(&ctx->lock);
        eventfd_write(ctx->event_fd, 1);
        return;
    }
    ctx->undelivered++;
    ferry_loop_hold(ctx->loop);
    op->done_post.run = deliver_on_loop;
    ferry_loop_post(ctx->loop, &op->done_post);
}

int ferry_ctx_fd(ferry_ctx *ctx)
{
    return ctx->event_fd >= 0 && !ferry_ctx_is_forked(ctx) ? ctx->event_fd
                                                           : -FERRY_ESTATE;
}

int ferry_ctx_dispatch(ferry_ctx *ctx)
{
    if (ferry_ctx_is_forked(ctx))
        return 0;
    eventfd_t seen;
    if (ctx->event_fd >= 0)
        (void)eventfd_read(ctx->event_fd, &seen);

    int called = ferry_ctx_deliver_warnings(ctx);
    for (;;) {
        pthread_mutex_lock(&ctx->lock);
        ferry_list *l = ferry_list_pop(&ctx->done);
        pthread_mutex_unlock(&ctx->lock);
        if (!l)
            return called;
        ferry_op *op = ferry_container(l, ferry_op, done_link);
        call_done(op);
        ferry_op_unref(op);
        called++;
    }
}
