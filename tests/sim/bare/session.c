/* See session.h. */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN 300000 /* more than a frame, and than a pipe holds */

static char qemu[4096], appliance[4096], source[4096], target[4096], fifo[4096];
static char content[LEN];

static struct {
    bool (*may)(int code);
    ferry_error first;
} now;

void session_files(const char *dir)
{
    const char *bare = getenv("FERRY_BARE");
    if (!bare)
        abort();
    snprintf(appliance, sizeof appliance, "%s", bare);
    snprintf(qemu, sizeof qemu, "%s/ferryd-bare", bare);
    snprintf(source, sizeof source, "%s/source", dir);
    snprintf(target, sizeof target, "%s/target", dir);
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    memset(content, 'c', sizeof content);
    FILE *f = fopen(source, "we");
    if (!f || fwrite(content, sizeof content, 1, f) != 1 || fclose(f) != 0 ||
        mkfifo(fifo, 0600) < 0)
        abort();
}

/* True if it went well. */
static bool step(const char *name, int r, const ferry_error *e)
{
    if (r == 0)
        return true;
    /* What could not be made before is not there now. */
    bool missing = r == -FERRY_ENOENT && now.first.code;
    if (!(now.may(r) || missing) || e->code != r || !e->msg[0]) {
        fprintf(stderr, "%s: %d; the error says %d: \"%s\"\n", name, r, e->code, e->msg);
        abort();
    }
    if (now.first.code == 0)
        now.first = *e;
    return false;
}

/* An op that waits for ever, and is cancelled. */
static void cancels(ferry_vm *vm)
{
    ferry_error e = {0};
    ferry_op *op = NULL;
    if (!step("upload_start", ferry_upload_start(vm, fifo, "/d/never", NULL, &op, &e),
              &e))
        return;
    ferry_op_poll(op, &(ferry_progress){0});
    ferry_op_cancel(op);
    while (ferry_op_wait(op, -1) == -FERRY_EINTR)
        ;
    int r = ferry_op_error(op, &e);
    if (r != -FERRY_ECANCELED)
        step("cancelled upload", r ? r : -1, &e);
    ferry_op_free(op);
}

static void moves_files(ferry_vm *vm)
{
    ferry_error e = {0};
    char **names = NULL;
    void *back = NULL;
    size_t len = 0;
    step("mkdir", ferry_mkdir(vm, "/d", NULL, &e), &e);
    step("upload", ferry_upload(vm, source, "/d/f", NULL, &e), &e);
    step("upload_mem", ferry_upload_mem(vm, content, LEN, "/d/m", NULL, &e), &e);
    step("download", ferry_download(vm, "/d/f", target, NULL, &e), &e);
    if (step("download_mem", ferry_download_mem(vm, "/d/m", NULL, &back, &len, &e), &e) &&
        (len != LEN || memcmp(back, content, LEN) != 0))
        abort();
    free(back);
    if (step("ls", ferry_ls(vm, "/d", &names, &e), &e))
        ferry_strings_free(names);
    cancels(vm);
}

static void with_vm(ferry_ctx *ctx)
{
    ferry_error e = {0};
    ferry_vm *vm = NULL;
    ferry_vm_opts o = {.size = sizeof o,
                       .accel = FERRY_ACCEL_TCG,
                       .qemu = qemu,
                       .appliance = appliance};
    if (!step("vm_new", ferry_vm_new(ctx, &o, &vm, &e), &e))
        return;
    if (step("launch", ferry_launch(vm, &e), &e)) {
        moves_files(vm);
        step("shutdown", ferry_shutdown(vm, &e), &e);
    }
    ferry_vm_free(vm);
}

int session(bool (*may)(int code), ferry_error *e)
{
    ferry_ctx *ctx = NULL;
    ferry_error mine = {0};
    memset(&now, 0, sizeof now);
    now.may = may;
    if (step("ctx_new", ferry_ctx_new(&ctx, &mine), &mine)) {
        with_vm(ctx);
        ferry_ctx_close(ctx, NULL, NULL);
    }
    *e = now.first;
    return now.first.code;
}
