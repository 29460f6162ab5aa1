/* guestferry/vm.h - one appliance: drives, launch, shutdown.
 *
 *      ferry_vm_new -> ferry_add_drive... -> ferry_launch -> calls -> ferry_shutdown -> ferry_vm_free
 *                                                 |                        |
 *                                             NEW -> LAUNCHING -> UP -> CLOSING -> DOWN
 *                                                        '-------> DEAD (qemu or daemon failed)
 */
#ifndef GUESTFERRY_VM_H
#define GUESTFERRY_VM_H

#include <guestferry/ctx.h>
#include <guestferry/op.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ferry_vm ferry_vm;

typedef enum ferry_accel {
    FERRY_ACCEL_AUTO = 0, /* kvm where a kvm guest has been seen to boot, else tcg */
    FERRY_ACCEL_KVM = 1,
    FERRY_ACCEL_TCG = 2,
} ferry_accel;

typedef enum ferry_vm_state {
    FERRY_VM_NEW = 0,
    FERRY_VM_LAUNCHING = 1,
    FERRY_VM_UP = 2,
    FERRY_VM_CLOSING = 3,
    FERRY_VM_DOWN = 4,
    FERRY_VM_DEAD = 5,
} ferry_vm_state;

/* Launches from a template (template.h). The environment's FERRY_TEMPLATE (never, require) stands in
 * for AUTO, and never for MAKE too. */
typedef enum ferry_template_mode {
    FERRY_TEMPLATE_AUTO = 0, /* from one if there is one, else a cold boot */
    FERRY_TEMPLATE_NEVER = 1,
    FERRY_TEMPLATE_REQUIRE = 2, /* or the launch fails; for tests */
    /* As AUTO, and after a cold boot one is made in the background: a second qemu of low
     * priority, as a child of this process, for as long as a boot takes. It ends with the VM
     * (ferry_vm_free(), ferry_ctx_close()) if that comes first. */
    FERRY_TEMPLATE_MAKE = 3,
} ferry_template_mode;

/* Zero, or NULL for the whole struct, is the default everywhere.
 *
 * size              sizeof(ferry_vm_opts), in every struct of options; an option that this
 *                   library does not know, and that is set, is FERRY_EINVAL
 * accel             how qemu runs the guest
 * memory_mib        guest RAM (default 512; at least 256)
 * cpus              guest CPUs (default 1: under tcg a second costs more than it gives)
 * launch_timeout_ms for the whole launch, fallbacks included (default 120000)
 * call_timeout_ms   for every later call that has no ferry_op_timeout() (default none)
 * grace_ms          how long the appliance may take to answer a cancel before it is given up
 *                   (default 2000)
 * heartbeat_ms      an appliance that has not been heard of for so long while a call is pending is
 *                   asked for a sign of life; without one for as long again it is
 *                   dead (default 15000; UINT32_MAX: never)
 * appliance         directory of kernel and initramfs (default $FERRY_APPLIANCE, else the
 *                   installed one)
 * qemu              program (default $FERRY_QEMU, else qemu-system-x86_64 from $PATH)
 * backend           who runs qemu: "direct" (default), a child process; "libvirt", or "libvirt:URI", a
 *                   transient domain of that libvirt, which is gone with the VM (docs/libvirt.md). On
 *                   another host the files of images and appliance are that host's, at the
 *                   same paths.
 * templates         whether launches go on from a template */
typedef struct ferry_vm_opts {
    size_t size;
    ferry_accel accel;
    uint32_t memory_mib;
    uint32_t cpus;
    uint32_t launch_timeout_ms;
    uint32_t call_timeout_ms;
    const char *appliance;
    const char *qemu;
    uint32_t grace_ms;
    uint32_t heartbeat_ms;
    const char *backend;
    ferry_template_mode templates;
} ferry_vm_opts;

/* format   "raw", "qcow2", "vmdk", "vdi"; NULL: by the path's extension (.img .raw .iso .bin
 *          = raw), else FERRY_EFORMAT. The content is never looked at, because a guest
 *          writes it.
 * readonly the image is not written, whatever the guest does
 * label    another name, which does not depend on the order of drives: /dev/disk/guestferry/LABEL,
 *          and LABEL1 for its first partition, wherever a device is asked for. Up to 20
 *          letters, digits, '-' and '_', with no digit at the end; NULL: none */
typedef struct ferry_drive_opts {
    size_t size;
    const char *format;
    int readonly;
    const char *label;
} ferry_drive_opts;

/* A VM that is not launched yet. Copies the strings. Errors: FERRY_ENOMEM, FERRY_EINVAL.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_vm_new(ferry_ctx *ctx, const ferry_vm_opts *opts,
                              ferry_vm **ret_vm, ferry_error *reterr);

/* Adds a disk image, to appear as /dev/sda, /dev/sdb, ... in the order added. Looks now whether
 * the file is there, readable, writable (unless readonly) and not empty.
 * Errors: FERRY_ENOENT, FERRY_EACCES, FERRY_EROFS, FERRY_EISDIR, FERRY_EFORMAT, FERRY_ESTATE
 * (launched already), FERRY_ENOMEM. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_add_drive(ferry_vm *vm, const char *path,
                                 const ferry_drive_opts *opts, ferry_error *reterr);

/* Adds an empty raw disk of `bytes` (a multiple of 512) that is gone with the VM.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_add_drive_scratch(ferry_vm *vm, uint64_t bytes,
                                         ferry_error *reterr);

/* uri      libvirt's; NULL: its own choice
 * readonly nothing is written to the disks
 * force    a running domain is not refused when its disks may be written; an image that its
 *          qemu has locked is FERRY_EBUSY at the launch all the same */
