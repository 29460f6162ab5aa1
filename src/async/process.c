/* Child processes: see process.h. A uv_poll on the pidfd reaps the child the moment it ends,
 * whether somebody waits for it or not. */
#include "async/process.h"

#include "async/internal.h"
#include "base/auto.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Descriptors a child may be given. */
#define MAX_FDS 64

extern char **environ;

struct ferry_process {
    uv_poll_t uv;
    ferry_loop *loop;
    pid_t pid;
    int pidfd;
    bool group;
    bool ended;
    bool freed; /* the owner has gone; free at the end */
    int status;
    ferry_cond end;
};

/* ---- the end of a child ------------------------------------------------------------ */

static void on_closed(uv_handle_t *h)
{
    ferry_process *p = h->data;
    ferry_loop *loop = p->loop;
    close(p->pidfd);
    free(p);
    ferry_loop_unref(loop);
}

static int wait_status(const siginfo_t *si)
{
    return si->si_code == CLD_EXITED ? W_EXITCODE(si->si_status, 0)
                                     : W_EXITCODE(0, si->si_status);
}

static void on_end(uv_poll_t *h, int status, int events)
{
    ferry_process *p = h->data;
    (void)status;
    (void)events;
    siginfo_t si = {0};
    int r = waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG);
    if (r == 0 && si.si_pid == 0)
        return; /* not yet */
    p->status = r == 0 ? wait_status(&si) : -1;
    p->ended = true;
    uv_poll_stop(h);
    FERRY_TRACE(async, "process %d ended, status %d", (int)p->pid, p->status);
    ferry_cond_wake(&p->end);
    if (p->freed)
        uv_close((uv_handle_t *)&p->uv, on_closed);
}

/* ---- spawning ---------------------------------------------------------------------- */

static int set_attributes(posix_spawnattr_t *at, const ferry_process_opts *o)
{
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    sigemptyset(&none);
    sigfillset(&all);
    if (o->new_session)
        flags |= POSIX_SPAWN_SETSID;
    else if (o->new_group)
        flags |= POSIX_SPAWN_SETPGROUP;
    int r = posix_spawnattr_setsigmask(at, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(at, &all);
    if (r == 0)
        r = posix_spawnattr_setpgroup(at, 0);
    return r ? r : posix_spawnattr_setflags(at, flags);
}

/* Moves every wanted descriptor above those the child will have, so that putting one in its
 * place never overwrites another that is still to be placed. */
static int lift(const ferry_process_opts *o, int high[])
{
    for (size_t i = 0; i < o->nfds; i++) {
        if (o->fds[i] < 0 && i <= STDERR_FILENO)
            high[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        else if (o->fds[i] < 0)
            continue;
        else
            high[i] = fcntl(o->fds[i], F_DUPFD_CLOEXEC, MAX_FDS);
        if (high[i] < 0)
            return -errno;
        if (high[i] < MAX_FDS) {
            int moved = fcntl(high[i], F_DUPFD_CLOEXEC, MAX_FDS);
            int saved = errno;
            close(high[i]);
            high[i] = moved;
            if (moved < 0)
                return -saved;
        }
    }
    return 0;
}

static int place(posix_spawn_file_actions_t *fa, const int high[], size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        if (high[i] >= 0)
            r = posix_spawn_file_actions_adddup2(fa, high[i], (int)i);
        else
            r = posix_spawn_file_actions_addclose(fa, (int)i);
    return r ? r : posix_spawn_file_actions_addclosefrom_np(fa, (int)n);
}

static int spawn(const ferry_process_opts *o, pid_t *ret_pid)
{
    posix_spawnattr_t at;
    posix_spawn_file_actions_t fa;
    int high[MAX_FDS];

    assert(o->nfds >= 3 && o->nfds <= MAX_FDS && "a child has at least fds 0-2");
    for (size_t i = 0; i < o->nfds; i++)
        high[i] = -1;
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_init(&fa);
    int r = lift(o, high);
    if (r == 0)
        r = -set_attributes(&at, o);
    if (r == 0)
        r = -place(&fa, high, o->nfds);
    if (r == 0) {
        char *const *argv = (char *const *)(uintptr_t)o->argv;
        char *const *envp = o->envp ? (char *const *)(uintptr_t)o->envp : environ;
        r = -posix_spawnp(ret_pid, o->path, &fa, &at, argv, envp);
    }
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    for (size_t i = 0; i < o->nfds; i++)
        if (high[i] >= 0)
            close(high[i]);
    return r;
}

int ferry_process_spawn(ferry_loop *loop, const ferry_process_opts *o,
                        ferry_process **ret)
{
    ferry_process *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (ferry_process){.loop = loop, .group = o->new_group || o->new_session};
    ferry_cond_init(&p->end);

    int r = spawn(o, &p->pid);
    if (r < 0) {
        free(p);
        return r;
    }
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->pidfd < 0)
        r = -errno;
    else
        r = uv_poll_init(loop->uv, &p->uv, p->pidfd);
    if (r < 0) { /* out of descriptors: a child that cannot be watched is not kept */
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        if (p->pidfd >= 0)
            close(p->pidfd);
        free(p);
        return r;
    }
    ferry_loop_ref(loop);
    p->uv.data = p;
    uv_unref((uv_handle_t *)&p->uv);
    uv_poll_start(&p->uv, UV_READABLE, on_end);
    FERRY_TRACE(async, "process %d: %s", (int)p->pid, o->path);
    *ret = p;
    return 0;
}

pid_t ferry_process_pid(const ferry_process *p)
{
    return p->pid;
}

int ferry_process_wait(ferry_process *p, int *ret_status)
{
    while (!p->ended) {
        int r = ferry_cond_wait(&p->end);
        if (r < 0 && !p->ended)
            return r;
    }
    *ret_status = p->status;
    return 0;
}

/* The group is signalled by number: safe while the leader is not reaped, which only on_end
 * on this thread does. */
void ferry_process_kill(ferry_process *p, int sig)
{
    if (p->ended)
        return;
    if (p->group)
        kill(-p->pid, sig);
    else
        syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
}

void ferry_process_free(ferry_process *p)
{
    if (!p)
        return;
    p->freed = true;
    if (p->ended) {
        uv_close((uv_handle_t *)&p->uv, on_closed);
        return;
    }
    ferry_process_kill(p, SIGKILL);
    uv_ref((uv_handle_t *)&p->uv); /* the loop stays until it is reaped */
}

const char *ferry_process_describe(int status, char *buf, size_t size)
{
    if (status == -1)
        snprintf(buf, size, "ended (status unknown: SIGCHLD is ignored here)");
    else if (WIFSIGNALED(status))
        snprintf(buf, size, "killed by signal %d (%s)", WTERMSIG(status),
                 sigdescr_np(WTERMSIG(status)));
    else
        snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
    return buf;
}
