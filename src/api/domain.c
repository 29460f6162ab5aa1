/* Adding the disks of somebody's libvirt domain to a VM that is not launched yet. See
 * guestferry/vm.h. Which disks it has, libvirt says; what they are, their XML: no image is
 * looked into. All of them are added, or none. */
#include "api/drives.h"

#include "api/opts.h"
#include "base/auto.h"
#include "launch/libvirt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct domain {
    char *name, *uri; /* uri NULL: libvirt's own choice */
    bool readonly, force;
};

static void domain_free(void *arg)
{
    struct domain *d = arg;
    free(d->name);
    free(d->uri);
    free(d);
}

static int check_running(const struct domain *d, bool running, ferry_error *e)
{
    if (!running || d->readonly || d->force)
        return 0;
    return ferry_fail(
        e, -FERRY_EBUSY, "add_domain",
        "%s is running and its disks change: open it read-only (--ro), or "
        "shut it down first",
        d->name);
}

/* NULL: it is not there. */
static const char *text_of(const json_t *disk, const char *key)
{
    return json_string_value(json_object_get(disk, key));
}

static int take_disk(const struct domain *d, bool running, json_t *disk,
                     ferry_drive *ret, ferry_error *e)
{
    const char *target = text_of(disk, "target"), *path = text_of(disk, "path");
    const char *format = text_of(disk, "format"), *why = text_of(disk, "why");
    bool readonly = json_is_true(json_object_get(disk, "readonly"));
    if (why || !path)
        return ferry_fail(e, -FERRY_ENOTSUP, "add_domain",
                          "%s: its disk %s %s, which cannot be opened here", d->name,
                          target ? target : "?", why ? why : "has no file");
    ferry_drive_opts o = {.size = sizeof o,
                          .format = format,
                          .readonly = d->readonly || readonly};
    int r = ferry_drive_check(path, &o, ret, e);
    if (r < 0)
        return ferry_error_prefix(e, "%s: its disk %s", d->name, target ? target : "?");
    ret->shared = running && o.readonly;
    return 0;
}

static int take_disks(struct domain *d, json_t *answer, ferry_drive *drives,
                      ferry_error *e)
{
    bool running = json_is_true(json_object_get(answer, "running"));
    json_t *disks = json_object_get(answer, "disks");
    int r = check_running(d, running, e);
    for (size_t i = 0; i < json_array_size(disks) && r == 0; i++)
        r = take_disk(d, running, json_array_get(disks, i), &drives[i], e);
    return r;
}

static FERRY_CO int run_domain(ferry_op *op, ferry_error *e)
{
    struct domain *d = op->body;
    FERRY_AUTO(json) json_t *answer = NULL;
    ferry_op_phase(op, "asking libvirt");
    int r = ferry_libvirt_ask(d->uri, d->name, &answer, e);
    if (r < 0)
        return r;
    size_t n = json_array_size(json_object_get(answer, "disks"));
    if (n == 0)
        return ferry_fail(e, -FERRY_ENODEV, "add_domain", "%s has no disks", d->name);
    FERRY_AUTO(mem) ferry_drive *drives = calloc(n, sizeof *drives);
    if (!drives)
        return ferry_fail(e, -FERRY_ENOMEM, "add_domain", "out of memory");
    r = take_disks(d, answer, drives, e);
    if (r == 0)
        r = ferry_vm_add_drives(op->vm, drives, (unsigned)n, "add_domain", e);
    for (size_t i = 0; i < n; i++)
        ferry_drive_done(&drives[i]);
    return r;
}

int ferry_add_domain_start(ferry_vm *vm, const char *name, const ferry_domain_opts *opts,
                           ferry_op **ret_op, ferry_error *reterr)
{
    ferry_domain_opts o = {0};
    if (!name)
        return ferry_fail(reterr, -FERRY_EINVAL, "add_domain", "name is NULL");
    int r =
        ferry_opts_take("add_domain", "ferry_domain_opts", opts, &o, sizeof o, reterr);
    if (r < 0)
        return r;
    struct domain *d = calloc(1, sizeof *d);
    if (!d)
        return ferry_fail(reterr, -FERRY_ENOMEM, "add_domain", "out of memory");
    d->readonly = o.readonly;
    d->force = o.force;
    d->name = strdup(name);
    d->uri = o.uri ? strdup(o.uri) : NULL;
    if (!d->name || (o.uri && !d->uri)) {
        domain_free(d);
        return ferry_fail(reterr, -FERRY_ENOMEM, "add_domain", "out of memory");
    }
    ferry_op *op = NULL;
    r = ferry_op_new(vm, "add_domain", run_domain, d, domain_free, &op, reterr);
    return r < 0 ? r : ferry_op_submit(op, ret_op, reterr);
}
