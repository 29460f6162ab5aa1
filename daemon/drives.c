/* attach_drive and detach_drive; see drives.h. The bus neither scans nor binds by itself
 * (boot.c) and qemu's controller sends no events (argv.c), so nothing appears or
 * vanishes but by these two calls.
 *
 *      attach   scan the target -> bind sd, which reads the partition table -> its name
 *      detach   deactivate its volume groups -> claim the disk -> flush -> delete it -> the
 *               host may take it away */
#include "drives.h"

#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "call.h"
#include "devices.h"
#include "flush.h"
#include "mapper.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SCSI_DEVICES "/sys/bus/scsi/devices"

/* ---- labels ------------------------------------------------------------------------ */

static void label_free(struct ferryd_label *l)
{
    ferry_list_remove(&l->link);
    free(l->label);
    free(l->device);
    free(l);
}

void ferryd_labels_free(struct ferryd *d)
{
    ferry_list *l;
    while ((l = ferry_list_pop(&d->labels)))
        label_free(ferry_container(l, struct ferryd_label, link));
}

static int add_label(struct ferryd *d, const char *label, const char *device)
{
    struct ferryd_label *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    ferry_list_init(&l->link);
    l->label = strdup(label);
    l->device = strdup(device);
    if (!l->label || !l->device) {
        label_free(l);
        return -ENOMEM;
    }
    ferry_list_append(&d->labels, &l->link);
    return 0;
}

static void drop_label(struct ferryd *d, const char *device)
{
    ferry_list_each (struct ferryd_label, l, &d->labels, link)
        if (strcmp(l->device, device) == 0)
            label_free(l);
}

/* The digits at the end are a partition's: a label does not end in one. */
int ferryd_resolve_label(struct ferryd *d, char **path)
{
    size_t prefix = strlen(FERRYD_LABELS);
    if (strncmp(*path, FERRYD_LABELS, prefix) != 0)
        return 0;
    const char *name = *path + prefix;
    size_t len = strlen(name);
    while (len > 0 && isdigit((unsigned char)name[len - 1]))
        len--;

    ferry_list_each (struct ferryd_label, l, &d->labels, link) {
        if (strlen(l->label) != len || memcmp(l->label, name, len) != 0)
            continue;
        char *device = NULL;
        if (asprintf(&device, "%s%s", l->device, name + len) < 0)
            return -ENOMEM;
        free(*path);
        *path = device;
        return 0;
    }
    return 0;
}

/* ---- sysfs, blocking --------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    FERRY_AUTO(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The first name in a directory that begins with `prefix`. */
static int find_name(const char *dir, const char *prefix, char name[NAME_MAX + 1])
{
    DIR *d = opendir(dir);
    if (!d)
        return -errno;
    int r = -ENODEV;
    for (struct dirent *e; r < 0 && (e = readdir(d));)
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && e->d_name[0] != '.') {
            snprintf(name, NAME_MAX + 1, "%s", e->d_name);
            r = 0;
        }
    closedir(d);
    return r;
}

struct attach {
    uint32_t target;
    char device[NAME_MAX + 8]; /* "/dev/sda" */
    int r;
};

/* -ENODEV: the kernel found nothing there. */
static int scan_target(const char *host, const char *address, uint32_t target)
{
    char path[PATH_MAX], text[32];
    snprintf(path, sizeof path, SCSI_DEVICES "/%s", address);
    if (access(path, F_OK) == 0)
        return 0;
    snprintf(path, sizeof path, "/sys/class/scsi_host/%s/scan", host);
    snprintf(text, sizeof text, "0 %u 0", target);
    int r = write_file(path, text);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, SCSI_DEVICES "/%s", address);
    return access(path, F_OK) < 0 ? -ENODEV : 0;
}

/* Binding by hand returns when the partition table has been read. */
static int bind_disk(const char *address, char name[NAME_MAX + 1])
{
    char block[PATH_MAX];
    snprintf(block, sizeof block, SCSI_DEVICES "/%s/block", address);
    if (find_name(block, "sd", name) == 0)
        return 0;
    int r = write_file("/sys/bus/scsi/drivers/sd/bind", address);
    return r < 0 ? r : find_name(block, "sd", name);
}

static void attach_run(void *arg)
{
    struct attach *a = arg;
    char host[NAME_MAX + 1], name[NAME_MAX + 1], address[NAME_MAX + 32];
    a->r = find_name("/sys/class/scsi_host", "host", host);
    if (a->r < 0)
        return;
    snprintf(address, sizeof address, "%s:0:%u:0", host + strlen("host"), a->target);
    a->r = scan_target(host, address, a->target);
    if (a->r == 0)
        a->r = bind_disk(address, name);
    if (a->r == 0)
        snprintf(a->device, sizeof a->device, "/dev/%s", name);
}

struct detach {
    const char *device;
    uint32_t target;
    int r;
};

