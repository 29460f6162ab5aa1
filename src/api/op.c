/* Ops: from creation to exactly one end. See guestferry/op.h.
 *
 *   any thread          loop
 *   new, submit ------> begin: task spawned in the VM's scope
 *   cancel = true ----> look: the op's scope is cancelled       (kick)
 *                       end: error, state, futex, callback      <- run() returned
 *   poll, wait <------- state (release/acquire)
 *   free: owner's reference dropped */
#include "api/internal.h"
#include "base/alloc.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- life -------------------------------------------------------------------------- */

int ferry_op_new(ferry_vm *vm, const char *name, ferry_op_run run, void *body,
                 void (*body_free)(void *), ferry_op **ret, ferry_error *e)
{
    int r = 0;
    ferry_op *op = NULL;
    if (ferry_ctx_is_forked(vm->ctx))
        r = ferry_ctx_refuse(vm->ctx, name, e);
    else if (!(op = ferry_zalloc(sizeof *op)))
        r = ferry_fail(e, -FERRY_ENOMEM, name, "out of memory");
    else if ((r = ferry_slots_take(&vm->ctx->slots, &op->token)) < 0)
        ferry_fail(e, r, name, "no place for another op: %s", ferry_strerror(r));
    if (r < 0) {
        free(op);
        if (body_free)
            body_free(body);
        return r;
    }
    atomic_init(&op->refs, 1);
    op->vm = ferry_vm_ref(vm);
    op->ctx = ferry_ctx_ref(vm->ctx);
    op->name = name;
    op->run = run;
    op->body = body;
    op->body_free = body_free;
    op->epoch = atomic_load(&vm->cancel_epoch);
    op->kills = atomic_load(&vm->kills);
    op->started_ms = monotonic_ms();
    atomic_init(&op->phase, "waiting");
    ferry_list_init(&op->link);
    ferry_list_init(&op->done_link);
    *ret = op;
    return 0;
}

void ferry_op_unref(ferry_op *op)
{
    if (atomic_fetch_sub(&op->refs, 1) > 1)
        return;
    if (op->body_free)
        op->body_free(op->body);
    free(op->left.path);
    ferry_slots_give(&op->ctx->slots, op->token);
    ferry_vm_unref(op->vm);
    ferry_ctx_unref(op->ctx);
    free(op);
}

void ferry_op_free(ferry_op *op)
{
    if (!op || ferry_ctx_is_forked(op->ctx))
        return;
    pthread_mutex_lock(&op->ctx->lock);
    op->freed = true;
    pthread_mutex_unlock(&op->ctx->lock);
    ferry_op_cancel(op);
    ferry_op_unref(op);
}

/* ---- the end ----------------------------------------------------------------------- */

