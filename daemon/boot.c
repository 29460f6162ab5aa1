/* What stands between the kernel's exec of /init and the first call: see boot.h.
 *
 * Owns nothing afterwards but mounts and the environment. What appliance/build makes is
 * the other half: the initramfs with BOOT_MODULES and the mount points, and USR_DISK.
 * File system modules are not loaded here: the kernel runs /sbin/modprobe when
 * something is mounted. LVM is activated by the calls that look for volumes. */
#include "boot.h"

#include "base/auto.h"
#include "modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <mntent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BOOT_MODULES "/etc/ferryd/boot-modules"

/* appliance/build's usr.img, on qemu's command line as virtio-blk. */
#define USR_DISK "/dev/vda"

/* The channel's name on qemu's command line (virtserialport,name=). */
#define PORT_NAME "org.guestferry.0"

/* LVM records it as the creator of what it makes. */
#define HOSTNAME "guestferry"

/* The longest silence of the kernel while we wait for the port. A port that qemu has
 * takes milliseconds; the launch's real deadline is the host's. This one makes an
 * appliance started without a port say so instead of sitting there. */
#define PORT_SILENCE_MS 30000

static int complain(int code, const char *what, const char *arg)
{
    dprintf(STDERR_FILENO, "ferryd: %s %s: %s\n", what, arg, strerror(-code));
    return code;
}

static uint64_t boottime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- mounts and environment ------------------------------------------------------ */

