/* What the files of src/api share: context, VM and op as they are inside.
 *
 *      who              may touch
 *      any thread       fields marked atomic, and those under ctx->lock
 *      the loop         everything else
 *
 * Counting: a ctx is held by its owner, its VMs and its ops; a VM by its owner, the loop (until it is
 * reaped) and its ops; an op by its owner and, until it is delivered, the loop. */
#ifndef FERRY_API_INTERNAL_H
#define FERRY_API_INTERNAL_H

#include "api/pace.h"
#include "api/slots.h"
#include "async/scope.h"
#include "async/sync.h"
#include "async/thread.h"
#include "base/error.h"
#include "launch/machine.h"
#include "proto/codec.h"
#include "proto/conn.h"

#include <guestferry/ctx.h>
#include <guestferry/op.h>
#include <guestferry/vm.h>

#include <pthread.h>
#include <stdatomic.h>

/* Drives of one VM: /dev/sda to sdbl; one virtio-scsi bus takes 256. */
#define FERRY_VM_DRIVES 64

struct ferry_ctx {
    atomic_uint refs;
    ferry_loop *loop;
    ferry_thread *thread; /* NULL: the loop is the caller's */
    pid_t process;        /* that made it; in a child it forked there is no loop */

    /* The door: nobody kicks or posts to a loop that is being closed. */
    atomic_uint inside;
    atomic_bool closed;

    ferry_slots slots; /* the cancel bit of every op */

    pthread_mutex_t lock;
    ferry_list done;     /* ops whose callback waits for ferry_ctx_dispatch() */
    ferry_list warnings; /* likewise (warning.c) */
    void (*on_warning)(const ferry_error *what, void *user);
    void *on_warning_user;
    int event_fd; /* readable while there are some; -1: borrowed loop */

    /* loop */
    ferry_scope root; /* parent of every VM's; supervising */
    ferry_list vms;
    ferry_list ops;           /* not ended yet */
    unsigned undelivered;     /* callbacks on their way, borrowed loop */
    atomic_uint launches_max; /* that may be on their way at once */
    unsigned launches;        /* that are */
    ferry_cond launch_over;
    char last_warning[sizeof((ferry_error *)0)->msg];
    bool closing;
    ferry_post close_post;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

struct ferry_vm {
    atomic_uint refs;
    atomic_bool disowned; /* the owner's reference was given up, by it or by a closing ctx */
    ferry_ctx *ctx;
    atomic_int state;         /* ferry_vm_state */
    atomic_uint cancel_epoch; /* ferry_vm_cancel_all() counts it up */
    atomic_uint kills;        /* ferry_vm_kill() counts it up */
    _Atomic(const char *) accel, lane_text;
    ferry_pace pace; /* of its transfers */

    pthread_mutex_t lock; /* drives and times: any thread before and after launch */
    ferry_machine_spec spec;
    ferry_launch_times times;
    char *console; /* tail, kept when the machine goes; malloced */
    char *no_kvm;  /* why the last launch did without; malloced; NULL: no memory */
    ferry_template_mode templates;
    uint32_t launch_timeout_ms, call_timeout_ms, grace_ms, heartbeat_ms;

    /* loop */
    unsigned launch_kills; /* kills when the launch was asked for */
    ferry_list link;       /* ctx->vms */
    ferry_scope scope;
    bool freed; /* the owner has gone: reap when no task is left */
    bool reaping;
    ferry_post adopt_post, free_post, reap_post;
    ferry_machine *machine;
    ferry_conn *conn;
    ferry_lane_map *lane;   /* NULL: none */
    ferry_sem plugging;     /* held by whoever adds or removes a drive */
    unsigned machine_users; /* tasks that are inside the machine: it is not freed */
    bool quit;              /* asks the keeper to end it in good order */
    unsigned launches;      /* counts them: a shutdown is over when another has begun */
    int quit_code;          /* how that went */
    ferry_error quit_error;
    ferry_error death;  /* why it is DEAD */
    ferry_cond changed; /* state, machine or conn */
};

typedef FERRY_CO int (*ferry_op_run)(ferry_op *op, ferry_error *e);

struct ferry_op {
    atomic_uint refs;
    ferry_ctx *ctx;
    ferry_vm *vm;
    const char *name; /* "upload"; error.where */

