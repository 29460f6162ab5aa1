/* The verdict on kvm and its cache; see accel.h. */
#include "launch/accel.h"

#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "launch/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

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

void ferry_accel_key(const char *qemu, const char *kernel, char buf[FERRY_ACCEL_KEY])
{
    char boot[64], q[FERRY_FILE_ID], k[FERRY_FILE_ID];
    buf[0] = '\0';
    if (boot_id(boot, sizeof boot) && ferry_file_id(qemu, q) && ferry_file_id(kernel, k))
        snprintf(buf, FERRY_ACCEL_KEY, "%s %s %s", boot, q, k);
}

/* ---- the file -------------------------------------------------------------------- */

bool ferry_accel_recall(const char *key, char reason[FERRY_ACCEL_REASON])
{
    char buf[FILE_MAX];
    if (!*key || !ferry_cache_read(FILE_NAME, buf, sizeof buf))
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

void ferry_accel_remember(const char *key, const char *reason)
{
    char text[FILE_MAX], why[FERRY_ACCEL_REASON];
    if (!*key)
        return;
    snprintf(why, sizeof why, "%s", *reason ? reason : "no reason known");
    why[strcspn(why, "\n")] = '\0';
    int len = snprintf(text, sizeof text, MAGIC "\n%s\n%s\n", key, why);
    bool kept = ferry_cache_write(FILE_NAME, text, (size_t)len);
    FERRY_TRACE(launch, "kvm verdict %s: %s", kept ? "kept" : "not kept", why);
}

void ferry_accel_forget(void)
{
    ferry_cache_forget(FILE_NAME);
}
