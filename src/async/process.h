/* Child processes: posix_spawn, a pidfd, and nothing process-wide - no SIGCHLD handler, no
 * waitpid(-1) (uv_spawn installs the one and does the other). */
#ifndef FERRY_ASYNC_PROCESS_H
#define FERRY_ASYNC_PROCESS_H

#include "async/loop.h"

#include <sys/types.h>

typedef struct ferry_process ferry_process;

typedef struct ferry_process_opts {
    const char *path;        /* absolute; or a bare name, looked up in $PATH */
    const char *const *argv; /* NULL-terminated */
    const char *const *envp; /* NULL: ours */
    /* The child's descriptors: child fd i is our fds[i]; -1 is /dev/null for 0-2 and closed
     * above. Every other descriptor is closed in the child. */
    const int *fds;
    size_t nfds;
    bool new_session; /* setsid: out of reach of the terminal */
    bool new_group;   /* setpgid(0, 0): ferry_process_kill reaches its descendants */
} ferry_process_opts;

/* All signals of the child are at their defaults and unblocked. -ENOENT: no such program;
 * -FERRY_ENPROC: no more processes. */
int ferry_process_spawn(ferry_loop *loop, const ferry_process_opts *o,
                        ferry_process **ret);

pid_t ferry_process_pid(const ferry_process *p);
/* Waits for the end and returns 0 and the wait status (WIFEXITED(status) ...), or the
 * cancel code. *ret_status is -1 when somebody else reaped it or SIGCHLD is ignored. */
FERRY_CO int ferry_process_wait(ferry_process *p, int *ret_status);
/* Sends sig to the process (its group with new_group). Harmless after its end. */
void ferry_process_kill(ferry_process *p, int sig);
/* Kills what still runs and frees. The child is reaped (in the background if need be). */
void ferry_process_free(ferry_process *p);

static inline void ferry_auto_process(ferry_process **p)
{
    ferry_process_free(*p);
}

/* "exited with status 1", "killed by signal 9 (Killed)". */
const char *ferry_process_describe(int status, char *buf, size_t size);

#endif