    _Atomic uint32_t state; /* ferry_op_state, and the futex word of waiters */
    ferry_token token;      /* its slot holds the cancel bit */
    unsigned epoch, kills;  /* vm->cancel_epoch and vm->kills at creation */
    atomic_bool timeout_set;
    _Atomic uint32_t timeout_ms;

    /* progress */
    _Atomic uint64_t bytes, total, rate;
    _Atomic uint64_t files, total_files; /* of a tree */
    _Atomic(const char *) phase;
    uint64_t started_ms;
    _Atomic uint64_t ended_ms; /* 0: not yet */

    /* valid once state is not PENDING; the loop's until then */
    ferry_error error;
    ferry_left left;
    uint64_t found, resumed; /* ferry_leftover */

    ferry_rank rank; /* of its streams; set before it is submitted */

    /* the body: belongs to run() */
    ferry_op_run run;
    void *body;
    void (*body_free)(void *body); /* when the op is freed: results live in the body */

    /* under ctx->lock */
    void (*done)(ferry_op *op, void *user);
    void *done_user;
    bool freed;
    bool queued; /* the callback is on its way, or was called */
    ferry_list done_link;

    /* loop */
    ferry_list link; /* ctx->ops */
    ferry_scope *scope;
    ferry_post start_post, done_post;
};

/* ---- ctx.c ------------------------------------------------------------------------- */

/* True in a child that the host program forked: locks may be held there by threads that are
 * gone for good, and the descriptors are the parent's. Whatever takes a lock or touches a
 * descriptor asks first. Signal-safe. */
bool ferry_ctx_is_forked(const ferry_ctx *ctx);
bool ferry_ctx_enter(ferry_ctx *ctx); /* false: closed, or forked */
void ferry_ctx_leave(ferry_ctx *ctx);
/* -FERRY_ESTATE, and which of the two. */
int ferry_ctx_refuse(const ferry_ctx *ctx, const char *where, ferry_error *e);
void ferry_ctx_kick(ferry_ctx *ctx); /* any thread, signal-safe */
ferry_ctx *ferry_ctx_ref(ferry_ctx *ctx);
void ferry_ctx_unref(ferry_ctx *ctx);
void ferry_ctx_deliver(ferry_op *op);       /* loop: the op has ended */
void ferry_ctx_maybe_close(ferry_ctx *ctx); /* loop: something it waited for is gone */

/* ---- op.c -------------------------------------------------------------------------- */

/* A new op of `vm`, not started. Takes over body, also on failure. */
int ferry_op_new(ferry_vm *vm, const char *name, ferry_op_run run, void *body,
                 void (*body_free)(void *), ferry_op **ret, ferry_error *e);
/* Starts it. On failure it is freed. */
int ferry_op_submit(ferry_op *op, ferry_op **ret, ferry_error *e);
void ferry_op_look(ferry_op *op); /* loop: has a cancel or timeout been asked for? */
void ferry_op_phase(ferry_op *op, const char *phase);
/* Loop: what is left of it. Takes over path (malloced, or NULL). */
void ferry_op_leave(ferry_op *op, ferry_leftover_kind kind, uint64_t bytes, char *path);
void ferry_op_unref(ferry_op *op);

/* ---- vm.c, keeper.c ---------------------------------------------------------------- */

ferry_vm *ferry_vm_ref(ferry_vm *vm);
void ferry_vm_unref(ferry_vm *vm);
void ferry_vm_set_state(ferry_vm *vm, ferry_vm_state state);
void ferry_vm_release(ferry_vm *vm); /* loop: what ferry_vm_free() posts */
void ferry_vm_disown(ferry_vm *vm);  /* drops the owner's reference, once */
/* 0 if calls can be made now. */
int ferry_vm_check_up(ferry_vm *vm, const char *where, ferry_error *e);
/* The connection failed with r under a call: waits for the reason of death and gives that. */
FERRY_CO int ferry_vm_failed(ferry_vm *vm, int r, const char *where, ferry_error *e);
/* Gives the VM up: it does not answer. */
void ferry_vm_condemn(ferry_vm *vm, const char *why);
/* Looks after machine and connection from launch to death; spawned in vm->scope. */
FERRY_CO int ferry_vm_keep(void *arg); /* the VM */

#endif
