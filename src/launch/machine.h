/* A running appliance: from a description of it to a byte stream to its daemon.
 *
 *      api ----- ferry_machine_start(spec) -----> guard process (own session)
 *                                                   `-- qemu -- kernel -- ferryd
 *      fds the host keeps:  guard control | QMP | console | channel (a ferry_link)
 *
 * What runs over the channel is not known here: the protocol's greeting is the caller's,
 * passed in as `greet`, because only a guest that answers proves an accelerator works.
 * All sockets are socketpairs made before the fork; nothing of ours has a name in the file
 * system.
 * Loop thread only, except as said. */
#ifndef FERRY_LAUNCH_MACHINE_H
#define FERRY_LAUNCH_MACHINE_H

#include "async/link.h"
#include "async/scope.h"

#include <guestferry/error.h>
#include <guestferry/vm.h>

/* One disk, in order of attachment: /dev/sda, sdb, ... Strings belong to the spec. */
typedef struct ferry_drive {
    char *path;             /* absolute; NULL for scratch */
    char *format;           /* "raw", "qcow2", "vmdk", "vdi" */
    char *label;            /* NULL: none */
    uint64_t scratch_bytes; /* scratch: its size */
    bool readonly;
    bool shared;     /* readonly: others may write it meanwhile, so nothing is locked */
    unsigned target; /* SCSI target, and number in qemu's names; ferry_machine_start's
                      * drives have their place in the list */
} ferry_drive;

/* What a launch does about templates (template.h). */
typedef enum ferry_machine_template {
    FERRY_MACHINE_TEMPLATE_NEVER,   /* a cold boot */
    FERRY_MACHINE_TEMPLATE_AUTO,    /* from one if there is one, else a cold boot */
    FERRY_MACHINE_TEMPLATE_REQUIRE, /* from one */
    FERRY_MACHINE_TEMPLATE_MAKE,    /* a cold boot without drives, to make one of it */
} ferry_machine_template;

typedef struct ferry_machine_spec {
    ferry_drive *drives;
    unsigned ndrives;
    ferry_accel accel;
    uint32_t memory_mib, cpus;
    char *appliance; /* directory; NULL: default */
    char *qemu;      /* program; NULL: default */
    /* Memory that the guest is to share with us: a sealed memfd, the caller's. A qemu that cannot
     * is started without: see ferry_machine_lane(). 0 bytes: none is wanted. */
    int lane_fd;
    uint64_t lane_bytes;
    char *backend; /* "direct", "libvirt" or "libvirt:URI"; NULL: direct */
    ferry_machine_template template;
    const char *build; /* the library's, part of a template's key; static text; may be NULL */
} ferry_machine_spec;

/* Checks what can be checked before a launch and completes the drive: absolute path,
 * format from the extension when it is NULL. The error names the file and the next step. */
int ferry_drive_check(const char *path, const ferry_drive_opts *o, ferry_drive *ret,
                      ferry_error *e);
int ferry_drive_scratch(uint64_t bytes, const char *label, ferry_drive *ret,
                        ferry_error *e);
void ferry_drive_done(ferry_drive *d);
int ferry_drive_copy(const ferry_drive *d,
                     ferry_drive *ret); /* -ENOMEM: nothing in ret */
/* The file behind a scratch disk: without a name, as large as it is to be. Blocks briefly. */
int ferry_drive_open_scratch(const ferry_drive *d, int *ret_fd, ferry_error *e);

/* Is there such a backend? */
bool ferry_backend_known(const char *backend);

typedef struct ferry_machine ferry_machine;

typedef struct ferry_machine_hooks {
    /* Says hello over a fresh channel: called when the daemon's first byte is there, or when
     * a template's daemon goes on, which has said its own to somebody else (restored). The
     * channel is the callee's from here on, also when it fails (as ferry_conn_new has it).
     * May be called a second time, with another channel, if a first accelerator fails. */
    FERRY_CO int (*greet)(void *arg, ferry_link *channel, bool restored, ferry_error *e);
    void (*phase)(void *arg, const char *phase); /* static text */
    /* Something is not as it should be, and the launch goes on without it. May be NULL. */
    void (*warn)(void *arg, const ferry_error *what);
    void *arg;
} ferry_machine_hooks;

