/* One qemu and who watches it; see qemu.h. */
#include "launch/qemu.h"

#include "async/pipe.h"
#include "async/sync.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "launch/argv.h"
#include "launch/console.h"
#include "launch/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What a dead process wrote is there to be read; more does not come. */
#define LAST_WORDS_MS 500

struct ferry_qemu {
    ferry_loop *loop;
    ferry_scope scope; /* root: the tasks below, each failing for itself */
    ferry_cond changed;
    ferry_watcher *watcher;
    bool watched; /* it has been started */

    int host[FERRY_SOCKETS];  /* our ends; -1 once a link has it */
    int child[FERRY_SOCKETS]; /* theirs; -1 after the spawn */
    int kill_fd;              /* the control socket again: shutdown(2) on it kills */

    ferry_link *control, *console_link, *words_link;
    ferry_qmp *qmp;
    ferry_console console, words;

    bool started;
    pid_t pid; /* 0: not known, or not yet */
    int exec_errno;
    int status; /* -1 until the watcher has told it */
    bool ended;

    unsigned io_drive; /* whose host disk failed last */
    char io_error[96];
    int migration; /* 0: goes on, 1: completed, -FERRY_EIO: failed */
    bool unplugged[FERRY_DRIVES_MAX + 1]; /* DEVICE_DELETED has come since it was expected */
};

/* ---- descriptors ----------------------------------------------------------------- */

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static int make_sockets(ferry_qemu *q)
{
    for (int i = 0; i < FERRY_SOCKETS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return -errno;
        q->host[i] = pair[0];
        q->child[i] = pair[1];
    }
    q->kill_fd = fcntl(q->host[FERRY_SOCKET_CONTROL], F_DUPFD_CLOEXEC, 0);
    return q->kill_fd < 0 ? -errno : 0;
}

/* ---- tasks ----------------------------------------------------------------------- */

static void on_disk_error(ferry_qemu *q, const ferry_guard_report *r)
{
    bool full = r->what == FERRY_WATCHER_DISK_FULL;
    q->io_drive = (unsigned)r->value;
    snprintf(q->io_error, sizeof q->io_error, "%s",
             full ? "write: No space left on device" : "i/o error");
}

static void on_report(ferry_qemu *q, const ferry_guard_report *r)
{
    FERRY_TRACE(launch, "watcher: %d %d", r->what, r->value);
    if (r->what == FERRY_GUARD_STARTED) {
        q->started = true;
        q->pid = r->value;
    } else if (r->what == FERRY_GUARD_FAILED)
        q->exec_errno = r->value;
    else if (r->what == FERRY_GUARD_ENDED)
        q->status = r->value;
    else if (r->what == FERRY_WATCHER_DISK_ERROR || r->what == FERRY_WATCHER_DISK_FULL)
        on_disk_error(q, r);
    ferry_cond_wake(&q->changed);
}

static FERRY_CO int read_reports(ferry_qemu *q)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_new(64 * sizeof(ferry_guard_report), &b);
    if (r < 0)
        return r;
    for (;;) {
        ssize_t n = ferry_link_read(q->control, b);
        if (n <= 0)
            return (int)n;
        size_t off = 0;
        for (; b->len - off >= sizeof(ferry_guard_report);
             off += sizeof(ferry_guard_report)) {
            ferry_guard_report report;
            memcpy(&report, b->data + off, sizeof report);
            on_report(q, &report);
        }
        b->len -= off;
        memmove(b->data, b->data + off, b->len);
    }
}

/* The watcher's end is that of the control socket, also when there is a copy of the watcher's side
 * that nobody will ever close: a child that the host program forked while we made it has
 * one. What was reported before is still read. */
static FERRY_CO int watcher_task(void *arg)
{
    ferry_qemu *q = arg;
    if (!q->watcher->ops->gone)
        return 0;
    q->watcher->ops->gone(q->watcher);
    int r = ferry_cancelled();
    if (r == 0)
        shutdown(q->kill_fd, SHUT_RDWR);
    return r;
}

/* The end is told only when the last words are in: the error text needs them. */
static FERRY_CO int control_task(void *arg)
{
    ferry_qemu *q = arg;
    int r = read_reports(q);
    if (ferry_cancelled())
        return r;

    ferry_scope s;
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, LAST_WORDS_MS);
    while (!(q->console.ended && q->words.ended))
        if (ferry_cond_wait(&q->changed) < 0)
            break;
    ferry_scope_join(&s);

    q->ended = true;
    ferry_cond_wake(&q->changed);
    return 0;
}

static FERRY_CO int console_task(void *arg)
{
    ferry_qemu *q = arg;
    int r = ferry_console_run(&q->console, q->console_link);
    ferry_cond_wake(&q->changed);
    return r;
}

static FERRY_CO int words_task(void *arg)
{
    ferry_qemu *q = arg;
    int r = ferry_console_run(&q->words, q->words_link);
    ferry_cond_wake(&q->changed);
    return r;
}

