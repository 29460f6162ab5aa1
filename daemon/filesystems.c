/* Calls that look at or make file systems on devices: list_filesystems, vfs_*. Knows libblkid through
 * probe.h only; mkfs is in mkfs.c. */
#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"
#include "mapper.h"
#include "probe.h"

#include "daemon_calls.h"

#include <string.h>

struct look {
    const char *device;
    struct ferryd_probe probe;
    bool container; /* holds partitions, or is part of something larger */
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
    l->container = ends_with(l->probe.type, "_member") ||
                   (l->probe.type[0] == '\0' && l->probe.table[0] != '\0');
}

/* ---- list_filesystems --------------------------------------------------------------- */

struct survey {
    const struct ferryd_call *call;
    struct ferryd_names names; /* the devices */
    struct look *looks;        /* one each */
    size_t done;
    bool has_pv;
    int r;
};

static void survey_free(struct survey *s)
{
    ferryd_names_free(&s->names);
    free(s->looks);
}

/* Probes the names that have been added since the last time. A device that cannot be read is no
 * failure: one bad disk must not hide the rest. */
static void survey_run(void *arg)
{
    struct survey *s = arg;
    if (s->done == 0) {
        s->r = ferryd_scan_drives(&s->names);
        if (s->r == 0)
            s->r = ferryd_scan_partitions(&s->names);
        if (s->r == 0)
            s->r = ferryd_scan_opened(&s->names);
    }
    struct look *more = realloc(s->looks, (s->names.len + 1) * sizeof *more);
    if (!more)
        s->r = -ENOMEM;
    else
        s->looks = more;

    for (; s->r == 0 && s->done < s->names.len; s->done++) {
        struct look *l = &s->looks[s->done];
        *l = (struct look){.device = s->names.name[s->done]};
        l->container = ferryd_has_partitions(l->device);
        if (!l->container)
            look_run(l);
        s->has_pv |= strcmp(l->probe.type, "LVM2_member") == 0;
        s->r = ferryd_stop(s->call);
    }
}

static FERRY_CO int survey(struct ferryd_call *c, struct survey *s, ferry_error *e)
{
    int r = ferryd_block(survey_run, s);
    if (r == 0 && s->r == 0 && s->has_pv) {
        r = ferryd_scan_volumes(c, &s->names, e);
        if (r == 0)
            r = ferryd_block(survey_run, s);
    }
    return r < 0 ? r : s->r;
}

/* What could not be read, or looks like two things, is listed as unknown. */
static FERRY_CO int send_filesystem(struct ferryd_call *c, struct look *l)
{
    const char *type = l->probe.type[0] ? l->probe.type : "unknown";
    const fx_filesystem item = {
        .device = (char *)(uintptr_t)l->device,
        .type = (char *)(uintptr_t)type,
        .label = l->probe.label,
        .uuid = l->probe.uuid,
        .bytes = l->probe.bytes,
    };
    return l->container ? 0 : ferryd_list_filesystems_item(c, &item);
}

int ferryd_list_filesystems(struct ferryd_call *c, ferry_error *e)
{
    struct survey s = {.call = c};
    int r = survey(c, &s, e);
    for (size_t i = 0; r == 0 && i < s.done; i++)
        r = send_filesystem(c, &s.looks[i]);
    survey_free(&s);
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

int ferryd_vfs_type(struct ferryd_call *c, const fx_vfs_type_args *a,
                    fx_vfs_type_ret *ret, ferry_error *e)
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

int ferryd_vfs_uuid(struct ferryd_call *c, const fx_vfs_uuid_args *a,
                    fx_vfs_uuid_ret *ret, ferry_error *e)
{
    struct look l = {.device = a->device};
    return vfs(c, &l, l.probe.uuid, &ret->value, e);
}