static void wake_waiters(ferry_op *op)
{
    syscall(SYS_futex, &op->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static ferry_op_state end_state(int r)
{
    return r == 0                  ? FERRY_OP_OK
           : r == -FERRY_ECANCELED ? FERRY_OP_CANCELLED
                                   : FERRY_OP_FAILED;
}

static void fill_error(ferry_op *op, int r, const ferry_error *e)
{
    if (r == 0)
        return;
    if (e->code == r)
        op->error = *e;
    else /* cancelled or out of memory on the way: nobody wrote a sentence */
        ferry_fail(&op->error, r, op->name, "%s: %s", op->name, ferry_strerror(r));
}

static void end(ferry_op *op, int r, const ferry_error *e)
{
    ferry_ctx *ctx = op->ctx;

    FERRY_TRACE(api, "op %s ends: %s", op->name, r ? ferry_strerror(r) : "ok");
    ferry_list_remove(&op->link);
    fill_error(op, r, e);
    atomic_store(&op->ended_ms, monotonic_ms());

    pthread_mutex_lock(&ctx->lock);
    atomic_store(&op->state, end_state(r));
    bool deliver = op->done && !op->freed;
    op->queued = deliver;
    pthread_mutex_unlock(&ctx->lock);
    wake_waiters(op);
    ferry_cond_wake(&op->vm->changed); /* a shutdown waits for the others' end */

    if (deliver)
        ferry_ctx_deliver(op);
    else
        ferry_op_unref(op);
    ferry_loop_release(ctx->loop);
}

/* ---- the run ----------------------------------------------------------------------- */

static bool cancel_asked(ferry_op *op)
{
    return ferry_slots_cancelled(&op->ctx->slots, op->token) ||
           op->epoch != atomic_load(&op->vm->cancel_epoch) || op->vm->freed;
}

/* Of a launch, which has no machine yet that could be killed under it. */
static bool kill_asked(ferry_op *op)
{
    return ferry_vm_get_state(op->vm) == FERRY_VM_LAUNCHING &&
           op->kills != atomic_load(&op->vm->kills);
}

void ferry_op_look(ferry_op *op)
{
    if (!op->scope)
        return; /* looked at when it begins */
    if (atomic_exchange(&op->timeout_set, false))
        ferry_scope_deadline(op->scope, atomic_load(&op->timeout_ms));
    if (cancel_asked(op))
        ferry_scope_cancel(op->scope, -FERRY_ECANCELED);
    if (kill_asked(op))
        ferry_scope_cancel(op->scope, -FERRY_EDEAD);
}

static FERRY_CO int op_task(void *arg)
{
    ferry_op *op = arg;
    ferry_scope s;
    ferry_error e = {0};

    ferry_scope_open(&s, FERRY_SCOPE_SUPERVISE);
    op->scope = &s;
    ferry_op_look(op);
    int r = ferry_cancelled(); /* before the first instruction counts too */
    if (r == 0)
        r = op->run(op, &e);
    op->scope = NULL;
    ferry_scope_join(&s);
    end(op, r, &e);
    return 0;
}

static void begin(ferry_op *op)
{
    ferry_list_append(&op->ctx->ops, &op->link);
    ferry_loop_hold(op->ctx->loop);
    int r = op->vm->freed ? -FERRY_ECANCELED
                          : ferry_spawn(&op->vm->scope, op->name, op_task, op);
    if (r < 0)
        end(op, r, &(ferry_error){0});
}

static void begin_on_loop(ferry_post *p)
{
    begin(ferry_container(p, ferry_op, start_post));
}

int ferry_op_submit(ferry_op *op, ferry_op **ret, ferry_error *e)
{
    ferry_ctx *ctx = op->ctx;
    if (!ferry_ctx_enter(ctx)) {
        ferry_ctx_refuse(ctx, op->name, e);
        ferry_op_unref(op);
        return -FERRY_ESTATE;
    }
    uint32_t limit = op->vm->call_timeout_ms;
    if (limit && !atomic_load(&op->timeout_set))
        ferry_op_timeout(op, limit);

    atomic_fetch_add(&op->refs, 1); /* the loop's */
    *ret = op;
    if (ctx->thread) {
        op->start_post.run = begin_on_loop;
        ferry_loop_post(ctx->loop, &op->start_post);
    } else {
        begin(op);
    }
    ferry_ctx_leave(ctx);
    return 0;
}

void ferry_op_phase(ferry_op *op, const char *phase)
{
    atomic_store(&op->phase, phase);
}

void ferry_op_leave(ferry_op *op, ferry_leftover_kind kind, uint64_t bytes, char *path)
{
    free(op->left.path);
    op->left = (ferry_left){kind, bytes, path};
}

/* ---- what the owner asks ----------------------------------------------------------- */

void ferry_op_cancel(ferry_op *op)
{
    ferry_slots_cancel(&op->ctx->slots, op->token);
    if (atomic_load(&op->state) == FERRY_OP_PENDING)
        ferry_ctx_kick(op->ctx);
}

ferry_op_token ferry_op_get_token(const ferry_op *op)
{
    return op->token;
}

void ferry_ctx_cancel(ferry_ctx *ctx, ferry_op_token token)
{
    if (ferry_slots_cancel(&ctx->slots, token))
        ferry_ctx_kick(ctx);
}

void ferry_op_timeout(ferry_op *op, uint32_t ms)
{
    atomic_store(&op->timeout_ms, ms);
    atomic_store(&op->timeout_set, true);
    if (atomic_load(&op->state) == FERRY_OP_PENDING)
        ferry_ctx_kick(op->ctx);
}

ferry_op_state ferry_op_poll(ferry_op *op, ferry_progress *ret_progress)
{
    /* The state first: what is read after an end is final. */
    ferry_op_state state = (ferry_op_state)atomic_load(&op->state);
    if (!ret_progress)
        return state;
    uint64_t ended = atomic_load(&op->ended_ms);
    *ret_progress = (ferry_progress){
        .bytes = atomic_load(&op->bytes),
        .total = atomic_load(&op->total),
        .rate = atomic_load(&op->rate),
        .elapsed_ms = (ended ? ended : monotonic_ms()) - op->started_ms,
        .phase = atomic_load(&op->phase),
        .files = atomic_load(&op->files),
        .total_files = atomic_load(&op->total_files),
    };
    return state;
}

int ferry_op_error(ferry_op *op, ferry_error *reterr)
{
    switch (atomic_load(&op->state)) {
    case FERRY_OP_PENDING:
        return ferry_fail(reterr, -FERRY_EAGAIN, op->name, "%s is still pending",
                          op->name);
    case FERRY_OP_OK: return 0;
    default:
        if (reterr)
            *reterr = op->error;
        return op->error.code;
    }
}

int ferry_op_get_leftover(ferry_op *op, ferry_leftover *ret)
{
    if (!ret || ret->size < sizeof ret->size)
        return -FERRY_EINVAL;
    if (atomic_load(&op->state) == FERRY_OP_PENDING)
        return -FERRY_EAGAIN;
    ferry_leftover all = {
        .size = ret->size,
        .kind = op->left.kind,
        .bytes = op->left.bytes,
        .path = op->left.path,
        .found = op->found,
        .resumed = op->resumed,
    };
    memcpy(ret, &all, ret->size < sizeof all ? ret->size : sizeof all);
    return 0;
}

int ferry_op_on_done(ferry_op *op, void (*done)(ferry_op *op, void *user), void *user)
{
    ferry_ctx *ctx = op->ctx;
    if (!done)
        return -FERRY_EINVAL;
    if (ferry_ctx_is_forked(ctx))
        return -FERRY_ESTATE;
    pthread_mutex_lock(&ctx->lock);
    if (op->done) {
        pthread_mutex_unlock(&ctx->lock);
        return -FERRY_EEXIST;
    }
    op->done = done;
    op->done_user = user;
    bool ended = atomic_load(&op->state) != FERRY_OP_PENDING && !op->queued;
    op->queued |= ended;
    pthread_mutex_unlock(&ctx->lock);

    if (ended) {
        if (!ferry_ctx_enter(ctx))
            return -FERRY_ESTATE;
        atomic_fetch_add(&op->refs, 1);
        ferry_ctx_deliver(op);
        ferry_ctx_leave(ctx);
    }
    return 0;
}

/* ---- waiting ----------------------------------------------------------------------- */

/* Longest single sleep: a FUTEX_WAIT without a timeout is restarted after a SA_RESTART
 * handler, one with a timeout never is (signal(7)), and callers want to see EINTR. */
#define WAIT_SLICE_MS 3600000

int ferry_op_wait(ferry_op *op, int timeout_ms)
{
    if (!op->ctx->thread || ferry_ctx_is_forked(op->ctx))
        return -FERRY_ESTATE;
    uint64_t deadline =
        timeout_ms < 0 ? UINT64_MAX : monotonic_ms() + (uint64_t)timeout_ms;

    while (atomic_load(&op->state) == FERRY_OP_PENDING) {
        uint64_t now = monotonic_ms();
        if (now >= deadline)
            return -FERRY_EAGAIN;
        uint64_t ms = deadline - now < WAIT_SLICE_MS ? deadline - now : WAIT_SLICE_MS;
        struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
        long r = syscall(SYS_futex, &op->state, FUTEX_WAIT_PRIVATE, FERRY_OP_PENDING,
                         &t, NULL, 0);
        if (r < 0 && errno == EINTR)
            return -FERRY_EINTR;
    }
    return 0;
}
