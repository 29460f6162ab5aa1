/* One qemu and who watches it (watcher.h): the sockets, the tasks that read them, its end.
 *
 *      host end                         passed on to
 *      control   reports, kill switch   the watcher
 *      channel   until it is taken      qemu's virtio-serial port
 *      qmp       ferry_qmp              qemu's monitor
 *      console   ring                   the guest's serial port
 *      words     ring                   stderr of watcher and qemu
 *
 * The tasks live in a root scope of this object's and are joined by free. Used by machine.c
 * only, which decides what runs and what an end means. Loop thread only, except kill. */
#ifndef FERRY_LAUNCH_QEMU_H
#define FERRY_LAUNCH_QEMU_H

#include "launch/blame.h"
#include "launch/machine.h"
#include "launch/qmp.h"
#include "launch/watcher.h"

typedef struct ferry_qemu ferry_qemu;

/* Takes over the watcher, also on failure. Returns when that has been started. On failure
 * nothing is left. */
FERRY_CO int ferry_qemu_spawn(ferry_loop *loop, ferry_watcher *watcher,
                              ferry_qemu **ret, ferry_error *e);

/* Waits for the exec. 0, -FERRY_EDEAD if it ended before, or the cancel code. */
FERRY_CO int ferry_qemu_started(ferry_qemu *q);
/* Waits for the end, by which all that it said has been read. 0, or the cancel code. */
FERRY_CO int ferry_qemu_wait(ferry_qemu *q);
bool ferry_qemu_ended(const ferry_qemu *q);

/* A drive's disk is about to be deleted; waits until it has been. 0, -FERRY_EDEAD or the
 * cancel code. */
void ferry_qemu_expect_unplug(ferry_qemu *q, unsigned target);
FERRY_CO int ferry_qemu_unplugged(ferry_qemu *q, unsigned target);

/* Waits until device state has gone out, or come in, as a whole: 0, -FERRY_EIO, -FERRY_EDEAD or
 * the cancel code. The capability "events" must be on. */
FERRY_CO int ferry_qemu_migrated(ferry_qemu *q);

/* SIGKILL, by way of the watcher. Any thread and signal handlers. */
void ferry_qemu_kill(const ferry_qemu *q);

/* Asks qemu to close its images and end. 0, or why it could not be asked; an end of the
 * connection is an end of qemu. */
FERRY_CO int ferry_qemu_quit(ferry_qemu *q, ferry_error *e);

int ferry_qemu_channel(const ferry_qemu *q);    /* stays the object's */
int ferry_qemu_take_channel(ferry_qemu *q);     /* the caller's */
ferry_qmp *ferry_qemu_qmp(const ferry_qemu *q); /* NULL without has_qmp */
pid_t ferry_qemu_pid(const ferry_qemu *q);      /* 0 before it has started */
size_t ferry_qemu_console(const ferry_qemu *q, char *buf, size_t size);

/* The last error of the host's disks that qemu told: the drive's index and why; "" if
 * there was none. */
const char *ferry_qemu_io_error(const ferry_qemu *q, unsigned *ret_drive);

/* What there is to say about it; `words` (size bytes) holds the text the evidence points
 * to, everything else belongs to q. spec and qemu are left to the caller. */
void ferry_qemu_evidence(const ferry_qemu *q, char *words, size_t size,
                         ferry_evidence *ret);

/* Kills what still runs and waits for the watcher to be gone, shielded. NULL is allowed. */
FERRY_CO void ferry_qemu_free(ferry_qemu *q);

#endif