/* "../../../0:0:3:0" is target 3. */
static int find_target(const char *disk, char path[PATH_MAX], uint32_t *ret)
{
    char link[PATH_MAX];
    snprintf(path, PATH_MAX, "/sys/block/%s/device", disk);
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n < 0)
        return -errno;
    link[n] = '\0';
    const char *base = strrchr(link, '/');
    return sscanf(base ? base + 1 : link, "%*u:%*u:%u:", ret) == 1 ? 0 : -ENODEV;
}

/* Each has a page cache of its own. */
static int flush_disk(const char *device)
{
    FERRY_AUTO(names) struct ferryd_names parts = {0};
    int r = ferryd_scan_partitions(&parts);
    size_t n = strlen(device);
    for (size_t i = 0; r == 0 && i < parts.len; i++)
        if (strncmp(parts.name[i], device, n) == 0 &&
            isdigit((unsigned char)parts.name[i][n]))
            r = ferryd_flush_device(parts.name[i]);
    return r < 0 ? r : ferryd_flush_device(device);
}

/* The claim is what a mount, a volume group, swap or a program has on it or one of its
 * partitions, too; while we have it, none of them can come. */
static void detach_run(void *arg)
{
    struct detach *d = arg;
    char path[PATH_MAX];
    const char *disk = d->device + strlen("/dev/");
    d->r = find_target(disk, path, &d->target);
    if (d->r < 0)
        return;
    FERRY_AUTO(fd) int claim = open(d->device, O_RDONLY | O_EXCL | O_CLOEXEC);
    d->r = claim < 0 ? -errno : flush_disk(d->device);
    if (d->r < 0)
        return;
    strncat(path, "/delete", sizeof path - strlen(path) - 1);
    d->r = write_file(path, "1");
}

/* ---- who has it -------------------------------------------------------------------- */

/* Another call of this daemon that has the disk or a partition open (an upload to it), or
 * a program that one runs (mkfs): neither claims what it opens. */
static bool links_to(const char *dir, const char *device)
{
    DIR *d = opendir(dir);
    bool found = false;
    size_t n = strlen(device);
    if (!d)
        return false;
    for (struct dirent *e; !found && (e = readdir(d));) {
        char link[PATH_MAX];
        ssize_t len = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
        if (len < (ssize_t)n)
            continue;
        link[len] = '\0';
        found = strncmp(link, device, n) == 0 &&
                link[n + strspn(link + n, "0123456789")] == '\0';
    }
    closedir(d);
    return found;
}

static bool is_open_somewhere(const char *device)
{
    DIR *d = opendir("/proc");
    bool found = false;
    if (!d)
        return false;
    for (struct dirent *e; !found && (e = readdir(d));) {
        char path[NAME_MAX + 16];
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%s/fd", e->d_name);
        found = links_to(path, device);
    }
    closedir(d);
    return found;
}

static void busy_run(void *arg)
{
    struct detach *d = arg;
    d->r = is_open_somewhere(d->device) ? -EBUSY : 0;
}

/* ---- calls ------------------------------------------------------------------------- */

/* One at a time and first come, first served: the order of the calls is that of the names. */
int ferryd_attach_drive(struct ferryd_call *c, const fx_attach_drive_args *a,
                        fx_attach_drive_ret *ret, ferry_error *e)
{
    struct attach work = {.target = a->target};
    int r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = ferryd_block(attach_run, &work);
    ferry_sem_put(&c->d->mounting);

    if (r == 0 && work.r < 0)
        return ferryd_failf(c, e, work.r, "the drive at target %u: %s", a->target,
                            ferry_strerror(work.r));
    if (r == 0 && *a->label)
        r = add_label(c->d, a->label, work.device);
    if (r == 0 && !(ret->value = strdup(work.device)))
        r = -ENOMEM;
    return r;
}

static FERRY_CO int detach(struct ferryd_call *c, struct detach *d, ferry_error *e)
{
    int r = ferryd_block(busy_run, d);
    if (r == 0 && d->r == 0)
        r = ferryd_block(detach_run, d);
    if (r == 0 && d->r == -EBUSY)
        return ferryd_failf(c, e, d->r, "%s: is in use (mounted, or being written)",
                            d->device);
    if (r == 0 && d->r < 0)
        return ferryd_fail(c, e, d->r, d->device);
    return r;
}

int ferryd_detach_drive(struct ferryd_call *c, const fx_detach_drive_args *a,
                        fx_detach_drive_ret *ret, ferry_error *e)
{
    struct detach work = {.device = a->device};
    int r = ferryd_need_device(c, a->device, e);
    if (r == 0 && (!ferryd_is_whole_disk(a->device) ||
                   strncmp(a->device, "/dev/sd", strlen("/dev/sd")) != 0))
        r = ferryd_failf(c, e, -FERRY_EINVAL, "%s: not a whole drive", a->device);
    if (r == 0)
        r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = ferryd_release(c, a->device, e);
    if (r == 0)
        r = detach(c, &work, e);
    ferry_sem_put(&c->d->mounting);
    if (r == 0) {
        drop_label(c->d, a->device);
        ret->value = work.target;
    }
    return r;
}