static FERRY_CO int qmp_task(void *arg)
{
    ferry_qemu *q = arg;
    return ferry_qmp_run(q->qmp);
}

static void on_device_deleted(ferry_qemu *q, const json_t *data)
{
    const char *id = json_string_value(json_object_get(data, "device"));
    unsigned n;
    if (!id || sscanf(id, "disk%u", &n) != 1 || n > FERRY_DRIVES_MAX)
        return;
    q->unplugged[n] = true;
    ferry_cond_wake(&q->changed);
}

static void on_io_error(ferry_qemu *q, const json_t *data)
{
    const char *node = json_string_value(json_object_get(data, "node-name"));
    const char *op = json_string_value(json_object_get(data, "operation"));
    const char *reason = json_string_value(json_object_get(data, "reason"));
    if (!node || strncmp(node, "drive", 5) != 0)
        return;
    q->io_drive = (unsigned)strtoul(node + 5, NULL, 10);
    snprintf(q->io_error, sizeof q->io_error, "%s: %s", op ? op : "i/o",
             reason ? reason : "error");
}

static void on_migration(ferry_qemu *q, const json_t *data)
{
    const char *status = json_string_value(json_object_get(data, "status"));
    if (status && strcmp(status, "completed") == 0)
        q->migration = 1;
    else if (status && strcmp(status, "failed") == 0)
        q->migration = -FERRY_EIO;
    ferry_cond_wake(&q->changed);
}

static void on_event(void *arg, const char *name, const json_t *data)
{
    ferry_qemu *q = arg;
    if (strcmp(name, "BLOCK_IO_ERROR") == 0)
        on_io_error(q, data);
    else if (strcmp(name, "DEVICE_DELETED") == 0)
        on_device_deleted(q, data);
    else if (strcmp(name, "MIGRATION") == 0)
        on_migration(q, data);
}

/* ---- spawn ----------------------------------------------------------------------- */

static ferry_qemu *new_qemu(ferry_loop *loop, ferry_watcher *watcher)
{
    ferry_qemu *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->loop = loop;
    q->watcher = watcher;
    ferry_scope_open_root(&q->scope, loop, NULL, FERRY_SCOPE_SUPERVISE);
    ferry_cond_init(&q->changed);
    for (int i = 0; i < FERRY_SOCKETS; i++)
        q->host[i] = q->child[i] = -1;
    q->kill_fd = -1;
    q->status = -1;
    ferry_console_init(&q->console, false);
    ferry_console_init(&q->words, true);
    return q;
}

static int open_link(ferry_qemu *q, int which, unsigned flags, ferry_link **ret)
{
    return ferry_pipe_open(q->loop, ferry_take_fd(&q->host[which]), flags, 0, ret);
}

static int start_tasks(ferry_qemu *q)
{
    ferry_link *qmp = NULL;
    int r = open_link(q, FERRY_SOCKET_CONTROL, FERRY_PIPE_READ, &q->control);
    if (r == 0)
        r = open_link(q, FERRY_SOCKET_CONSOLE, FERRY_PIPE_READ, &q->console_link);
    if (r == 0)
        r = open_link(q, FERRY_SOCKET_WORDS, FERRY_PIPE_READ, &q->words_link);
    if (r == 0)
        r = open_link(q, FERRY_SOCKET_QMP, FERRY_PIPE_READ | FERRY_PIPE_WRITE, &qmp);
    if (r == 0)
        r = ferry_qmp_new(qmp, on_event, q, &q->qmp);

    if (r == 0)
        r = ferry_spawn(&q->scope, "console", console_task, q);
    if (r == 0)
        r = ferry_spawn(&q->scope, "words", words_task, q);
    if (r == 0)
        r = ferry_spawn(&q->scope, "qmp", qmp_task, q);
    if (r == 0)
        r = ferry_spawn(&q->scope, "watcher", watcher_task, q);
    if (r == 0)
        r = ferry_spawn(&q->scope, "control", control_task, q);
    return r;
}

static FERRY_CO int start_watcher(ferry_qemu *q, ferry_error *e)
{
    int r = q->watcher->ops->start(q->watcher, q->loop, q->child, e);
    close_all(q->child, FERRY_SOCKETS); /* also what tells us of an end: nobody else of
                                         * ours has them */
    q->watched = r == 0;
    if (r == 0 && send(q->host[FERRY_SOCKET_CONTROL], "g", 1, MSG_NOSIGNAL) < 0)
        r = errno == EPIPE ? 0 : -errno; /* one that is gone is told as its end */
    return r;
}

FERRY_CO int ferry_qemu_spawn(ferry_loop *loop, ferry_watcher *watcher,
                              ferry_qemu **ret, ferry_error *e)
{
    ferry_error own = {0};
    ferry_qemu *q = new_qemu(loop, watcher);
    if (!q) {
        watcher->ops->free(watcher);
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    }
    int r = make_sockets(q);
    if (r == 0)
        r = start_watcher(q, &own);
    if (r == 0)
        r = start_tasks(q);
    if (r == 0) {
        *ret = q;
        return 0;
    }
    if (!own.code)
        ferry_fail(&own, r, "launch", "starting qemu: %s", ferry_strerror(r));
    if (e)
        *e = own;
    ferry_qemu_free(q);
    return r;
}

