/* A domain's qemu; see process.h. */
#include "launch/libvirt/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libvirt's first argument is "-name guest=NAME,debug-threads=on". */
static bool is_of_domain(pid_t pid, const char *name)
{
    char path[64], line[512], want[128];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    if (n <= 0)
        return false;
    line[n] = '\0';

    const char *arg = line + strlen(line) + 1; /* behind the program */
    if (arg >= line + n || strcmp(arg, "-name") != 0)
        return false;
    int len = snprintf(want, sizeof want, "guest=%s,", name);
    return strncmp(arg + sizeof "-name", want, (size_t)len) == 0;
}

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int ferry_domain_pidfd(const char *name, pid_t *ret_pid)
{
    int found = -1;
    DIR *proc = opendir("/proc");
    if (!proc)
        return -1;
    for (struct dirent *e; found < 0 && (e = readdir(proc));) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (!is_of_domain(pid, name))
            continue;
        found = open_pidfd(pid);
        /* Once more: between the look and the open, the pid may have changed hands. */
        if (found >= 0 && !is_of_domain(pid, name)) {
            close(found);
            found = -1;
        }
        if (found >= 0)
            *ret_pid = pid;
    }
    closedir(proc);
    return found;
}

int ferry_domain_kill(int pidfd)
{
    return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}
