/* Calls that look at or make file systems on devices: list_filesystems, vfs_*. Knows libblkid through
 * probe.h only; mkfs is in mkfs.c. */
#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"
#include "probe.h"

#include "daemon_calls.h"

#include <string.h>

/* ---- list_filesystems --------------------------------------------------------------- */

struct look {
    const char *device;
    struct ferryd_probe probe;
    bool container; /* holds partitions or is part of something larger */
    int r;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static void look_run(void *arg)
{
    struct look *l = arg;
    l->r = ferryd_probe(l->device, &l->probe);
    l->container = ferryd_has_partitions(l->device) ||
                   ends_with(l->probe.type, "_member") ||
                   (l->probe.type[0] == '\0' && l->probe.table[0] != '\0');
}

/* A device that cannot be read, or that looks like two things, is listed as unknown: one bad
 * disk must not hide the rest. */
static FERRY_CO int list_one(struct ferryd_call *c, const char *device)
{
    struct look l = {.device = device};
    int r = ferryd_block(look_run, &l);
    if (r < 0 || l.container)
        return r;

    const char *type = l.probe.type[0] ? l.probe.type : "unknown";
    fx_filesystem item = {
        .device = (char *)(uintptr_t)device,
        .type = (char *)(uintptr_t)type,
        .label = l.probe.label,
        .uuid = l.probe.uuid,
        .bytes = l.probe.bytes,
    };
    return ferryd_list_filesystems_item(c, &item);
}

static void scan_run(void *arg)
{
    struct ferryd_names *lists = arg;
    ferryd_scan_drives(&lists[0]);
    ferryd_scan_partitions(&lists[1]);
}

int ferryd_list_filesystems(struct ferryd_call *c, ferry_error *e)
{
    struct ferryd_names lists[3] = {0}; /* drives, partitions, volumes */
    int r = ferryd_block(scan_run, lists);
    if (r == 0)
        r = ferryd_scan_volumes(c, &lists[2], e);

    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; r == 0 && i < lists[k].len; i++)
            r = list_one(c, lists[k].name[i]);
        ferryd_names_free(&lists[k]);
    }
    return r;
}

/* ---- vfs_type, vfs_label, vfs_uuid ----------------------------------------------------- */

/* *value is a member of look->probe. */
static FERRY_CO int vfs(struct ferryd_call *c, struct look *look, const char *value,
                        char **ret, ferry_error *e)
{
    int r = ferryd_need_device(c, look->device, e);
    if (r == 0)
        r = ferryd_block(look_run, look);
    if (r < 0)
        return r;
    if (look->r == -EUCLEAN)
        return ferryd_failf(c, e, -FERRY_EINVAL,
                            "%s: holds traces of more than one file system",
                            look->device);
    if (look->r < 0)
        return ferryd_fail(c, e, look->r, look->device);

    *ret = strdup(value);
    return *ret ? 0 : -ENOMEM;
}

int ferryd_vfs_type(struct ferryd_call *c, const fx_vfs_type_args *a, fx_vfs_type_ret *ret,
                    ferry_error *e)
{
    struct look l = {.device = a->device};
    return vfs(c, &l, l.probe.type, &ret->value, e);
}

int ferryd_vfs_label(struct ferryd_call *c, const fx_vfs_label_args *a,
                     fx_vfs_label_ret *ret, ferry_error *e)
{
    struct look l = {.device = a->device};
    return vfs(c, &l, l.probe.label, &ret->value, e);
}

int ferryd_vfs_uuid(struct ferryd_call *c, const fx_vfs_uuid_args *a, fx_vfs_uuid_ret *ret,
                    ferry_error *e)
{
    struct look l = {.device = a->device};
    return vfs(c, &l, l.probe.uuid, &ret->value, e);
}
