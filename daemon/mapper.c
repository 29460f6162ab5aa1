/* Logical volumes and opened devices: see mapper.h. What there is, and what stands on what, is
 * read from sysfs; lvm and cryptsetup only change it. LUKS' own calls are in luks.c. */
#include "mapper.h"

#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "block.h"
#include "mounts.h"
#include "run.h"
#include "sysfs.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* How the device mapper's UUIDs begin: by whom a device was made. */
#define MADE_BY_LVM "LVM-"
#define MADE_BY_CRYPTSETUP "CRYPT-"

/* One that a user sees has the UUID LVM-<32 of the group><32 of the volume>; those it is made of
 * have something behind. */
#define VOLUME_UUID (strlen(MADE_BY_LVM) + 64)

/* ---- names ------------------------------------------------------------------------- */

/* A hyphen of a name is doubled, and a single one stands between group and volume. *ret_cut is set
 * where it stands; the rest is copied as it is. */
static int undouble(const char *dm_name, char *buf, size_t size, char **ret_cut)
{
    size_t n = 0;
    *ret_cut = NULL;
    for (const char *p = dm_name; *p; p++) {
        if (n + 1 >= size)
            return -ENAMETOOLONG;
        if (*p == '-' && p[1] == '-')
            p++;
        else if (*p == '-' && *ret_cut)
            return -EINVAL;
        else if (*p == '-')
            *ret_cut = buf + n;
        buf[n++] = *p;
    }
    buf[n] = '\0';
    return *ret_cut ? 0 : -EINVAL;
}

int ferryd_volume_path(const char *dm_name, char *buf, size_t size)
{
    char *cut;
    size_t n = strlen("/dev/");
    if (size <= n)
        return -ENAMETOOLONG;
    memcpy(buf, "/dev/", n);
    int r = undouble(dm_name, buf + n, size - n, &cut);
    if (r == 0)
        *cut = '/';
    return r;
}

int ferryd_volume_group(const char *dm_name, char *buf, size_t size)
{
    char *cut;
    int r = undouble(dm_name, buf, size, &cut);
    if (r == -EINVAL && cut) /* there is a second one: a part of a volume */
        r = 0;
    if (r == 0)
        *cut = '\0';
    return r;
}

/* ---- one device -------------------------------------------------------------------- */

struct mapped {
    char name[160]; /* the device mapper's */
    char uuid[160];
    char path[300]; /* as callers write it */
    dev_t dev;
};

static bool is_by(const struct mapped *m, const char *maker)
{
    return strncmp(m->uuid, maker, strlen(maker)) == 0;
}

/* disk: "dm-0". -ENOENT: not of the device mapper. */
static int look_at(const char *disk, struct mapped *ret)
{
    char path[300], dev[32];
    unsigned major = 0, minor = 0;
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/dm/uuid", disk);
    int r = ferryd_sysfs_line(path, ret->uuid, sizeof ret->uuid);
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/dm/name", disk);
    if (r == 0)
        r = ferryd_sysfs_line(path, ret->name, sizeof ret->name);
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/dev", disk);
    if (r == 0)
        r = ferryd_sysfs_line(path, dev, sizeof dev);
    if (r < 0)
        return r;

    sscanf(dev, "%u:%u", &major, &minor);
    ret->dev = makedev(major, minor);
    if (!is_by(ret, MADE_BY_LVM) ||
        ferryd_volume_path(ret->name, ret->path, sizeof ret->path) < 0)
        snprintf(ret->path, sizeof ret->path, FERRYD_MAPPER_DIR "%s", ret->name);
    return 0;
}

/* ---- lists ------------------------------------------------------------------------- */

static int add_volume(const char *disk, void *arg)
{
    struct mapped m;
    if (look_at(disk, &m) < 0 || !is_by(&m, MADE_BY_LVM) ||
        strlen(m.uuid) != VOLUME_UUID ||
        strncmp(m.path, FERRYD_MAPPER_DIR, strlen(FERRYD_MAPPER_DIR)) == 0)
        return 0;
    return ferryd_names_add(arg, m.path);
}

