/* Helper programs; see program.h. */
#include "program.h"

#include "auto.h"
#include "signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

/* stdin is /dev/null, stdout and stderr are `out`; signals are as for any new program. */
static int spawn(const char *const *argv, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETSIGMASK);
    int r = posix_spawnp(ret_pid, argv[0], &files, &attr, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return -r;
}

/* Reads until every writer of the pipe is gone, or a signal says stop: -ECANCELED. */
static int collect(int fd, char output[PROGRAM_OUTPUT])
{
    size_t n = 0;
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = signals_fd(), .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[1].revents)
            signals_drain();
        if (signals_caught())
            return -ECANCELED;
        if (!fds[0].revents)
            continue;

        char more[512];
        ssize_t got = read(fd, more, sizeof more);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        for (ssize_t i = 0; i < got && n < PROGRAM_OUTPUT - 1; i++)
            output[n++] = more[i];
        output[n] = 0;
    }
}

int program_run(const char *const *argv, char output[PROGRAM_OUTPUT])
{
    int pipe_fds[2];
    *output = 0;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    FERRY_AUTO(fd) int in = pipe_fds[0];
    pid_t pid;
    int r = spawn(argv, pipe_fds[1], &pid);
    close(pipe_fds[1]);
    if (r < 0)
        return r;

    r = collect(in, output);
    if (r < 0)
        kill(pid, SIGKILL); /* not reaped yet: the pid is still its own */
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    size_t n = strlen(output);
    while (n && output[n - 1] == '\n')
        output[--n] = 0;
    if (r < 0)
        return r;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
