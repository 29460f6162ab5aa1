/* Calls that change what is mounted: mount, mount_ro, umount, umount_all. The kernel's mount table
 * (mounts.h) is the only record of it; struct ferryd's root follows. One of these runs at a time
 * (ferryd.mounting). Flushing is in flush.c. */
#include "mount.h"

#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "block.h"
#include "devices.h"
#include "flush.h"
#include "mounts.h"
#include "probe.h"
#include "root.h"
#include "run.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Nothing of an image is run, its device nodes mean nothing here (and must not reach the
 * appliance's devices), and looking at a file does not change it. */
#define MOUNT_FLAGS (MS_NOATIME | MS_NODEV | MS_NOSUID | MS_NOEXEC)

/* ---- types --------------------------------------------------------------------------- */

static const struct ferryd_fstype types[] = {
    {"ext2", NULL, NULL, NULL},
    {"ext3", NULL, "noload", NULL},
    {"ext4", NULL, "noload", NULL},
    {"xfs", NULL, "norecovery", NULL},
    {"btrfs", NULL, "rescue=nologreplay", NULL},
    {"vfat", "utf8=1,shortname=mixed", NULL, NULL},
    /* big_writes: else every page is a message to ntfs-3g and back. */
    {"ntfs", "big_writes,noatime,nodev,nosuid,noexec", NULL, "ntfs-3g"},
};

const struct ferryd_fstype *ferryd_fstype_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const char *ferryd_join_options(const char *a, const char *b, char *buf, size_t size)
{
    snprintf(buf, size, "%s%s%s", a ? a : "", a && b ? "," : "", b ? b : "");
    return buf;
}

/* ---- before mounting ------------------------------------------------------------------ */

struct mounting {
    const char *device;
    const char *root_path;
    int root; /* O_PATH; -1 when the mountpoint is "/" */
    const char *mountpoint;
    bool want_ro;

    struct ferryd_probe probe;
    const struct ferryd_fstype *type; /* NULL: one without an entry */
    bool drive_ro;                    /* the device takes no writes */
    char dir[PATH_MAX];               /* the mountpoint in the appliance, no symlinks */
    const char *taken;                /* what is in the way: "device", "mountpoint" */
    char by[PATH_MAX];
    bool norec; /* mounted without the journal's last word */
    int r;
};

static int find_dir(struct mounting *m)
{
    char link[64];
    if (m->root < 0) {
        snprintf(m->dir, sizeof m->dir, "%s", m->root_path);
        return 0;
    }

    FERRY_AUTO(fd) int fd =
        ferryd_at_open(m->root, m->mountpoint, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, m->dir, sizeof m->dir - 1);
    if (n < 0)
        return -errno;
    m->dir[n] = '\0';
    return 0;
}

static int check_free(struct mounting *m)
{
    FERRY_AUTO(mounts) struct ferryd_mounts all = {0};
    struct stat st;
    if (stat(m->device, &st) < 0)
        return -errno;
    int r = ferryd_mounts_read(m->root_path, &all);
    if (r < 0)
        return r;

    const struct ferryd_mount *other = ferryd_mounts_of(&all, m->device, st.st_rdev);
    m->taken = other ? "device" : NULL;
    if (!other) {
        other = ferryd_mounts_at(&all, m->dir);
        m->taken = other ? "mountpoint" : NULL;
    }
    if (!other)
        return 0;
    snprintf(m->by, sizeof m->by, "%s",
             strcmp(m->taken, "device") == 0
                 ? ferryd_guest_path(m->root_path, other->dir)
                 : other->source);
    return -EBUSY;
}

static void prepare_run(void *arg)
{
    struct mounting *m = arg;
    int readonly = 0;
    FERRY_AUTO(fd) int fd = open(m->device, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, BLKROGET, &readonly) < 0) {
        m->r = -errno;
        return;
    }
    m->drive_ro = readonly != 0;

    m->r = find_dir(m);
    if (m->r == 0)
        m->r = check_free(m);
    if (m->r == 0)
        m->r = ferryd_probe(m->device, &m->probe);
    m->type = ferryd_fstype_find(m->probe.type);
}

