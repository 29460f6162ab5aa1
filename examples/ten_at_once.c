/* Ten transfers in flight on one appliance, each with its own progress and its own end. One
 * thread: ops are started, polled and awaited, and the appliance does them side by side.
 *
 *     ten_at_once disk.qcow2 /root FILE...       the first ten of them
 *
 * Exit code: how many failed (0: none), or 100 if there was nothing to try. */
#include <guestferry.h>

#include <stdio.h>
#include <string.h>

#define MAX 10

struct transfer {
    const char *file;
    char path[4096];
    ferry_op *op; /* NULL: it could not be started */
};

static void start(ferry_vm *vm, struct transfer *t, const char *file, const char *dir)
{
    const char *slash = strrchr(file, '/');
    ferry_error e = {0};
    t->file = file;
    snprintf(t->path, sizeof t->path, "%s/%s", dir, slash ? slash + 1 : file);
    if (ferry_upload_start(vm, t->file, t->path, NULL, &t->op, &e) < 0)
        fprintf(stderr, "%s: %s\n", t->file, e.msg);
}

/* Looks at all of them. Returns how many are still under way. */
static int show(const struct transfer *t, int n)
{
    int pending = 0;
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++) {
        ferry_progress p = {0};
        if (t[i].op && ferry_op_poll(t[i].op, &p) == FERRY_OP_PENDING)
            pending++;
        bytes += p.bytes;
    }
    fprintf(stderr, "%d of %d under way, %llu bytes\n", pending, n,
            (unsigned long long)bytes);
    return pending;
}

/* Waits for them one by one: the order does not matter, they all run meanwhile. Returns how
 * many failed. */
static int finish(struct transfer *t, int n)
{
    int failed = 0;
    for (int i = 0; i < n; i++) {
        ferry_error e = {0};
        if (!t[i].op) {
            failed++;
            continue;
        }
        while (ferry_op_wait(t[i].op, 500) == -FERRY_EAGAIN)
            show(t, n);
        if (ferry_op_error(t[i].op, &e) < 0) {
            fprintf(stderr, "%s: %s\n", t[i].file, e.msg);
            failed++;
        }
        ferry_op_free(t[i].op);
    }
    return failed;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s IMAGE DIR-IN-IMAGE FILE...\n", argv[0]);
        return 100;
    }
    ferry_ctx *ctx = NULL;
    ferry_vm *vm = NULL;
    ferry_error e = {0};
    struct transfer t[MAX] = {0};
    int n = argc - 3 < MAX ? argc - 3 : MAX, failed = 100;

    if (ferry_ctx_new(&ctx, &e) < 0 || ferry_vm_new(ctx, NULL, &vm, &e) < 0 ||
        ferry_add_drive(vm, argv[1], NULL, &e) < 0 || ferry_launch(vm, &e) < 0 ||
        ferry_mount(vm, "/dev/sda1", "/", &e) < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], e.msg);
    } else {
        for (int i = 0; i < n; i++)
            start(vm, &t[i], argv[3 + i], argv[2]);
        failed = finish(t, n);
        /* Flushes; only then are those that succeeded safe. */
        if (ferry_shutdown(vm, &e) < 0) {
            fprintf(stderr, "%s: %s\n", argv[0], e.msg);
            failed = n;
        }
    }
    ferry_vm_free(vm);
    ferry_ctx_free(ctx);
    return failed;
}
