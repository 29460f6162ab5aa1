/* What gferry-guard and its host say to each other: the arguments, the descriptors and the
 * reports. Included by guard.c (a program of its own) and by qemu.c.
 *
 *     gferry-guard HOST_PID NFDS PROGRAM ARG...
 *
 * Descriptors 0-2 and 4 .. NFDS-1 go on to PROGRAM, which is an absolute path; 3 is the
 * control socket, the guard's own. The host sends one byte over it, "go", once it holds
 * the guard's pidfd: a guard that ended before that could be reaped unseen, by a host that
 * ignores SIGCHLD. After that its end of file, or shutdown, means "kill". */
#ifndef FERRY_LAUNCH_GUARD_H
#define FERRY_LAUNCH_GUARD_H

#include <stdint.h>

#define FERRY_GUARD_CONTROL 3
#define FERRY_GUARD_FIRST 4 /* the first descriptor beyond stdio that PROGRAM gets */

enum ferry_guard_what {
    FERRY_GUARD_STARTED = 1, /* value: the program's pid; its exec succeeded */
    FERRY_GUARD_FAILED = 2,  /* value: errno of fork or exec; STARTED does not come */
    FERRY_GUARD_ENDED = 3,   /* value: the wait status; the last report */
};

/* One report, in host byte order: both ends are on one machine and of one build. */
typedef struct ferry_guard_report {
    int32_t what;
    int32_t value;
} ferry_guard_report;

#endif