typedef struct ferry_domain_opts {
    size_t size;
    const char *uri;
    int readonly;
    int force;
} ferry_domain_opts;

/* Adds the disks of a libvirt domain (its name or UUID), in its order, to a VM that is not launched;
 * all of them, or none. Formats are those that its XML has. CD-ROMs and floppies are left
 * out. A running domain's can only be had read-only (without force), and then without qemu's
 * locks: what is read may be half of what the domain is writing. Progress phase: "asking libvirt".
 * Errors: FERRY_ENOENT (no such domain), FERRY_EBUSY (it is running), FERRY_ENOTSUP (a disk that is no
 * file or device of this host; the message names it), FERRY_EACCES, FERRY_ENODEV (it has no disks),
 * FERRY_ELAUNCH (no libvirt, or no plugin), those of ferry_add_drive(). Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_add_domain_start(ferry_vm *vm, const char *name,
                                        const ferry_domain_opts *opts,
                                        ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_add_domain(ferry_vm *vm, const char *name,
                                  const ferry_domain_opts *opts, ferry_error *reterr);

/* Asks a libvirt (NULL: its own choice) who it is, for doctor: is the plugin there, does the daemon
 * answer? Starts a session daemon where libvirt does that. The vm is whose op this is; it may be in any state.
 * Errors: FERRY_ELAUNCH, FERRY_EACCES. Thread: any. Since 0.1. */
