/* Child processes: see process.h. A uv_poll on the pidfd reaps the child the moment it ends,
 * whether somebody waits for it or not. Where there are no pidfds (valgrind 3.19, some
 * sandboxes) a timer looks every few milliseconds instead. */
#include "async/process.h"

#include "async/internal.h"
#include "base/auto.h"
#include "base/trace.h"

#include <guestferry/error.h>

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

/* How often to look for a child's end without a pidfd, ms. */
#define LOOK_AGAIN 10

/* Descriptors a child may be given. */
#define MAX_FDS 64

extern char **environ;

struct ferry_process {
    union {
        uv_handle_t handle;
        uv_poll_t poll;   /* on the pidfd */
        uv_timer_t timer; /* when pidfd is -1 */
    } uv;
    ferry_loop *loop;
    pid_t pid;
    int pidfd;
    bool watched; /* there is a handle; else it has ended before */
    bool group;
    bool ended;
    bool freed; /* the owner has gone; free at the end */
    int status;
    ferry_cond end;
};

/* ---- the end of a child ------------------------------------------------------------ */

static int wait_for(ferry_process *p, siginfo_t *ret, int options)
{
    *ret = (siginfo_t){0};
    if (p->pidfd >= 0)
        return waitid(P_PIDFD, (id_t)p->pidfd, ret, WEXITED | WNOHANG | options);
    return waitid(P_PID, (id_t)p->pid, ret, WEXITED | WNOHANG | options);
}

/* Nobody's child any more: SIGCHLD is ignored, or the host program waited for it. */
static bool is_gone(ferry_process *p)
{
    siginfo_t si;
    return wait_for(p, &si, WNOWAIT) < 0 && errno == ECHILD;
}

static void on_closed(uv_handle_t *h)
{
    ferry_process *p = h->data;
    ferry_loop *loop = p->loop;
    if (p->pidfd >= 0)
        close(p->pidfd);
    free(p);
    ferry_loop_unref(loop);
}

static int wait_status(const siginfo_t *si)
{
    return si->si_code == CLD_EXITED ? W_EXITCODE(si->si_status, 0)
                                     : W_EXITCODE(0, si->si_status);
}

static void look(ferry_process *p)
{
    siginfo_t si;
    int r = wait_for(p, &si, 0);
    if (r == 0 && si.si_pid == 0)
        return; /* not yet */
    p->status = r == 0 ? wait_status(&si) : -1;
    p->ended = true;
    if (p->pidfd >= 0)
        uv_poll_stop(&p->uv.poll);
    else
        uv_timer_stop(&p->uv.timer);
    FERRY_TRACE(async, "process %d ended, status %d", (int)p->pid, p->status);
    ferry_cond_wake(&p->end);
    if (p->freed)
        uv_close(&p->uv.handle, on_closed);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    look(h->data);
}

static void on_timer(uv_timer_t *h)
{
    look(h->data);
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

static int dup_above(int fd, size_t lowest)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, (int)lowest);
    if (high >= 0)
        return high;
    return errno == EINVAL ? -EMFILE : -errno; /* EINVAL: beyond RLIMIT_NOFILE */
}

/* Moves every wanted descriptor above those the child will have, so that putting one in its
 * place never overwrites another that is still to be placed. */
static int lift(const ferry_process_opts *o, int high[])
{
    for (size_t i = 0; i < o->nfds; i++) {
        if (o->fds[i] < 0 && i > STDERR_FILENO)
            continue;
        FERRY_AUTO(fd) int null = -1;
        if (o->fds[i] < 0) {
            null = open("/dev/null", O_RDWR | O_CLOEXEC);
            if (null < 0)
                return -errno;
        }
        int r = dup_above(null >= 0 ? null : o->fds[i], o->nfds);
        if (r < 0)
            return r;
        high[i] = r;
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
        if (r == -EAGAIN)
            r = -FERRY_ENPROC;
    }
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    for (size_t i = 0; i < o->nfds; i++)
        if (high[i] >= 0)
            close(high[i]);
    return r;
}

/* A child that cannot be watched (out of descriptors) is not kept. */
static void take_back(ferry_process *p)
{
    kill(p->group ? -p->pid : p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (p->pidfd >= 0)
        close(p->pidfd);
}

/* Opens the pidfd; leaves -1 where there are none, or when the child is gone already. */
static int open_pidfd(ferry_process *p)
{
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->pidfd < 0 && errno != ESRCH && errno != ENOSYS && errno != EPERM)
        return -errno;
    return 0;
}

static int start_handle(ferry_process *p)
{
    if (p->pidfd >= 0) {
        int r = uv_poll_init(p->loop->uv, &p->uv.poll, p->pidfd);
        if (r < 0)
            return r;
        uv_poll_start(&p->uv.poll, UV_READABLE, on_poll);
    } else {
        uv_timer_init(p->loop->uv, &p->uv.timer);
        uv_timer_start(&p->uv.timer, on_timer, LOOK_AGAIN, LOOK_AGAIN);
    }
    p->uv.handle.data = p;
    uv_unref(&p->uv.handle);
    ferry_loop_ref(p->loop);
    p->watched = true;
    return 0;
}

/* A child that is gone before it could be watched (see is_gone) has ended, and its number
 * may be somebody else's by now: it is not touched again. */
static int watch(ferry_process *p)
{
    int r = open_pidfd(p);
    if (r < 0)
        return r;
    if (!is_gone(p))
        return start_handle(p);
    if (p->pidfd >= 0)
        close(p->pidfd); /* perhaps a stranger's */
    p->pidfd = -1;
    p->status = -1;
    p->ended = true;
    return 0;
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
    r = watch(p);
    if (r < 0) {
        take_back(p);
        free(p);
        return r;
    }
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

/* Signals by number are safe while the child is not reaped, which only look() on this thread
 * does, unless the host program takes part. */
void ferry_process_kill(ferry_process *p, int sig)
{
    if (p->ended)
        return;
    if (p->pidfd >= 0 && !p->group)
        syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
    else if (!is_gone(p))
        kill(p->group ? -p->pid : p->pid, sig);
}

void ferry_process_free(ferry_process *p)
{
    if (!p)
        return;
    p->freed = true;
    if (!p->watched) {
        free(p);
        return;
    }
    if (p->ended) {
        uv_close(&p->uv.handle, on_closed);
        return;
    }
    ferry_process_kill(p, SIGKILL);
    uv_ref(&p->uv.handle); /* the loop stays until it is reaped */
}

const char *ferry_process_describe(int status, char *buf, size_t size)
{
    if (status == -1) {
        snprintf(buf, size, "ended (status unknown: SIGCHLD is ignored here)");
    } else if (WIFSIGNALED(status)) {
        const char *text = sigdescr_np(WTERMSIG(status));
        snprintf(buf, size, "killed by signal %d (%s)", WTERMSIG(status),
                 text ? text : "a real-time signal");
    } else {
        snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
    }
    return buf;
}