static int add_opened(const char *disk, void *arg)
{
    struct mapped m;
    if (look_at(disk, &m) < 0 || !is_by(&m, MADE_BY_CRYPTSETUP))
        return 0;
    return ferryd_names_add(arg, m.path);
}

static int list(struct ferryd_names *names, ferryd_sysfs_fn add)
{
    size_t old = names->len;
    int r = ferryd_sysfs_each(FERRYD_SYS_BLOCK, add, names);
    ferryd_names_sort(names, old);
    return r;
}

int ferryd_scan_opened(struct ferryd_names *names)
{
    return list(names, add_opened);
}

/* A group that is damaged must not hide the others: what could be activated is listed. */
int ferryd_scan_volumes(struct ferryd_call *c, struct ferryd_names *names,
                        ferry_error *e)
{
    static const char *const activate[] = {"lvm", "vgchange", "-ay", NULL};
    FERRY_AUTO(mem) char *why = NULL;
    size_t old = names->len;
    int r = ferryd_run_status(c, activate, NULL, NULL, &why, e);
    if (r > 0)
        FERRY_TRACE(daemon, "lvm vgchange: %s", why);
    if (r >= 0)
        r = list(names, add_volume); /* sysfs is memory: no need for the pool */
    if (names->len > old)
        c->d->volumes_activated = true;
    return r;
}

/* ---- what is in the way ------------------------------------------------------------ */

struct release {
    const char *root_path;
    const char *device; /* what is to go */
    const char *group;  /* the one that is looked at */
    struct ferryd_mounts mounts;
    struct ferryd_names groups; /* to be deactivated */
    char in_the_way[800];       /* why not */
    int r;
};

static int refuse(struct release *x, const char *what, const char *how)
{
    snprintf(x->in_the_way, sizeof x->in_the_way, "%s is %s", what, how);
    return -EBUSY;
}

static int add_group(struct release *x, const char *group)
{
    for (size_t i = 0; i < x->groups.len; i++)
        if (strcmp(x->groups.name[i], group) == 0)
            return 0;
    return ferryd_names_add(&x->groups, group);
}

static int each_above(const char *disk, ferryd_sysfs_fn fn, void *arg)
{
    char path[640]; /* of a partition, too: two names */
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/holders", disk);
    int r = ferryd_sysfs_each(path, fn, arg);
    return r == -ENOENT ? 0 : r;
}

/* What uses a volume, and is not itself of a volume group, was put there by a caller. */
static int check_above(const char *disk, void *arg)
{
    struct mapped m;
    struct release *x = arg;
    if (look_at(disk, &m) < 0 || is_by(&m, MADE_BY_LVM))
        return 0;
    return refuse(x, m.path, "open on a volume of it");
}

/* Is a device of x->group free to go? */
static int check_volume(const char *disk, void *arg)
{
    struct mapped m;
    char group[160], where[400];
    struct release *x = arg;
    if (look_at(disk, &m) < 0 || !is_by(&m, MADE_BY_LVM) ||
        ferryd_volume_group(m.name, group, sizeof group) < 0 ||
        strcmp(group, x->group) != 0)
        return 0;

    const struct ferryd_mount *mount = ferryd_mounts_of(&x->mounts, m.path, m.dev);
    if (!mount)
        return each_above(disk, check_above, x);
    snprintf(where, sizeof where, "mounted at %s",
             ferryd_guest_path(x->root_path, mount->dir));
    return refuse(x, m.path, where);
}

static int find_group(const char *disk, void *arg)
{
    struct mapped m;
    char group[160];
    struct release *x = arg;
    if (look_at(disk, &m) < 0)
        return 0;
    if (!is_by(&m, MADE_BY_LVM) || ferryd_volume_group(m.name, group, sizeof group) < 0)
        return refuse(x, m.path, "open on it");
    return add_group(x, group);
}