typedef struct ferry_libvirt_info {
    uint32_t version; /* 9000000 is 9.0.0 */
    uint32_t reserved[7];
    char uri[256]; /* "qemu:///system" */
} ferry_libvirt_info;
FERRY_EXPORT int ferry_check_libvirt_start(ferry_vm *vm, const char *uri,
                                           ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_check_libvirt_result(ferry_op *op, ferry_libvirt_info *ret_info,
                                            ferry_error *reterr);
FERRY_EXPORT int ferry_check_libvirt(ferry_vm *vm, const char *uri,
                                     ferry_libvirt_info *ret_info, ferry_error *reterr);

/* Adds a disk image to a VM that is up. *ret_device is its name, "/dev/sdb": the first that is
 * free, so that drives plugged one after another are named in that order; the caller's
 * (free). The drive belongs to the VM as one of ferry_add_drive() does: a later launch has it again.
 * Errors: as ferry_add_drive() (but FERRY_ESTATE: not launched), FERRY_EBUSY (locked by another
 * process), FERRY_EEXIST (a label that another drive has). On failure, and when cancelled,
 * nothing of it is left. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_plug_drive_start(ferry_vm *vm, const char *path,
                                        const ferry_drive_opts *opts, ferry_op **ret_op,
                                        ferry_error *reterr);
FERRY_EXPORT int ferry_plug_drive(ferry_vm *vm, const char *path,
                                  const ferry_drive_opts *opts, char **ret_device,
                                  ferry_error *reterr);

/* The same with an empty raw disk of `bytes` (a multiple of 512) that is gone with the VM. label
 * may be NULL. Its result is ferry_plug_drive_result()'s, too. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_plug_scratch_start(ferry_vm *vm, uint64_t bytes,
                                          const char *label, ferry_op **ret_op,
                                          ferry_error *reterr);
FERRY_EXPORT int ferry_plug_scratch(ferry_vm *vm, uint64_t bytes, const char *label,
                                    char **ret_device, ferry_error *reterr);

/* The device of a plug that has ended well. *ret_device is the caller's (free).
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_plug_drive_result(ferry_op *op, char **ret_device,
                                         ferry_error *reterr);

/* Takes a drive away from a VM that is up: "/dev/sdb", or by label. What was written to it
 * is on the host's disk when this succeeds, and qemu has closed the image. Volume groups on it are
 * deactivated. Nothing is unmounted or closed for it: a drive that is mounted, or a volume of a
 * group on it, or on which something is open (ferry_luks_open()), or that a call is writing, is
 * FERRY_EBUSY, with a message that names what is in the way, and stays as it is. Other drives keep
 * their names; a later drive may get this one's.
 * Errors: FERRY_EBUSY, FERRY_ENODEV, FERRY_EINVAL (a partition), FERRY_EIO (the flush failed; the drive
 * stays), FERRY_ESTATE. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_remove_drive_start(ferry_vm *vm, const char *device,
                                          ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_remove_drive(ferry_vm *vm, const char *device,
                                    ferry_error *reterr);

/* Starts the appliance. Progress phases: "waiting for other launches" (ferry_ctx_set_launches_max()),
 * "starting qemu", "booting", "greeting"; from a template
 * "starting qemu", "restoring", "greeting", "plugging".
 * Errors: FERRY_ELAUNCH (the message says how far it came, with the last console line),
 * FERRY_EBUSY (image locked by another process), FERRY_EFORMAT, FERRY_EMISMATCH,
 * FERRY_ETIMEDOUT, FERRY_ECANCELED, FERRY_ESTATE. After a failure the VM may be launched again.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_launch_start(ferry_vm *vm, ferry_op **ret_op,
                                    ferry_error *reterr);
FERRY_EXPORT int ferry_launch(ferry_vm *vm, ferry_error *reterr);

/* Cancels what is pending on the VM and waits for its end, unmounts, flushes to the image
 * files, and ends qemu. Success means that everything that was reported done is on the
 * host's disk. To have pending calls finished, wait for them before.
 * Errors: FERRY_EIO and friends when a flush failed: qemu is gone all the same. Cancelled, or
 * out of time (call_timeout_ms holds here too): what was not flushed may be lost, and qemu
 * ends on its own soon after; the state says when.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_shutdown_start(ferry_vm *vm, ferry_op **ret_op,
                                      ferry_error *reterr);
FERRY_EXPORT int ferry_shutdown(ferry_vm *vm, ferry_error *reterr);

/* Cancels every op of this VM that is pending now, launch included; later ones start afresh.
 * Thread: anywhere. Signal-safe: yes. What a SIGINT handler calls. Since 0.1. */
FERRY_EXPORT void ferry_vm_cancel_all(ferry_vm *vm);

/* Kills qemu at once. Pending ops, a launch too, fail with FERRY_EDEAD; nothing is flushed.
 * Thread: anywhere. Signal-safe: yes. Since 0.1. */
FERRY_EXPORT void ferry_vm_kill(ferry_vm *vm);

/* Thread: any. Since 0.1. */
FERRY_EXPORT ferry_vm_state ferry_vm_get_state(ferry_vm *vm);

/* What this VM runs on, once it is up: "tcg" or "kvm"; NULL before. Static text.
 * Thread: any. Since 0.1. */
FERRY_EXPORT const char *ferry_vm_get_accel(ferry_vm *vm);

/* Why it does not run on kvm, though that was wanted ("/dev/kvm: permission denied; ...", or how a
 * kvm guest failed to boot, now or earlier); "" if it does, or was not. After a launch.
 * *ret_text is the caller's (free).
 * Errors: FERRY_ENOMEM, FERRY_ESTATE (not launched yet). Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_vm_get_accel_reason(ferry_vm *vm, char **ret_text);

/* How this VM's large transfers go, once it has been launched; NULL before. Static text:
 *
 *     "none"     over the channel: $FERRY_LANE is "off", or the appliance is not on this machine
 *     "idle"     a lane (memory shared with the guest) is there; no transfer has been large enough
 *     "open"     through the lane, or over the channel where that is as good
 *     "refused"  over the channel: the guest could not use the lane (FERRY_TRACE=daemon says why)
 * Thread: any. Since 0.1. */
FERRY_EXPORT const char *ferry_vm_get_lane(ferry_vm *vm);

/* From now on the VM's transfers, all together, move at most so many bytes a second; 0, as at the start: no
 * limit. Those that are under way obey too, within a tenth of a second. Waiting for it is no stall (stall_ms).
 * Holes are no bytes. Thread: any. Since 0.1. */
FERRY_EXPORT void ferry_vm_set_rate_max(ferry_vm *vm, uint64_t bytes_per_second);

/* Milliseconds the last successful launch took, by phase; for doctor and the bench.
 * Thread: any. Since 0.1. */
typedef struct ferry_launch_times {
    uint32_t prepare_ms; /* argv, sockets, fork and exec */
    uint32_t boot_ms; /* until the daemon's first byte, or a template has been restored */
    uint32_t hello_ms; /* until both sides know each other */
    uint32_t total_ms;
    uint32_t drives_ms; /* plugging the drives, after a restore */
    uint32_t settle_ms; /* clock, randomness, and the guest's look at each drive */
    uint32_t restored;  /* 1: from a template */
    uint32_t template_missing; /* 1: a boot, for there was no template, or none to be
                                * believed: ferry_template_build() makes one */
} ferry_launch_times;
FERRY_EXPORT int ferry_vm_get_launch_times(ferry_vm *vm, ferry_launch_times *ret_times);

/* The last lines of the appliance's console, for bug reports, once it has been up and is DOWN
 * or DEAD; "" before. (A failed launch has the last line in its error; FERRY_TRACE=console shows all, live.)
 * *ret_text is the caller's (free).
 * Errors: FERRY_ENOMEM, FERRY_ESTATE in a forked child. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_vm_get_console(ferry_vm *vm, char **ret_text);

/* Gives the VM back. What is pending is cancelled; qemu, if it still runs, is killed without a
 * flush. NULL is allowed. Thread: any. Since 0.1. */
FERRY_EXPORT void ferry_vm_free(ferry_vm *vm);

#ifdef __cplusplus
}
#endif
#endif
