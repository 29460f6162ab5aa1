/* gferry cat: files in an image to standard output, one after the other. */
#include "auto.h"
#include "command.h"
#include "guest.h"
#include "out.h"
#include "targets.h"

#include <guestferry/transfer.h>

#include <string.h>

static const char help[] = "Writes files in an image to standard output.\n"
                           "\n"
                           "Examples:\n"
                           "  gferry cat disk.qcow2:/etc/fstab\n"
                           "  gferry cat disk.qcow2:/var/log/dmesg | head\n";

static void sample_bytes(void *user, struct progress_sample *ret)
{
    ferry_progress p = {.phase = ""};
    ferry_op_poll(user, &p);
    ret->bytes = p.bytes;
    ret->total = p.total;
    ret->phase = p.phase;
}

static int cat_each(struct session *s, const char *path, void *user)
{
    (void)user;
    ferry_error e = {0};
    FERRY_AUTO(op) ferry_op *op = NULL;
    ferry_download_opts opts = {.size = sizeof opts};
    out_begin();
    int r = ferry_download_fd_start(s->vm, path, STDOUT_FILENO, &opts, &op, &e);
    if (r == 0) {
        const char *base = strrchr(path, '/');
        progress_begin(&s->progress, base ? base + 1 : path, sample_bytes, op);
        r = session_await(s, op, &e);
        progress_end(&s->progress, r == 0 ? "done" : "failed");
    }
    return r < 0 ? session_failed_transfer(s, "-", path, &e) : STATUS_OK;
}

static int run(const struct options *o, char **operands, int n)
{
    struct options mine = *o;
    /* On a terminal the bar and the text would draw over each other. */
    if (isatty(STDOUT_FILENO) && mine.progress == PROGRESS_AUTO)
        mine.progress = PROGRESS_NONE;
    struct targets t;
    int status = targets_parse(o, operands, n, true, &t);
    if (status == STATUS_OK)
        status = targets_run(&mine, &t, SESSION_READ, cat_each, NULL);
    targets_done(&t);
    return status;
}

const struct command cat_command = {
    .name = "cat",
    .synopsis = "IMAGE:PATH...",
    .summary = "write files in an image to standard output",
    .help = help,
    .min_operands = 1,
    .max_operands = -1,
    .missing = "IMAGE:PATH",
    .run = run,
};
