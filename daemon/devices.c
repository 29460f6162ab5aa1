/* Calls about disks and partitions, and the lists of them: see devices.h. Reads sysfs;
 * knows nothing of what is on a disk. */
#include "devices.h"

#include "base/auto.h"
#include "block.h"
#include "mapper.h"
#include "sysfs.h"

#include "daemon_calls.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The disk that is a data path (DESIGN 4), by the serial number the host gave it. */
#define LANE_SERIAL "ferrylane"

/* ---- lists of names ----------------------------------------------------------------- */

int ferryd_names_add(struct ferryd_names *list, const char *name)
{
    char **more = realloc(list->name, (list->len + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    list->name = more;
    more[list->len] = strdup(name);
    if (!more[list->len])
        return -ENOMEM;
    list->len++;
    return 0;
}

void ferryd_names_free(struct ferryd_names *list)
{
    for (size_t i = 0; i < list->len; i++)
        free(list->name[i]);
    free(list->name);
    *list = (struct ferryd_names){0};
}

int ferryd_device_order(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t nx = strcspn(x, "0123456789"), ny = strcspn(y, "0123456789");
    if (nx != ny)
        return nx < ny ? -1 : 1;
    int r = strncmp(x, y, nx);
    return r ? r : strverscmp(x + nx, y + nx);
}

void ferryd_names_sort(struct ferryd_names *list, size_t old)
{
    if (list->len > old)
        qsort(list->name + old, list->len - old, sizeof *list->name,
              ferryd_device_order);
}

/* ---- drives and partitions ---------------------------------------------------------- */

/* virtio-scsi disks tell it in their unit serial number page, behind 4 bytes of header. */
static bool is_lane(const char *disk)
{
    char path[300], page[128];
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/device/vpd_pg80", disk);
    ssize_t n = ferryd_sysfs_read(path, page, sizeof page);
    if (n > 4)
        return strncmp(page + 4, LANE_SERIAL, strlen(LANE_SERIAL)) == 0;

    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/serial", disk);
    n = ferryd_sysfs_read(path, page, sizeof page);
    return n > 0 && strncmp(page, LANE_SERIAL, strlen(LANE_SERIAL)) == 0;
}

/* The disk that the appliance's own programs are on. */
static bool is_appliance(const char *disk)
{
    char path[300], dev[32];
    unsigned major, minor;
    struct stat usr;
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/dev", disk);
    return stat("/usr", &usr) == 0 && ferryd_sysfs_read(path, dev, sizeof dev) > 0 &&
           sscanf(dev, "%u:%u", &major, &minor) == 2 &&
           makedev(major, minor) == usr.st_dev;
}

/* loop, ram, dm and sr devices are the appliance's own business, too. */
static bool is_drive(const char *disk)
{
    return (strncmp(disk, "sd", 2) == 0 || strncmp(disk, "vd", 2) == 0 ||
            strncmp(disk, "nvme", 4) == 0) &&
           !is_lane(disk) && !is_appliance(disk);
}

static int add_dev(struct ferryd_names *list, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/dev/%s", name);
    return ferryd_names_add(list, path);
}

static int add_drive(const char *disk, void *arg)
{
    return is_drive(disk) ? add_dev(arg, disk) : 0;
}

int ferryd_scan_drives(struct ferryd_names *list)
{
    size_t old = list->len;
    int r = ferryd_sysfs_each(FERRYD_SYS_BLOCK, add_drive, list);
    ferryd_names_sort(list, old);
    return r;
}

struct partitions {
    const char *disk;
    struct ferryd_names *list;
};

static int add_partition(const char *name, void *arg)
{
    struct partitions *p = arg;
    char path[600];
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s/%s/partition", p->disk, name);
    return access(path, F_OK) == 0 ? add_dev(p->list, name) : 0;
}

static int add_partitions(const char *disk, void *arg)
{
    char path[300];
    struct partitions p = {disk, arg};
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s", disk);
    return is_drive(disk) ? ferryd_sysfs_each(path, add_partition, &p) : 0;
}

int ferryd_scan_partitions(struct ferryd_names *list)
{
    size_t old = list->len;
    int r = ferryd_sysfs_each(FERRYD_SYS_BLOCK, add_partitions, list);
    ferryd_names_sort(list, old);
    return r;
}

bool ferryd_has_partitions(const char *device)
{
    FERRY_AUTO(names) struct ferryd_names list = {0};
    const char *slash = strrchr(device, '/');
    char path[300];
    struct partitions p = {slash ? slash + 1 : device, &list};
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s", p.disk);
    ferryd_sysfs_each(path, add_partition, &p);
    return list.len > 0;
}

bool ferryd_is_whole_disk(const char *device)
{
    char path[300];
    snprintf(path, sizeof path, FERRYD_SYS_BLOCK "/%s", device + strlen("/dev/"));
    return !strchr(device + strlen("/dev/"), '/') && access(path, F_OK) == 0;
}

/* ---- what a caller means by a device ------------------------------------------------- */

/* The disk of our own programs has a node too, and is nobody's. */
bool ferryd_is_device(const char *path)
{
    struct stat st, usr;
    return strncmp(path, "/dev/", 5) == 0 && !strstr(path, "/.") &&
           stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
           !(stat("/usr", &usr) == 0 && st.st_rdev == usr.st_dev);
}

/* "sda", "sdb12" */
static bool is_drive_name(const char *name)
{
    if (strncmp(name, "sd", 2) != 0)
        return false;
    const char *p = name + 2;
    size_t letters = strspn(p, "abcdefghijklmnopqrstuvwxyz");
    p += letters;
    return letters > 0 && p[strspn(p, "0123456789")] == '\0';
}

int ferryd_device_or_file(struct ferryd_call *c, const char *path, bool *ret_device,
                          ferry_error *e)
{
    int r = 0;
    *ret_device = ferryd_is_device(path);
    if (*ret_device || strncmp(path, "/dev/", 5) != 0)
        return 0;
    if (is_drive_name(path + 5))
        return ferryd_failf(c, e, -FERRY_ENODEV, "%s: no such device", path);
    if (strchr(path + 5, '/')) {
        FERRY_AUTO(names) struct ferryd_names list = {0};
        r = ferryd_scan_volumes(c, &list, e);
        *ret_device = r == 0 && ferryd_is_device(path);
    }
    return r;
}

int ferryd_need_device(struct ferryd_call *c, const char *device, ferry_error *e)
{
    if (ferryd_is_device(device))
        return 0;

    /* /dev/VG/LV may be there once its group is active. */
    bool volume = strncmp(device, "/dev/", 5) == 0 && strchr(device + 5, '/');
    if (volume) {
        FERRY_AUTO(names) struct ferryd_names list = {0};
        int r = ferryd_scan_volumes(c, &list, e);
        if (r < 0)
            return r;
        if (ferryd_is_device(device))
            return 0;
    }
    return ferryd_failf(c, e, -FERRY_ENODEV, "%s: no such device", device);
}

/* ---- calls ---------------------------------------------------------------------------- */

struct scan {
    int (*fn)(struct ferryd_names *list);
    struct ferryd_names list;
    int r;
};

static void scan_run(void *arg)
{
    struct scan *s = arg;
    s->r = s->fn(&s->list);
}

static FERRY_CO int scan(struct ferryd_call *c, struct scan *s, ferry_error *e)
{
    int r = ferryd_block(scan_run, s);
    if (r == 0)
        r = s->r;
    return r < 0 ? ferryd_fail(c, e, r, FERRYD_SYS_BLOCK) : 0;
}

int ferryd_list_devices(struct ferryd_call *c, ferry_error *e)
{
    struct scan s = {.fn = ferryd_scan_drives};
    int r = scan(c, &s, e);
    for (size_t i = 0; r == 0 && i < s.list.len; i++)
        r = ferryd_list_devices_item(c, s.list.name[i]);
    ferryd_names_free(&s.list);
    return r;
}

int ferryd_list_partitions(struct ferryd_call *c, ferry_error *e)
{
    struct scan s = {.fn = ferryd_scan_partitions};
    int r = scan(c, &s, e);
    for (size_t i = 0; r == 0 && i < s.list.len; i++)
        r = ferryd_list_partitions_item(c, s.list.name[i]);
    ferryd_names_free(&s.list);
    return r;
}

struct size_of {
    const char *device;
    uint64_t bytes;
    int r;
};

static void get_size(void *arg)
{
    struct size_of *s = arg;
    FERRY_AUTO(fd) int fd = open(s->device, O_RDONLY | O_CLOEXEC);
    s->r = fd < 0 || ioctl(fd, BLKGETSIZE64, &s->bytes) < 0 ? -errno : 0;
}

int ferryd_blockdev_getsize64(struct ferryd_call *c, const fx_blockdev_getsize64_args *a,
                              fx_blockdev_getsize64_ret *ret, ferry_error *e)
{
    struct size_of s = {.device = a->device};
    int r = ferryd_need_device(c, a->device, e);
    if (r == 0)
        r = ferryd_block(get_size, &s);
    if (r == 0 && s.r < 0)
        r = ferryd_fail(c, e, s.r, a->device);
    if (r == 0)
        ret->value = s.bytes;
    return r;
}