/* A partition is a directory within its disk's. */
static int find_group_on_partition(const char *name, void *arg)
{
    char path[600];
    struct release *x = arg;
    const char *disk = x->device + strlen("/dev/");
    if (strncmp(name, disk, strlen(disk)) != 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", disk, name);
    return each_above(path, find_group, x);
}

/* "dm-0" for /dev/mapper/secret, "sda" for /dev/sda. */
static int kernel_name(const char *device, char *buf, size_t size)
{
    struct stat st;
    char path[64], link[PATH_MAX];
    if (stat(device, &st) < 0)
        return -errno;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(st.st_rdev),
             minor(st.st_rdev));
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n < 0)
        return -errno;
    link[n] = '\0';
    const char *slash = strrchr(link, '/');
    const char *name = slash ? slash + 1 : link;
    return (size_t)snprintf(buf, size, "%s", name) < size ? 0 : -ENAMETOOLONG;
}

static void look_run(void *arg)
{
    struct release *x = arg;
    char disk[300], path[600];
    x->r = kernel_name(x->device, disk, sizeof disk);
    if (x->r == 0)
        x->r = ferryd_mounts_read(x->root_path, &x->mounts);
    if (x->r == 0)
        x->r = each_above(disk, find_group, x);
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s", disk);
    if (x->r == 0)
        x->r = ferryd_sysfs_each(path, find_group_on_partition, x);
    for (size_t i = 0; x->r == 0 && i < x->groups.len; i++) {
        x->group = x->groups.name[i];
        x->r = ferryd_sysfs_each(FERRYD_SYS_BLOCK, check_volume, x);
    }
}

/* ---- release ----------------------------------------------------------------------- */

/* What lvm cannot deactivate is in use by a call: an upload to the volume. */
static FERRY_CO int deactivate(struct ferryd_call *c, const char *device,
                               const char *group, ferry_error *e)
{
    const char *const argv[] = {"lvm", "vgchange", "-an", group, NULL};
    FERRY_AUTO(mem) char *why = NULL;
    int r = ferryd_run_status(c, argv, NULL, NULL, &why, e);
    if (r > 0)
        r = ferryd_failf(c, e, -FERRY_EBUSY,
                         "%s: is part of volume group %s, which is in use: %s", device,
                         group, why);
    return r;
}

static FERRY_CO int release(struct ferryd_call *c, struct release *x, ferry_error *e)
{
    int r = ferryd_block(look_run, x);
    if (r < 0)
        return r;
    if (x->r == -EBUSY)
        return ferryd_failf(c, e, x->r, "%s: is in use: %s", x->device, x->in_the_way);
    if (x->r < 0)
        return ferryd_fail(c, e, x->r, x->device);
    for (size_t i = 0; r == 0 && i < x->groups.len; i++)
        r = deactivate(c, x->device, x->groups.name[i], e);
    return r;
}

int ferryd_release(struct ferryd_call *c, const char *device, ferry_error *e)
{
    struct release x = {.root_path = c->d->root_path, .device = device};
    int r = release(c, &x, e);
    ferryd_mounts_free(&x.mounts);
    ferryd_names_free(&x.groups);
    return r;
}

static FERRY_CO void deactivate_all(struct ferryd_call *c)
{
    static const char *const argv[] = {"lvm", "vgchange", "-an", NULL};
    ferry_error e = {0};
    if (c->d->volumes_activated && ferryd_run(c, argv, NULL, NULL, &e) < 0)
        FERRY_TRACE(daemon, "%s", e.msg);
}

/* Volumes stand on opened devices, or these on volumes: so the volumes come twice. What stays does no
 * harm, for all of it is flushed and the guest ends here; so a failure is only told. */
void ferryd_release_all(struct ferryd_call *c)
{
    FERRY_AUTO(names) struct ferryd_names opened = {0};
    deactivate_all(c);
    if (ferryd_scan_opened(&opened) < 0 || opened.len == 0)
        return;
    for (size_t i = opened.len; i-- > 0;) {
        const char *name = opened.name[i] + strlen(FERRYD_MAPPER_DIR);
        const char *const argv[] = {"cryptsetup", "close", name, NULL};
        ferry_error e = {0};
        if (ferryd_run(c, argv, NULL, NULL, &e) < 0)
            FERRY_TRACE(daemon, "%s", e.msg);
    }
    deactivate_all(c);
}
