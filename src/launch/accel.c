/* The verdict on kvm and its cache; see accel.h. */
#include "launch/accel.h"

#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "guestferry-kvm 1"
#define FILE_NAME "kvm"
/* Magic, key, reason, and their line ends. */
#define FILE_MAX (sizeof MAGIC + FERRY_ACCEL_KEY + FERRY_ACCEL_REASON + 3)

int ferry_accel_kvm_opens(ferry_error *e)
{
    FERRY_AUTO(fd) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    int err = errno;
    const char *hint = err == EACCES ? "; is the user in the group kvm?"
                       : err == ENOENT
                           ? "; no virtualisation here, or its module is not "
                             "loaded"
                           : "";
    return ferry_fail_os(e, -FERRY_ELAUNCH, err, "launch", "/dev/kvm: %s%s",
                         ferry_strerror(err), hint);
}

/* ---- the key --------------------------------------------------------------------- */

static bool boot_id(char *buf, size_t size)
{
    FERRY_AUTO(fd) int fd =
        open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return true;
}

/* A package upgrade makes another file: inode and time say so without running it. */
static bool file_id(const char *path, char *buf, size_t size)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    snprintf(buf, size, "%jx:%jx:%jx:%jx.%lx", (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino, (uintmax_t)st.st_size, (uintmax_t)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec);
    return true;
}

void ferry_accel_key(const char *qemu, const char *kernel, char buf[FERRY_ACCEL_KEY])
{
    char boot[64], q[88], k[88];
    buf[0] = '\0';
    if (boot_id(boot, sizeof boot) && file_id(qemu, q, sizeof q) &&
        file_id(kernel, k, sizeof k))
        snprintf(buf, FERRY_ACCEL_KEY, "%s %s %s", boot, q, k);
}

/* ---- the directory --------------------------------------------------------------- */

/* Nobody else can have put something there. Root in another user's home has no cache,
 * rather than leaving files that the user cannot remove. */
static bool is_ours(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022);
}

/* Opens name in parent, making it if asked to. */
static int open_dir(int parent, const char *name, bool create)
{
    if (create && mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return -1;
    FERRY_AUTO(fd) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && is_ours(fd) ? ferry_take_fd(&fd) : -1;
}

/* guestferry's directory in the user's cache, or -1. */
static int cache_dir(bool create)
{
    const char *xdg = secure_getenv("XDG_CACHE_HOME");
    const char *home = secure_getenv("HOME");
    FERRY_AUTO(fd) int base = -1;
    if (xdg && xdg[0] == '/') {
        base = open_dir(AT_FDCWD, xdg, create);
    } else if (home && home[0] == '/') {
        FERRY_AUTO(fd) int top = open_dir(AT_FDCWD, home, false);
        base = top < 0 ? -1 : open_dir(top, ".cache", create);
    }
    return base < 0 ? -1 : open_dir(base, "guestferry", create);
}

/* ---- the file -------------------------------------------------------------------- */

static bool read_file(int dir, char buf[FILE_MAX])
{
    FERRY_AUTO(fd)
    int fd = openat(dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || !is_ours(fd) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    ssize_t n = read(fd, buf, FILE_MAX - 1);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

bool ferry_accel_recall(const char *key, char reason[FERRY_ACCEL_REASON])
{
    char buf[FILE_MAX];
    FERRY_AUTO(fd) int dir = cache_dir(false);
    if (!*key || dir < 0 || !read_file(dir, buf))
        return false;

    char *save = NULL;
    const char *magic = strtok_r(buf, "\n", &save);
    const char *about = strtok_r(NULL, "\n", &save);
    const char *why = strtok_r(NULL, "\n", &save);
    if (!magic || !about || !why || strcmp(magic, MAGIC) != 0 || strcmp(about, key) != 0)
        return false;
    snprintf(reason, FERRY_ACCEL_REASON, "%s", why);
    return true;
}

/* Whole or not at all: temporary and rename. Not synced; it is a cache. */
void ferry_accel_remember(const char *key, const char *reason)
{
    FERRY_AUTO(fd) int dir = cache_dir(true);
    if (!*key || dir < 0)
        return;

    char text[FILE_MAX], temp[40], why[FERRY_ACCEL_REASON];
    snprintf(why, sizeof why, "%s", *reason ? reason : "no reason known");
    why[strcspn(why, "\n")] = '\0';
    int len = snprintf(text, sizeof text, MAGIC "\n%s\n%s\n", key, why);
    snprintf(temp, sizeof temp, FILE_NAME ".%d", (int)gettid());

    unlinkat(dir, temp, 0); /* left by a thread of our id that was killed here */
    FERRY_AUTO(fd) int fd =
        openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, (size_t)len) == len &&
              renameat(dir, temp, dir, FILE_NAME) == 0;
    if (fd >= 0 && !ok)
        unlinkat(dir, temp, 0);
    FERRY_TRACE(launch, "kvm verdict %s: %s", ok ? "kept" : "not kept", why);
}

void ferry_accel_forget(void)
{
    FERRY_AUTO(fd) int dir = cache_dir(false);
    if (dir >= 0)
        unlinkat(dir, FILE_NAME, 0);
}