static int mount_kernel_filesystems(void)
{
    static const struct {
        const char *type, *where;
        unsigned long flags;
        const char *options;
    } mounts[] = {
        {"devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755"},
        {"proc", "/proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
        {"sysfs", "/sys", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
        {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"},
        {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"},
    };

    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        if (mount(mounts[i].type, mounts[i].where, mounts[i].type, mounts[i].flags,
                  mounts[i].options) < 0)
            return complain(-errno, "mount", mounts[i].where);
    }

    mkdir("/run/lock", 0755); /* lvm and cryptsetup keep their locks below */
    return 0;
}

/* What the programs we run inherit. There is no udev: device-mapper must make its nodes
 * itself and not wait for anybody to confirm them. */
static void set_environment(void)
{
    static const char *const env[][2] = {
        {"PATH", "/usr/sbin:/usr/bin"},
        {"HOME", "/"},
        {"LC_ALL", "C.UTF-8"},
        {"TMPDIR", "/tmp"},
        {"DM_DISABLE_UDEV", "1"},
        {"LVM_SYSTEM_DIR", "/etc/lvm"},
        {"LVM_SUPPRESS_FD_WARNINGS", "1"},
    };

    clearenv();
    for (size_t i = 0; i < sizeof env / sizeof env[0]; i++)
        setenv(env[i][0], env[i][1], 1);

    umask(0); /* modes are the caller's, exactly */
    if (sethostname(HOSTNAME, strlen(HOSTNAME)) < 0)
        complain(-errno, "sethostname", HOSTNAME);
}

/* Nobody types at the console; a program that asks a question gets the end of file. */
static void close_stdin(void)
{
    FERRY_AUTO(fd) int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        dup2(fd, STDIN_FILENO);
}

/* ---- disks ----------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    FERRY_AUTO(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return complain(-errno, "write", path);
    return 0;
}

/* The kernel leaves disks alone until the host names one (drives.c). By itself it would ask each
 * of virtio-scsi's 256 targets (65 ms under TCG) and hand the disks to several workers at once,
 * so that sda may be the second. */
static int hold_disks(void)
{
    return write_file("/sys/bus/scsi/drivers_autoprobe", "0");
}

/* The programs we run and the file system modules, on a disk of the appliance's own: in
 * the initramfs they would be unpacked at every launch. The only virtio-blk disk: the
 * user's are SCSI, so it takes no name of theirs. */
static int mount_usr(void)
{
    unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME;
    if (mount(USR_DISK, "/usr", "ext4", flags, NULL) < 0)
        return complain(-errno, "mount /usr from", USR_DISK);
    return 0;
}

/* ---- the channel ----------------------------------------------------------------- */

/* Kernel events, so that a port that is not there yet can be waited for. Opened before
 * the modules are loaded: what happens in between is queued, not lost. */
static int open_uevents(int *ret_fd)
{
    struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    FERRY_AUTO(fd) int fd = socket(AF_NETLINK, type, NETLINK_KOBJECT_UEVENT);
    if (fd < 0 || bind(fd, (struct sockaddr *)&all, sizeof all) < 0)
        return complain(-errno, "open", "kernel events");

    *ret_fd = ferry_take_fd(&fd);
    return 0;
}

/* Is the port /sys/class/virtio-ports/DIR ours? It has no name until qemu has said
 * it. */
static bool has_port_name(int ports, const char *dir)
{
    char path[300], name[sizeof PORT_NAME + 1] = "";
    snprintf(path, sizeof path, "%s/name", dir);

    FERRY_AUTO(fd) int fd = openat(ports, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, name, sizeof name - 1);
    return n == (ssize_t)sizeof PORT_NAME &&
           strncmp(name, PORT_NAME "\n", (size_t)n) == 0;
}

/* Opens the port if it is there. -ENOENT: not yet. */
static int try_open_port(int *ret_fd)
{
    DIR *ports = opendir("/sys/class/virtio-ports");
    if (!ports)
        return -errno;

    int r = -ENOENT;
    for (struct dirent *e; r == -ENOENT && (e = readdir(ports));) {
        if (e->d_name[0] == '.' || !has_port_name(dirfd(ports), e->d_name))
            continue;

        char dev[300];
        snprintf(dev, sizeof dev, "/dev/%s", e->d_name);
        int fd = open(dev, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        r = fd < 0 ? complain(-errno, "open", dev) : 0;
        if (r == 0)
            *ret_fd = fd;
    }
    closedir(ports);
    return r;
}

/* Only that something happened counts, not what; events the queue had no room for
 * (ENOBUFS) count too. */
static void drain(int events)
{
    char event[4096];
    ssize_t n;
    do {
        n = recv(events, event, sizeof event, 0);
    } while (n >= 0 || errno == ENOBUFS || errno == EINTR);
}

/* Any event may be the one that named our port; sysfs says whether it was. */
static int wait_for_port(int events, int *ret_fd)
{
    for (;;) {
        drain(events);
        int r = try_open_port(ret_fd);
        if (r != -ENOENT)
            return r;

        struct pollfd pfd = {.fd = events, .events = POLLIN};
        if (poll(&pfd, 1, PORT_SILENCE_MS) == 0)
            return complain(-ETIMEDOUT, "no virtio-serial port named", PORT_NAME);
    }
}

/* ---- public ---------------------------------------------------------------------- */

int ferryd_boot(struct ferryd_boot *ret)
{
    struct ferryd_boot boot = {.port = -1, .entered_us = boottime_us()};
    FERRY_AUTO(fd) int events = -1;

    set_environment();
    int r = mount_kernel_filesystems();
    if (r == 0)
        r = open_uevents(&events);
    if (r == 0)
        r = ferryd_modules_load(BOOT_MODULES);
    if (r == 0)
        r = hold_disks();
    if (r == 0)
        r = mount_usr();
    if (r < 0)
        return r;
    close_stdin();
    boot.modules_us = boottime_us();

    r = wait_for_port(events, &boot.port);
    if (r < 0)
        return r;
    boot.port_us = boottime_us();

    *ret = boot;
    return 0;
}

/* The last mounted first: nothing is on top of it. Takes the list from its end, by
 * recursion, because unmounting changes the file that is being read. */
static void unmount_from(FILE *mounts)
{
    struct mntent entry;
    char text[2 * PATH_MAX];
    while (getmntent_r(mounts, &entry, text, sizeof text)) {
        if (strncmp(entry.mnt_dir, FERRYD_SYSROOT, strlen(FERRYD_SYSROOT)) == 0) {
            unmount_from(mounts);
            umount2(entry.mnt_dir, 0); /* a busy one keeps what sync() wrote */
        }
    }
}

_Noreturn void ferryd_poweroff(void)
{
    sync(); /* first: a mount that is busy keeps what it has written even so */
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    if (mounts)
        unmount_from(mounts);
    sync();
    reboot(RB_POWER_OFF);

    /* Not PID 1's machine to stop (a test on the host), or the kernel refused. */
    _exit(EXIT_FAILURE);
}
