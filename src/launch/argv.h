/* The command line of qemu, and the one table that says what differs between the
 * architectures. Pure: strings in, strings out; opens nothing, knows no loop.
 *
 * Called by machine.c. The descriptors are those of the guard's table (guard.h). */
#ifndef FERRY_LAUNCH_ARGV_H
#define FERRY_LAUNCH_ARGV_H

#include "launch/machine.h"

#include <stdbool.h>

/* The name of the virtio-serial port; the daemon looks for it. */
#define FERRY_PORT_NAME "org.guestferry.0"

/* A virtio-scsi controller has 256 targets; one is left for the lane. */
#define FERRY_DRIVES_MAX 255

#define FERRY_DEFAULT_MEMORY_MIB 512
#define FERRY_DEFAULT_CPUS 1

/* Descriptors in qemu, from FERRY_GUARD_FIRST on. */
enum ferry_qemu_fd {
    FERRY_FD_CHANNEL = 4,
    FERRY_FD_QMP = 5,
    FERRY_FD_CONSOLE = 6,
    FERRY_FD_SCRATCH =
        7, /* that of the first scratch disk; the others follow, then the lane */
    /* In place of scratch disks, of which a template's qemu has none: */
    FERRY_FD_RAM = 7,
    FERRY_FD_STATE = 8,
};

/* What an architecture needs. Order of the kernel's parameters matters to nobody; what
 * each is worth has been measured: docs/appliance.md. */
typedef struct ferry_platform {
    const char *arch;    /* uname -m */
    const char *qemu;    /* program */
    const char *package; /* Debian's, for the error when it is missing */
    const char *machine; /* -machine, without accel= */
    const char *cpu_tcg, *cpu_kvm;
    const char *kernel, *initramfs, *usr; /* files of the appliance's directory */
    const char *bios;       /* and another; NULL: qemu starts the kernel itself */
    const char *console;    /* the kernel's name of -serial */
    const char *append;     /* more kernel parameters */
    const char *append_tcg; /* and more, where they are safe and pay */
    const char *append_tcg_one_cpu;
    bool tells_ticks; /* TCG's guests count the host's ticks, and their kernel can be told */
    bool lane;        /* qemu has virtio-pmem for this machine */
} ferry_platform;

/* NULL if there is none for this architecture. */
const ferry_platform *ferry_platform_find(const char *arch);
/* That of the machine we run on; NULL if there is none. */
const ferry_platform *ferry_platform_host(void);

/* Where the guest's memory comes from. */
typedef enum ferry_ram {
    FERRY_RAM_OWN,     /* qemu's own */
    FERRY_RAM_SHARED,  /* FERRY_FD_RAM, which a template is made of */
    FERRY_RAM_PRIVATE, /* a copy-on-write view of FERRY_FD_RAM: qemu waits to be told to
                        * take in FERRY_FD_STATE, then to go on. No kernel is loaded */
} ferry_ram;

typedef struct ferry_argv_in {
    const ferry_platform *platform;
    const char *qemu, *kernel, *initramfs, *usr; /* absolute paths */
    const char *bios; /* too; NULL if the platform has none */
    const ferry_drive *drives;
    unsigned ndrives;
    ferry_accel accel;         /* KVM or TCG */
    uint32_t memory_mib, cpus; /* 0: default */
    int lane_fd;               /* the caller's, with lane_bytes */
    uint64_t lane_bytes;       /* 0: there is no lane */
    bool sandbox;              /* this qemu was built with seccomp */
    uint32_t ticks_khz; /* the guest's time stamp counter; 0: its kernel measures */
    unsigned trace;     /* areas that the daemon is to trace (base/trace.h), in a boot
                                * that is nobody's template */
    bool verbose;       /* somebody reads the console: the kernel may talk */
    ferry_ram ram;
    int ram_fd, state_fd; /* ours, for the backend; open until it has started qemu */
} ferry_argv_in;

/* NULL-terminated, free with ferry_auto_strv. -ENOMEM. */
int ferry_argv_build(const ferry_argv_in *in, char ***ret);

/* The kernel's command line (free). NULL: no memory. */
char *ferry_argv_append(const ferry_argv_in *in);

#endif