static int fail_prepare(struct ferryd_call *c, const struct mounting *m, ferry_error *e)
{
    if (m->r == -EBUSY && m->taken && strcmp(m->taken, "device") == 0)
        return ferryd_failf(c, e, m->r, "%s: mounted already, at %s", m->device, m->by);
    if (m->r == -EBUSY && m->taken)
        return ferryd_failf(c, e, m->r, "%s: %s is mounted there already",
                            m->mountpoint, m->by);
    if (m->r == -EUCLEAN)
        return ferryd_failf(c, e, -FERRY_ENODEV,
                            "%s: holds traces of more than one file system", m->device);
    return ferryd_fail(c, e, m->r,
                       m->r == -ENOENT || m->r == -ENOTDIR ? m->mountpoint : m->device);
}

/* What is no file system gets told what it is. */
static int check_type(struct ferryd_call *c, const struct mounting *m, ferry_error *e)
{
    const char *t = m->probe.type;
    if (t[0] == '\0' && m->probe.table[0] != '\0')
        return ferryd_failf(
            c, e, -FERRY_ENODEV,
            "%s: a partition table (%s), no file system; mount one of its "
            "partitions",
            m->device, m->probe.table);
    if (t[0] == '\0')
        return ferryd_failf(c, e, -FERRY_ENODEV, "%s: no file system that we know",
                            m->device);
    if (strcmp(t, "swap") == 0 || strncmp(t, "crypto_", 7) == 0 || strstr(t, "_member"))
        return ferryd_failf(c, e, -FERRY_ENODEV, "%s: holds %s, no file system",
                            m->device, t);
    return 0;
}

/* ---- mounting --------------------------------------------------------------------------- */

/* On a read-only device the kernel cannot replay a journal and refuses; without the replay
 * the tree is as it was at the last checkpoint, which beats nothing. */
static void mount_run(void *arg)
{
    struct mounting *m = arg;
    const char *options = m->type ? m->type->options : NULL;
    unsigned long flags = MOUNT_FLAGS | (m->want_ro || m->drive_ro ? MS_RDONLY : 0);
    char both[128];

    m->r = mount(m->device, m->dir, m->probe.type, flags, options) < 0 ? -errno : 0;
    if (m->r == 0 || !m->drive_ro || !m->type || !m->type->norec)
        return;

    options = ferryd_join_options(options, m->type->norec, both, sizeof both);
    if (mount(m->device, m->dir, m->probe.type, flags, options) == 0) {
        m->norec = true;
        m->r = 0;
    }
}

static int fail_mount(struct ferryd_call *c, const struct mounting *m, ferry_error *e)
{
    const char *t = m->probe.type;
    switch (-m->r) {
    case ENODEV:
        return ferryd_failf(c, e, -FERRY_ENODEV, "%s: the appliance cannot mount %s",
                            m->device, t);
    case EUCLEAN:
    case EINVAL:
    case EBADMSG:
        return ferry_fail_os(e, -FERRY_EINVAL, -m->r, c->entry->name,
                             "%s: damaged %s file system", m->device, t);
    default: return ferryd_fail(c, e, m->r, m->device);
    }
}

/* Not to be stopped half-way: a mount that the host was told is cancelled would be in the way
 * of the next. It ends as a success. */
static FERRY_CO int mount_kernel(struct ferryd_call *c, struct mounting *m,
                                 ferry_error *e)
{
    int r = ferryd_block(mount_run, m);
    if (r == 0 && m->r < 0)
        r = fail_mount(c, m, e);
    return r;
}

static void undo_run(void *arg)
{
    umount2(arg, MNT_DETACH | UMOUNT_NOFOLLOW); /* EINVAL: it had not come so far */
}

