/* An upload inside a program that has a libuv loop already: nothing blocks, nothing of ours
 * runs on another thread, and a timer cancels what takes too long.
 *
 *     upload_on_loop disk.qcow2 big.iso /root/big.iso 2000     cancel after 2000 ms
 *
 * Exit code: 0 uploaded and flushed; 3 cancelled (the image is as it was); 1 failed.
 *
 *     launch --> mount --> upload --> shutdown       a chain of ops: the callback of each
 *        '---------'---------'--------> shutdown     starts the next one
 */
#include <guestferry.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

/* What the program is doing, at any moment. A real one would have one of these per job. */
struct job {
    ferry_ctx *ctx;
    ferry_vm *vm;
    ferry_op *op; /* the one in flight; NULL when there is none */
    uv_timer_t cancel_timer, progress_timer;
    const char *file, *path;
    int status;
};

static void start_mount(struct job *job);
static void start_upload(struct job *job);
static void start_shutdown(struct job *job);

static void failed(struct job *job, const ferry_error *e)
{
    job->status = e->code == -FERRY_ECANCELED ? 3 : 1;
    fprintf(stderr, "%s: %s\n", e->where, e->msg);
}

/* ---- the end ----------------------------------------------------------------------- */

/* The context is gone: uv_run() has nothing left to do and returns. */
static void on_closed(void *user)
{
    struct job *job = user;
    job->ctx = NULL;
}

static void finish(struct job *job)
{
    /* Our own handles first; then the VM (a qemu that still runs is killed), then the
     * context, which takes a few turns of the loop. */
    uv_close((uv_handle_t *)&job->cancel_timer, NULL);
    uv_close((uv_handle_t *)&job->progress_timer, NULL);
    ferry_vm_free(job->vm);
    ferry_ctx_close(job->ctx, on_closed, job);
}

/* ---- the chain --------------------------------------------------------------------- */

/* Takes the op that has ended out of the job. Returns its code, said if it is an error. */
static int take_result(struct job *job, ferry_op *op)
{
    ferry_error e = {0};
    int r = ferry_op_error(op, &e);
    if (r < 0)
        failed(job, &e);
    job->op = NULL;
    ferry_op_free(op);
    return r;
}

static void on_launched(ferry_op *op, void *user)
{
    struct job *job = user;
    if (take_result(job, op) < 0)
        finish(job); /* there is nothing to shut down */
    else
        start_mount(job);
}

static void on_mounted(ferry_op *op, void *user)
{
    struct job *job = user;
    if (take_result(job, op) < 0)
        start_shutdown(job);
    else
        start_upload(job);
}

static void on_uploaded(ferry_op *op, void *user)
{
    struct job *job = user;
    if (take_result(job, op) == 0) {
        /* Done or not, from here on there is nothing left to cancel. */
        uv_timer_stop(&job->cancel_timer);
        job->status = 0;
    }
    start_shutdown(job);
}

static void on_shut_down(ferry_op *op, void *user)
{
    struct job *job = user;
    take_result(job, op);
    finish(job);
}

/* A _start that is refused has no op, so no callback comes: go on by hand. */
static void start_launch(struct job *job)
{
    ferry_error e = {0};
    if (ferry_launch_start(job->vm, &job->op, &e) < 0) {
        failed(job, &e);
        finish(job);
        return;
    }
    ferry_op_on_done(job->op, on_launched, job);
}

static void start_mount(struct job *job)
{
    ferry_error e = {0};
    if (ferry_mount_start(job->vm, "/dev/sda1", "/", &job->op, &e) < 0) {
        failed(job, &e);
        start_shutdown(job);
        return;
    }
    ferry_op_on_done(job->op, on_mounted, job);
}

static void start_upload(struct job *job)
{
    ferry_error e = {0};
    if (ferry_upload_start(job->vm, job->file, job->path, NULL, &job->op, &e) < 0) {
        failed(job, &e);
        start_shutdown(job);
        return;
    }
    ferry_op_on_done(job->op, on_uploaded, job);
}

static void start_shutdown(struct job *job)
{
    ferry_error e = {0};
    uv_timer_stop(&job->cancel_timer);
    if (ferry_shutdown_start(job->vm, &job->op, &e) < 0) {
        failed(job, &e);
        finish(job);
        return;
    }
    ferry_op_on_done(job->op, on_shut_down, job);
}

/* ---- timers ------------------------------------------------------------------------ */

/* Whatever is in flight, launch included, ends as cancelled; its callback says so. */
static void on_cancel_timer(uv_timer_t *timer)
{
    struct job *job = timer->data;
    ferry_vm_cancel_all(job->vm);
}

static void on_progress_timer(uv_timer_t *timer)
{
    struct job *job = timer->data;
    ferry_progress p;
    if (job->op && ferry_op_poll(job->op, &p) == FERRY_OP_PENDING)
        fprintf(stderr, "%s: %llu of %llu bytes\n", p.phase,
                (unsigned long long)p.bytes, (unsigned long long)p.total);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: %s IMAGE FILE PATH-IN-IMAGE [CANCEL-AFTER-MS]\n",
                argv[0]);
        return 2;
    }
    struct job job = {.file = argv[2], .path = argv[3], .status = 1};
    ferry_error e = {0};
    uv_loop_t loop;
    uv_loop_init(&loop);

    if (ferry_ctx_new_on_loop(&loop, &job.ctx, &e) < 0 ||
        ferry_vm_new(job.ctx, NULL, &job.vm, &e) < 0 ||
        ferry_add_drive(job.vm, argv[1], NULL, &e) < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], e.msg);
        ferry_ctx_free(job.ctx);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
        return 1;
    }

    uv_timer_init(&loop, &job.cancel_timer);
    uv_timer_init(&loop, &job.progress_timer);
    job.cancel_timer.data = job.progress_timer.data = &job;
    if (argc == 5)
        uv_timer_start(&job.cancel_timer, on_cancel_timer, strtoul(argv[4], NULL, 10),
                       0);
    uv_timer_start(&job.progress_timer, on_progress_timer, 200, 200);

    start_launch(&job);
    uv_run(&loop, UV_RUN_DEFAULT);

    /* Nothing of ours may be left on the loop; libuv would say EBUSY. */
    if (uv_loop_close(&loop) != 0)
        fprintf(stderr, "%s: the loop is not empty\n", argv[0]);
    return job.status;
}
