/* The daemon's life as PID 1: from the kernel's exec to an open channel, and the end.
 *
 *      kernel ---exec---> /init = ferryd
 *                           |-- ferryd_reap_split()   PID 1 stays behind and reaps
 *                           |-- ferryd_boot()         mounts, modules, the port
 *                           |       ... the loop: HELLO, calls ...
 *                           `-- ferryd_poweroff()
 *
 * Called by main.c only, before the loop exists and after it has ended: everything here
 * may block. Knows nothing of the protocol. */
#ifndef FERRYD_BOOT_H
#define FERRYD_BOOT_H

#include <stdint.h>

/* Where the image's file systems are mounted; nothing is there until the first
 * mount. */
#define FERRYD_SYSROOT "/sysroot"

struct ferryd_boot {
    int port; /* the virtio-serial port, O_NONBLOCK, O_CLOEXEC; the caller's to close */

    /* Microseconds of CLOCK_BOOTTIME (0 is the kernel's start), for the launch's time
     * sheet: boot() entered, modules loaded, port open. */
    uint64_t entered_us, modules_us, port_us;
};

/* Makes a bare kernel fit for work: mounts /proc /sys /dev /run /tmp, sets the
 * environment every program we run inherits, loads the boot modules and opens the
 * channel. Disks are not looked for: the host names them one by one (drives.h). Fails with -errno and says why on the console. */
int ferryd_boot(struct ferryd_boot *ret);

/* Flushes, unmounts what is left under FERRYD_SYSROOT and powers the machine off. Does
 * not return. An error here can reach nobody: umount_all and sync, called before,
 * report theirs. */
_Noreturn void ferryd_poweroff(void);

#endif