/* A helper that was killed or failed may have mounted before that. */
static FERRY_CO void undo_mount(struct mounting *m)
{
    ferryd_clean_up(undo_run, m->dir);
}

static FERRY_CO int mount_program(struct ferryd_call *c, struct mounting *m,
                                  ferry_error *e)
{
    char options[128];
    bool ro = m->want_ro || m->drive_ro;
    ferryd_join_options(m->type->options, ro ? "ro" : NULL, options, sizeof options);
    const char *const argv[] = {m->type->program, "-o",   options,
                                m->device,        m->dir, NULL};
    int r = ferryd_run(c, argv, NULL, NULL, e);
    if (r == 0)
        c->d->fuse = true;
    else
        undo_mount(m);
    return r;
}

static FERRY_CO int mount_prepared(struct ferryd_call *c, struct mounting *m,
                                   ferry_error *e)
{
    int r = check_type(c, m, e);
    if (r == 0)
        r = m->type && m->type->program ? mount_program(c, m, e) : mount_kernel(c, m, e);
    if (r == 0 && m->root < 0)
        r = ferryd_root_open(c->d);
    if (r == 0 && m->norec) {
        char text[512];
        snprintf(text, sizeof text,
                 "%s: mounted without replaying its journal, because the drive is "
                 "read-only; the last changes may be missing",
                 m->device);
        ferry_conn_log(c->d->conn, text);
    }
    return r;
}

static FERRY_CO int do_mount(struct ferryd_call *c, const char *device,
                             const char *mountpoint, bool ro, ferry_error *e)
{
    struct mounting m = {
        .device = device,
        .root_path = c->d->root_path,
        .root = -1,
        .mountpoint = mountpoint,
        .want_ro = ro,
    };
    FERRY_AUTO(file) ferry_file *root = NULL;
    bool at_root = mountpoint[0] == '/' && strspn(mountpoint, "/") == strlen(mountpoint);
    int r = at_root ? 0 : ferryd_root_get(c, &root, e);
    if (r == 0)
        r = ferryd_need_device(c, device, e);
    if (r < 0)
        return r;

    m.root = root ? root->fd : -1;
    r = ferryd_block(prepare_run, &m);
    if (r == 0 && m.r < 0)
        r = fail_prepare(c, &m, e);
    return r < 0 ? r : mount_prepared(c, &m, e);
}