/* ---- life and end ---------------------------------------------------------------- */

FERRY_CO int ferry_qemu_started(ferry_qemu *q)
{
    while (!q->started) {
        if (q->ended)
            return -FERRY_EDEAD;
        int r = ferry_cond_wait(&q->changed);
        if (r < 0 && !q->started)
            return r;
    }
    return 0;
}

FERRY_CO int ferry_qemu_wait(ferry_qemu *q)
{
    while (!q->ended) {
        int r = ferry_cond_wait(&q->changed);
        if (r < 0 && !q->ended)
            return r;
    }
    return 0;
}

void ferry_qemu_expect_unplug(ferry_qemu *q, unsigned target)
{
    q->unplugged[target] = false;
}

FERRY_CO int ferry_qemu_unplugged(ferry_qemu *q, unsigned target)
{
    while (!q->unplugged[target]) {
        int r = q->ended ? -FERRY_EDEAD : ferry_cond_wait(&q->changed);
        if (r < 0 && !q->unplugged[target])
            return r;
    }
    return 0;
}

FERRY_CO int ferry_qemu_migrated(ferry_qemu *q)
{
    while (!q->migration) {
        int r = q->ended ? -FERRY_EDEAD : ferry_cond_wait(&q->changed);
        if (r < 0 && !q->migration)
            return r;
    }
    return q->migration < 0 ? q->migration : 0;
}

bool ferry_qemu_ended(const ferry_qemu *q)
{
    return q->ended;
}

void ferry_qemu_kill(const ferry_qemu *q)
{
    int saved = errno;
    shutdown(q->kill_fd, SHUT_WR); /* the watcher still reports */
    errno = saved;
}

static FERRY_CO void await_gone(ferry_qemu *q)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, q->watcher->gone_ms);
    if (q->watcher->ops->gone)
        q->watcher->ops->gone(q->watcher);
    else
        ferry_qemu_wait(q);
    ferry_scope_join(&s);
}

FERRY_CO int ferry_qemu_quit(ferry_qemu *q, ferry_error *e)
{
    if (q->watcher->has_qmp)
        return ferry_qmp_execute(q->qmp, "quit", NULL, NULL, e);
    if (send(q->kill_fd, &(char){FERRY_WATCHER_QUIT}, 1, MSG_NOSIGNAL | MSG_DONTWAIT) <
            0 &&
        errno != EPIPE) /* its end is on its way */
        return ferry_fail(e, -errno, "shutdown", "asking for the end of qemu: %s",
                          ferry_strerror(errno));
    return 0;
}

FERRY_CO void ferry_qemu_free(ferry_qemu *q)
{
    if (!q)
        return;
    if (q->watched) {
        ferry_qemu_kill(q);
        await_gone(q);
    }

    ferry_scope_cancel(&q->scope, -FERRY_ECANCELED);
    ferry_scope_join(&q->scope);
    ferry_link_close(q->control);
    ferry_link_close(q->console_link);
    ferry_link_close(q->words_link);
    ferry_qmp_free(q->qmp);
    q->watcher->ops->free(q->watcher);
    close_all(q->host, FERRY_SOCKETS);
    close_all(q->child, FERRY_SOCKETS);
    close_all(&q->kill_fd, 1);
    free(q);
}

/* ---- what there is to ask -------------------------------------------------------- */

int ferry_qemu_channel(const ferry_qemu *q)
{
    return q->host[FERRY_SOCKET_CHANNEL];
}

int ferry_qemu_take_channel(ferry_qemu *q)
{
    return ferry_take_fd(&q->host[FERRY_SOCKET_CHANNEL]);
}

ferry_qmp *ferry_qemu_qmp(const ferry_qemu *q)
{
    return q->watcher->has_qmp ? q->qmp : NULL;
}

pid_t ferry_qemu_pid(const ferry_qemu *q)
{
    return q->pid;
}

size_t ferry_qemu_console(const ferry_qemu *q, char *buf, size_t size)
{
    return ferry_console_tail(&q->console, buf, size);
}

const char *ferry_qemu_io_error(const ferry_qemu *q, unsigned *ret_drive)
{
    *ret_drive = q->io_drive;
    return q->io_error;
}

void ferry_qemu_evidence(const ferry_qemu *q, char *words, size_t size,
                         ferry_evidence *ret)
{
    ferry_console_tail(&q->words, words, size);
    ret->words = words;
    ret->panic = q->console.panic;
    ret->oom = q->console.oom;
    ret->last = ferry_console_last(&q->console);
    ret->exec_errno = q->exec_errno;
    ret->status = q->status;
}
