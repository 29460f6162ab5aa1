/* Flushing, and the calls that are nothing else: sync, shutdown, ping. */
#include "flush.h"

#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"
#include "mapper.h"
#include "mount.h"
#include "mounts.h"
#include "root.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

/* ---- blocking ------------------------------------------------------------------------ */

int ferryd_flush_mount(const char *dir)
{
    FERRY_AUTO(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

/* A write that failed after its file system had let go of it is reported to whoever fsyncs the
 * device next: here. */
int ferryd_flush_device(const char *device)
{
    int readonly = 0;
    FERRY_AUTO(fd) int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, BLKROGET, &readonly) < 0)
        return -errno;
    return !readonly && fsync(fd) < 0 ? -errno : 0;
}

struct flush {
    const char *root_path; /* NULL: drives only */
    char culprit[300];
    int r;
};

static void note(struct flush *f, int r, const char *name)
{
    if (r < 0 && f->r == 0) {
        f->r = r;
        snprintf(f->culprit, sizeof f->culprit, "%s", name);
    }
}

static void flush_run(void *arg)
{
    struct flush *f = arg;
    FERRY_AUTO(mounts) struct ferryd_mounts mounts = {0};
    FERRY_AUTO(names) struct ferryd_names drives = {0};

    if (f->root_path)
        note(f, ferryd_mounts_read(f->root_path, &mounts), "/proc/self/mountinfo");
    for (size_t i = 0; i < mounts.len; i++)
        note(f, ferryd_flush_mount(mounts.at[i].dir), mounts.at[i].source);

    /* Partitions and volumes have page caches of their own; a file system that is a
     * process (ntfs-3g) writes through them. */
    for (size_t i = 0; i < mounts.len; i++)
        note(f, ferryd_flush_device(mounts.at[i].source), mounts.at[i].source);
    note(f, ferryd_scan_partitions(&drives), "partitions");
    note(f, ferryd_scan_drives(&drives), "drives");
    for (size_t i = 0; i < drives.len; i++)
        note(f, ferryd_flush_device(drives.name[i]), drives.name[i]);
}

static FERRY_CO int flush(struct ferryd_call *c, const char *root_path, ferry_error *e)
{
    struct flush f = {.root_path = root_path};
    int r = ferryd_block_bulk(flush_run, &f);
    if (r == 0 && f.r < 0)
        r = ferryd_failf(c, e, f.r, "%s: not everything could be written: %s",
                         f.culprit, ferry_strerror(f.r));
    return r;
}

int ferryd_flush_drives(struct ferryd_call *c, ferry_error *e)
{
    return flush(c, NULL, e);
}

/* ---- calls ---------------------------------------------------------------------------- */

int ferryd_ping(struct ferryd_call *c, ferry_error *e)
{
    (void)c;
    (void)e;
    return 0;
}

int ferryd_sync(struct ferryd_call *c, ferry_error *e)
{
    return flush(c, c->d->root_path, e);
}

/* The first failure is what the host hears, but everything is tried. */
int ferryd_shutdown(struct ferryd_call *c, ferry_error *e)
{
    ferry_error later;
    c->d->closing = true;
    ferryd_cancel_calls(c->d, c, -FERRY_ECANCELED);

    int first = ferryd_umount_everything(c, e);
    ferryd_release_all(c);
    int r = ferryd_flush_drives(c, first < 0 ? &later : e);
    return first < 0 ? first : r;
}
