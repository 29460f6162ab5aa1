/* Who reaps what: PID 1 is a reaper and nothing else, the daemon its only real child.
 *
 *      PID 1 (reaper) ---- ferryd ---- mkfs, fsck, ...     waited for through pidfds
 *        |                               `-- helper
 *        `------ orphans: helpers whose parents ended, ntfs-3g gone to the background
 *
 * A program's own children become PID 1's when it ends. If the daemon were PID 1, it
 * would have to tell them from those whose wait status src/async/process.c still wants;
 * waitpid(-1) would steal it, and picking with WNOWAIT looks only at the first zombie
 * of the queue. Two processes make the question disappear. It also gives a crash of the
 * daemon a witness: the reaper names the signal on the console and powers off, where a
 * dying PID 1 would be a kernel panic. It costs one fork of a program that has touched
 * nothing yet. */
#ifndef FERRYD_REAP_H
#define FERRYD_REAP_H

/* As PID 1: forks; returns 0 in the child, which is the daemon from here on; the parent
 * stays inside. When the daemon ends, however it does, the machine is powered off. In
 * any other process: does nothing. -errno when the fork failed. */
int ferryd_reap_split(void);

#endif