/* Launches and returns when greet has succeeded. The deadline is the caller's scope. On
 * failure and on cancel nothing is left: no process, no descriptor. The error says how far
 * it came, with qemu's own words or the console's last line. */
FERRY_CO int ferry_machine_start(const ferry_machine_spec *spec,
                                 const ferry_machine_hooks *hooks, ferry_machine **ret,
                                 ferry_error *e);

/* How it came up, once it has. */
typedef enum ferry_template_use {
    FERRY_TEMPLATE_UNWANTED,
    FERRY_TEMPLATE_USED,
    FERRY_TEMPLATE_MISSING, /* there is none */
    FERRY_TEMPLATE_REFUSED, /* there is something that was not loaded; a warning was given */
} ferry_template_use;
ferry_template_use ferry_machine_template_use(const ferry_machine *m);

/* Of one that was started to MAKE a template, and has greeted without having answered the daemon:
 * stops it, and keeps memory and state on disk. -FERRY_EEXIST: it was there already (ferry_machine_start()
 * says so, too), -FERRY_EBUSY: another process makes it. The machine is good for free only. */
FERRY_CO int ferry_machine_save(ferry_machine *m, ferry_error *e);

/* Attaches a drive, as target d->target, which must be free, or takes it away. The guest is
 * not told: the daemon has to look for it, and to let go of it before. On failure, and on a
 * cancel, of plug nothing is left of it. The codes are those of a launch. */
FERRY_CO int ferry_machine_plug(ferry_machine *m, const ferry_drive *d, ferry_error *e);
FERRY_CO int ferry_machine_unplug(ferry_machine *m, unsigned target, ferry_error *e);

/* Waits until qemu is gone, and says how in e: "appliance killed by signal 9", "qemu exited
 * with status 1: <its last words>", "appliance panicked: <console>". Returns -FERRY_EDEAD,
 * or 0 when it was asked to quit and did, or the cancel code. */
FERRY_CO int ferry_machine_wait(ferry_machine *m, ferry_error *e);

/* Ends qemu in good order (QMP quit: block layer flushed and closed) and waits for it. The
 * guest must be unmounted and flushed already. 0; -FERRY_EIO if qemu said that a flush
 * failed; after a cancel or deadline it is killed. */
FERRY_CO int ferry_machine_quit(ferry_machine *m, ferry_error *e);

/* SIGKILL, by way of the guard, at once. Any thread and signal handlers; harmless later. */
void ferry_machine_kill(ferry_machine *m);

ferry_accel ferry_machine_accel(const ferry_machine *m);
bool ferry_machine_lane(const ferry_machine *m); /* the guest has spec's lane_fd */
ferry_launch_times ferry_machine_times(const ferry_machine *m);
pid_t ferry_machine_pid(const ferry_machine *m); /* qemu's; for tests and doctor */

/* Why `auto` did not use kvm: "/dev/kvm: permission denied; ...", or how a kvm boot failed,
 * now or earlier. "" if kvm is used, or was never wanted. Belongs to m. */
const char *ferry_machine_no_kvm(const ferry_machine *m);

/* The last error of a disk on the host's side that qemu told: "/d/a.img: write: No space
 * left on device". The guest has seen it as an I/O error without a reason. Returns its
 * length; 0 and "" if there was none. */
size_t ferry_machine_io_error(const ferry_machine *m, char *buf, size_t size);

/* The console's tail, at most `size` - 1 bytes, printable, 0-terminated. Returns its
 * length. */
size_t ferry_machine_console(const ferry_machine *m, char *buf, size_t size);

/* Kills if need be, waits for the guard to be gone (shielded from cancel; a SIGKILL is
 * answered within milliseconds), frees. NULL is allowed. No other task is inside. */
FERRY_CO void ferry_machine_free(ferry_machine *m);

#endif
