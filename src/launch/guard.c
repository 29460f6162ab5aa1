/* gferry-guard: the process between a host program and its qemu.
 *
 *     host === control socket === gferry-guard (own session)
 *                                    `-- qemu (PDEATHSIG: the guard's death is its own)
 *
 * However the host ends - exit, crash, SIGKILL - and whenever it shuts the control socket
 * down, qemu gets SIGKILL at once; however qemu ends, the host is told its wait status,
 * even if it ignores SIGCHLD or has somebody who reaps every child.
 *
 * The host is watched twice: by the socket, and by a pidfd, because a child that the host
 * forked and that never execs may hold a copy of the socket for ever. PDEATHSIG fires when
 * the parent *thread* exits; the guard has only one, which is why qemu's parent is the
 * guard and not the host.
 *
 * Started by qemu.c; the words on the wire are in guard.h. Knows nothing of what it
 * guards. Uses only libc, allocates nothing. */
#include "launch/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the main loop watches; -1 once it has nothing more to say. */
enum { CONTROL, HOST, CHILD, EXEC, NWATCHED };

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

/* The host may be gone: then nobody reads, and it does not matter. */
static void report(int32_t what, int32_t value)
{
    ferry_guard_report r = {what, value};
    while (send(FERRY_GUARD_CONTROL, &r, sizeof r, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

/* In the child. Returns only if the exec failed. */
static void become(char **argv, pid_t guard)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard) /* it died before the prctl */
        _exit(127);

    /* A core of qemu's is a copy of the image's data that nobody asked for. */
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);

    /* A low limit is meant for the host program, whose descriptors we do not have. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    execv(argv[0], argv);
}

/* Forks and execs. Returns the pid, and a pipe that says how the exec went: end of file,
 * or an errno. */
static pid_t start(char **argv, int *ret_exec)
{
    int pipefd[2];
    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return -1;

    pid_t guard = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, guard);
        int err = errno;
        while (write(pipefd[1], &err, sizeof err) < 0 && errno == EINTR)
            ;
        _exit(127);
    }
    close(pipefd[1]);
    *ret_exec = pipefd[0];
    return pid;
}

static void tell_exec(int fd, pid_t pid)
{
    int err;
    ssize_t n;
    do
        n = read(fd, &err, sizeof err);
    while (n < 0 && errno == EINTR);

    if (n == (ssize_t)sizeof err)
        report(FERRY_GUARD_FAILED, err);
    else
        report(FERRY_GUARD_STARTED, pid);
}

/* Has the host hung up? What it may send is read and ignored. */
static bool hung_up(int fd)
{
    char ignored[64];
    ssize_t n = recv(fd, ignored, sizeof ignored, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

/* Waits for the host's "go". False: it has gone instead. */
static bool may_start(int host_fd)
{
    struct pollfd fds[] = {{.fd = FERRY_GUARD_CONTROL, .events = POLLIN},
                           {.fd = host_fd, .events = POLLIN}};
    char go;
    while (poll(fds, 2, -1) < 0)
        ;
    return !fds[1].revents && recv(FERRY_GUARD_CONTROL, &go, 1, MSG_DONTWAIT) == 1;
}

static void watch(struct pollfd *fds, pid_t pid)
{
    for (;;) {
        if (poll(fds, NWATCHED, -1) < 0)
            continue; /* EINTR, or ENOMEM for a moment */

        if (fds[EXEC].revents) {
            tell_exec(fds[EXEC].fd, pid);
            fds[EXEC].fd = -1;
        }
        if (fds[HOST].revents || (fds[CONTROL].revents && hung_up(FERRY_GUARD_CONTROL))) {
            kill(pid, SIGKILL);
            fds[HOST].fd = fds[CONTROL].fd = -1;
        }
        if (fds[CHILD].revents) {
            /* What it had to say about its exec is in the pipe by now. */
            if (fds[EXEC].fd >= 0)
                tell_exec(fds[EXEC].fd, pid);
            return;
        }
    }
}

/* The guard must not hold qemu's ends open: the host waits for their end of file. */
static void drop_fds(int nfds)
{
    for (int fd = FERRY_GUARD_FIRST; fd < nfds; fd++)
        close(fd);
    dup2(STDIN_FILENO, STDOUT_FILENO); /* /dev/null */
    dup2(STDIN_FILENO, STDERR_FILENO);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "gferry-guard is started by libguestferry, not by hand.\n");
        return 2;
    }
    pid_t host = (pid_t)strtol(argv[1], NULL, 10);
    int nfds = (int)strtol(argv[2], NULL, 10);
    closefrom(nfds > FERRY_GUARD_FIRST ? nfds : FERRY_GUARD_FIRST);
    fcntl(FERRY_GUARD_CONTROL, F_SETFD, FD_CLOEXEC);
    if (chdir("/") < 0) /* so as not to keep a file system busy */
        return 1;

    /* While it is our parent, its pid cannot be another process's. 0: the parent is outside
     * our pid namespace and cannot be watched. */
    int host_fd = open_pidfd(host);
    if ((getppid() != host && getppid() != 0) || !may_start(host_fd))
        return 0;

    int exec_fd = -1;
    pid_t pid = start(argv + 3, &exec_fd);
    int err = errno;
    drop_fds(nfds);
    int child_fd = pid > 0 ? open_pidfd(pid) : -1;
    if (child_fd < 0) {
        err = pid > 0 ? errno : err;
        if (pid > 0)
            kill(pid, SIGKILL);
        report(FERRY_GUARD_FAILED, err);
        return 1;
    }

    struct pollfd fds[NWATCHED] = {
        [CONTROL] = {.fd = FERRY_GUARD_CONTROL, .events = POLLIN},
        [HOST] = {.fd = host_fd, .events = POLLIN},
        [CHILD] = {.fd = child_fd, .events = POLLIN},
        [EXEC] = {.fd = exec_fd, .events = POLLIN},
    };
    watch(fds, pid);

    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    report(FERRY_GUARD_ENDED, status);
    return 0;
}