static FERRY_CO int mount_alone(struct ferryd_call *c, const char *device,
                                const char *mountpoint, bool ro, ferry_error *e)
{
    int r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = do_mount(c, device, mountpoint, ro, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}

int ferryd_mount(struct ferryd_call *c, const fx_mount_args *a, ferry_error *e)
{
    return mount_alone(c, a->device, a->mountpoint, false, e);
}

int ferryd_mount_ro(struct ferryd_call *c, const fx_mount_ro_args *a, ferry_error *e)
{
    return mount_alone(c, a->device, a->mountpoint, true, e);
}

/* ---- unmounting ---------------------------------------------------------------------------- */

struct unmounting {
    const char *root_path;
    const char *dir;
    const char *source;
    char below[PATH_MAX]; /* guest path of what is mounted below; "" */
    int r;
};

static void unmount_run(void *arg)
{
    struct unmounting *u = arg;
    FERRY_AUTO(mounts) struct ferryd_mounts all = {0};
    u->r = ferryd_flush_mount(u->dir);
    if (u->r < 0)
        return;

    if (umount2(u->dir, UMOUNT_NOFOLLOW) < 0) {
        u->r = -errno;
        if (u->r == -EBUSY && ferryd_mounts_read(u->root_path, &all) == 0) {
            const struct ferryd_mount *m = ferryd_mounts_below(&all, u->dir);
            if (m)
                snprintf(u->below, sizeof u->below, "%s",
                         ferryd_guest_path(u->root_path, m->dir));
        }
        return;
    }
    u->r = ferryd_flush_device(u->source);
}

/* O_PATH on the root keeps it busy: closed first, and opened again if it stays mounted. */
static FERRY_CO int unmount_one(struct ferryd_call *c, const struct ferryd_mount *m,
                                ferry_error *e)
{
    struct ferryd *d = c->d;
    struct unmounting u = {.root_path = d->root_path, .dir = m->dir, .source = m->source};
    bool is_root = strcmp(m->dir, d->root_path) == 0;
    if (is_root)
        ferryd_root_close(d);

    int r = ferryd_block_bulk(unmount_run, &u);
    if (r == 0)
        r = u.r;
    if (r == 0)
        return 0;

    const char *path = ferryd_guest_path(d->root_path, m->dir);
    if (is_root && r == -EBUSY)
        ferryd_root_open(d);
    if (r == -EBUSY && u.below[0])
        return ferryd_failf(c, e, r, "%s: %s is mounted below it", path, u.below);
    if (r == -EBUSY)
        return ferryd_failf(c, e, r, "%s: a call still uses it", path);
    return ferryd_failf(c, e, r, "%s (%s): %s", path, m->source, ferry_strerror(r));
}

struct finding {
    struct mounting place;
    struct ferryd_mounts all;
    const struct ferryd_mount *found;
    int r;
};

static void find_run(void *arg)
{
    struct finding *f = arg;
    struct mounting *p = &f->place;
    struct stat st;
    f->r = ferryd_mounts_read(p->root_path, &f->all);
    if (f->r < 0)
        return;

    if (ferryd_is_device(p->device) && stat(p->device, &st) == 0)
        f->found = ferryd_mounts_of(&f->all, p->device, st.st_rdev);
    if (!f->found && find_dir(p) == 0)
        f->found = ferryd_mounts_at(&f->all, p->dir);
    f->r = f->found ? 0 : -EINVAL;
}

static FERRY_CO int do_umount(struct ferryd_call *c, const char *what, ferry_error *e)
{
    struct finding f = {.place = {
                            .device = what,
                            .mountpoint = what,
                            .root_path = c->d->root_path,
                        }};
    FERRY_AUTO(file) ferry_file *root = NULL;
    int r = ferryd_root_get(c, &root, e);
    if (r < 0)
        return r;

    f.place.root = root->fd;
    r = ferryd_block(find_run, &f);
    ferry_file_unref(ferry_take(&root)); /* would keep it busy */
    if (r == 0 && f.r == -EINVAL)
        r = ferryd_failf(c, e, -FERRY_EINVAL, "%s: not mounted", what);
    else if (r == 0 && f.r < 0)
        r = ferryd_fail(c, e, f.r, what);
    if (r == 0)
        r = unmount_one(c, f.found, e);
    ferryd_mounts_free(&f.all);
    return r;
}

int ferryd_umount(struct ferryd_call *c, const fx_umount_args *a, ferry_error *e)
{
    int r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = do_umount(c, a->pathordevice, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}

int ferryd_umount_everything(struct ferryd_call *c, ferry_error *e)
{
    FERRY_AUTO(mounts) struct ferryd_mounts all = {0};
    ferry_error later; /* the first failure is the one that counts */
    int first = ferry_sem_get(&c->d->mounting);
    if (first < 0)
        return first;

    first = ferryd_mounts_read(c->d->root_path, &all);
    if (first < 0)
        ferryd_fail(c, e, first, "/proc/self/mountinfo");
    for (size_t i = all.len; i-- > 0;) {
        int r = unmount_one(c, &all.at[i], first < 0 ? &later : e);
        if (first == 0)
            first = r;
    }
    ferry_sem_put(&c->d->mounting);
    return first;
}

int ferryd_umount_all(struct ferryd_call *c, ferry_error *e)
{
    return ferryd_umount_everything(c, e);
}
