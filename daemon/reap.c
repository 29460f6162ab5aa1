/* The reaper: see reap.h for why PID 1 is a process of its own. Calls ferryd_poweroff()
 * at the end; knows nothing else of the daemon. */
#include "reap.h"

#include "boot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The console's last words about a daemon that ended: the host puts them into its
 * error. Exit status 0 is an orderly end (the host hung up) and says nothing. */
static void say_how_it_ended(int status)
{
    if (WIFSIGNALED(status))
        dprintf(STDERR_FILENO, "ferryd: killed by signal %d (%s)\n", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        dprintf(STDERR_FILENO, "ferryd: exited with status %d\n", WEXITSTATUS(status));
}

/* Without a handler the kernel drops every signal to PID 1, so nothing ends this loop
 * but the daemon's end. */
static _Noreturn void reap_until_end_of(pid_t daemon)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == daemon) {
            say_how_it_ended(status);
            ferryd_poweroff();
        }
    }
}

int ferryd_reap_split(void)
{
    if (getpid() != 1)
        return 0;

    pid_t daemon = fork();
    if (daemon < 0)
        return -errno;
    if (daemon > 0)
        reap_until_end_of(daemon);

    /* Out of PID 1's session, so that no terminal or group signal means both. */
    setsid();
    return 0;
}
