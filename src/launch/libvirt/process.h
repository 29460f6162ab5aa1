/* The qemu that libvirt started for us, if it is on our host: libvirt tells nobody its pid.
 * With it, a kill needs no libvirtd, and the end of a libvirtd leaves no orphan. */
#ifndef FERRY_LAUNCH_LIBVIRT_PROCESS_H
#define FERRY_LAUNCH_LIBVIRT_PROCESS_H

#include <sys/types.h>

/* Finds the process by the name of its domain, which is nobody else's. Returns a pidfd and
 * the pid; -1 if there is none to be seen. */
int ferry_domain_pidfd(const char *name, pid_t *ret_pid);

/* SIGKILL. 0, or -1 if it is not ours to kill, or pidfd is -1. */
int ferry_domain_kill(int pidfd);

#endif
