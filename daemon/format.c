/* Calls that write a disk anew: part_disk, mkfs. Both wipe what was there, exclusively opened, so
 * that a device in use is refused before a program is started. */
#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"
#include "mkfs.h"
#include "probe.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

struct wipe {
    const char *device;
    int r;
};

static void wipe_run(void *arg)
{
    struct wipe *w = arg;
    w->r = ferryd_wipe(w->device);
}

int ferryd_wipe_for(struct ferryd_call *c, const char *device, ferry_error *e)
{
    struct wipe w = {.device = device};
    int r = ferryd_need_device(c, device, e);
    if (r == 0)
        r = ferryd_block_bulk(wipe_run, &w);
    if (r == 0 && w.r < 0)
        r = ferryd_fail(c, e, w.r, device);
    return r;
}

/* ---- mkfs ------------------------------------------------------------------------------ */

/* Runs a program whose failure has a reason that can be told apart. */
static FERRY_CO int run_maker(struct ferryd_call *c, const char *const argv[],
                              const char *input, ferry_error *e)
{
    FERRY_AUTO(mem) char *why = NULL;
    int r = ferryd_run_status(c, argv, input, NULL, &why, e);
    if (r > 0)
        r = ferryd_failf(c, e, ferryd_mkfs_reason(why), "%s: %s", argv[0],
                         why[0] ? why : "failed without saying why");
    return r;
}

static FERRY_CO int do_mkfs(struct ferryd_call *c, const fx_mkfs_args *a, ferry_error *e)
{
    struct ferryd_mkfs m;
    int r = ferryd_mkfs_argv(a->fstype, a->device, a->label, a->blocksize, &m, e);
    if (r == 0)
        r = ferryd_wipe_for(c, a->device, e);
    return r == 0 ? run_maker(c, m.argv, NULL, e) : r;
}

int ferryd_mkfs(struct ferryd_call *c, const fx_mkfs_args *a, ferry_error *e)
{
    int r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = do_mkfs(c, a, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}

/* ---- part_disk --------------------------------------------------------------------------- */

/* sfdisk's script: one partition from 1 MiB, where every disk's blocks are aligned, to the end.
 * NULL: no such table. */
static const char *table_script(const char *parttype)
{
    static const char *const mbr[] = {"mbr", "msdos", "dos", NULL};
    static const char *const gpt[] = {"gpt", "efi", NULL};
    for (size_t i = 0; mbr[i]; i++)
        if (strcmp(parttype, mbr[i]) == 0)
            return "label: dos\nunit: sectors\nstart=2048, type=83\n";
    for (size_t i = 0; gpt[i]; i++)
        if (strcmp(parttype, gpt[i]) == 0)
            return "label: gpt\nunit: sectors\nstart=2048, type=L\n";
    return NULL;
}

/* sfdisk has the kernel read the table before it ends, and devtmpfs makes the node in the same
 * breath. */
static FERRY_CO int do_part_disk(struct ferryd_call *c, const fx_part_disk_args *a,
                                 const char *script, ferry_error *e)
{
    const char *const argv[] = {"sfdisk", "-q", "-w", "never", a->device, NULL};
    int r = ferryd_need_device(c, a->device, e);
    if (r == 0 && !ferryd_is_whole_disk(a->device))
        r = ferryd_failf(c, e, -FERRY_EINVAL, "%s: not a whole disk", a->device);
    if (r == 0)
        r = ferryd_wipe_for(c, a->device, e);
    if (r == 0)
        r = run_maker(c, argv, script, e);
    if (r == 0 && !ferryd_has_partitions(a->device))
        r = ferryd_failf(c, e, -FERRY_EIO, "%s: the kernel does not see the partition",
                         a->device);
    return r;
}

int ferryd_part_disk(struct ferryd_call *c, const fx_part_disk_args *a, ferry_error *e)
{
    const char *script = table_script(a->parttype);
    if (!script)
        return ferryd_failf(c, e, -FERRY_EINVAL, "%s: a partition table is mbr or gpt",
                            a->parttype);

    int r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = do_part_disk(c, a, script, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}
