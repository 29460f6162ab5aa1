/* The direct backend: qemu under gferry-guard, a process of ours (guard.c); see watcher.h.
 * Owns the guard's process and the files of scratch disks, until qemu has them. */
#include "launch/direct.h"

#include "async/process.h"
#include "base/auto.h"
#include "base/error.h"
#include "launch/argv.h"
#include "launch/guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A killed process is gone in milliseconds, unless the kernel is busy with its disk (a
 * hung NFS server): that one is left to the guard, for whom nobody waits. */
#define GUARD_GONE_MS 5000

struct direct {
    ferry_watcher watcher;
    char *guard;
    char **argv;
    int scratch[FERRY_SCRATCHES_MAX];
    unsigned nscratch;
    int lane;       /* -1: none */
    int ram, state; /* the caller's, in place of scratch disks; -1: none */
    ferry_process *process;
};

static void close_scratches(struct direct *d)
{
    while (d->nscratch > 0)
        close(d->scratch[--d->nscratch]);
}

/* ---- start and end --------------------------------------------------------------- */

/* gferry-guard HOST_PID NFDS argv... */
static FERRY_CO int start(ferry_watcher *w, ferry_loop *loop, const int *sockets,
                          ferry_error *e)
{
    struct direct *d = ferry_container(w, struct direct, watcher);
    int fds[FERRY_FD_SCRATCH + FERRY_SCRATCHES_MAX + 1] = {
        -1,
        sockets[FERRY_SOCKET_WORDS],
        sockets[FERRY_SOCKET_WORDS],
        [FERRY_GUARD_CONTROL] = sockets[FERRY_SOCKET_CONTROL],
        [FERRY_FD_CHANNEL] = sockets[FERRY_SOCKET_CHANNEL],
        [FERRY_FD_QMP] = sockets[FERRY_SOCKET_QMP],
        [FERRY_FD_CONSOLE] = sockets[FERRY_SOCKET_CONSOLE],
    };
    for (unsigned i = 0; i < d->nscratch; i++)
        fds[FERRY_FD_SCRATCH + i] = d->scratch[i];
    unsigned nfds = FERRY_FD_SCRATCH + d->nscratch;
    if (d->ram >= 0) {
        fds[nfds++] = d->ram;
        fds[nfds++] = d->state;
    }
    if (d->lane >= 0)
        fds[nfds++] = d->lane;

    char pid[16], count[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(count, sizeof count, "%u", nfds);
    size_t argc = 0;
    while (d->argv[argc])
        argc++;
    FERRY_AUTO(mem) const char **args = calloc(argc + 4, sizeof *args);
    if (!args)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    args[0] = d->guard;
    args[1] = pid;
    args[2] = count;
    memcpy(args + 3, d->argv, argc * sizeof *args);

    ferry_process_opts o = {.path = d->guard,
                            .argv = args,
                            .fds = fds,
                            .nfds = nfds,
                            .new_session = true};
    int r = ferry_process_spawn(loop, &o, &d->process);
    close_scratches(d);
    return r < 0 ? ferry_fail(e, r, "launch", "starting %s: %s", d->guard,
                              ferry_strerror(r))
                 : 0;
}

static FERRY_CO void gone(ferry_watcher *w)
{
    struct direct *d = ferry_container(w, struct direct, watcher);
    int status;
    ferry_process_wait(d->process, &status);
}

static void release(ferry_watcher *w)
{
    struct direct *d = ferry_container(w, struct direct, watcher);
    ferry_process_free(d->process);
    close_scratches(d);
    ferry_auto_strv(&d->argv);
    free(d->guard);
    free(d);
}

static const ferry_watcher_ops ops = {.start = start, .gone = gone, .free = release};

/* ---- new ------------------------------------------------------------------------- */

static char **copy_strv(char *const *v)
{
    size_t n = 0;
    while (v[n])
        n++;
    FERRY_AUTO(strv) char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(v[i])))
            return NULL;
    return ferry_take(&copy);
}

int ferry_direct_new(const char *guard, char *const *argv, int lane,
                     const ferry_drive *drives, unsigned ndrives, ferry_watcher **ret,
                     ferry_error *e)
{
    struct direct *d = calloc(1, sizeof *d);
    if (!d)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    d->watcher = (ferry_watcher){.ops = &ops, .has_qmp = true, .gone_ms = GUARD_GONE_MS};
    d->ram = d->state = -1;
    d->guard = strdup(guard);
    d->argv = copy_strv(argv);
    d->lane = lane;

    int r = 0;
    if (!d->guard || !d->argv)
        r = ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    for (unsigned i = 0; i < ndrives && r == 0; i++) {
        if (drives[i].path)
            continue;
        if (d->nscratch == FERRY_SCRATCHES_MAX)
            r = ferry_fail(e, -FERRY_EINVAL, "launch",
                           "more than %d scratch disks are not possible",
                           FERRY_SCRATCHES_MAX);
        else
            r = ferry_drive_open_scratch(&drives[i], &d->scratch[d->nscratch], e);
        d->nscratch += r == 0;
    }
    if (r < 0)
        release(&d->watcher);
    else
        *ret = &d->watcher;
    return r;
}

/* ---- the backend ----------------------------------------------------------------- */

static int watcher(const ferry_argv_in *in, const ferry_prepared *found,
                   ferry_watcher **ret, ferry_error *e)
{
    FERRY_AUTO(strv) char **argv = NULL;
    int r = ferry_argv_build(in, &argv);
    if (r < 0)
        return ferry_fail(e, r, "launch", "out of memory");
    int lane = in->lane_bytes ? in->lane_fd : -1;
    r = ferry_direct_new(found->guard, argv, lane, in->drives, in->ndrives, ret, e);
    if (r == 0 && in->ram != FERRY_RAM_OWN) {
        struct direct *d = ferry_container(*ret, struct direct, watcher);
        d->ram = in->ram_fd;
        d->state = in->state_fd >= 0 ? in->state_fd : in->ram_fd; /* no hole */
    }
    return r;
}

const ferry_backend ferry_backend_direct = {
    .name = "direct",
    .has_lane = true,
    .templates = true,
    .watcher = watcher,
    .blame = ferry_blame,
    .suspect = ferry_suspect,
};
