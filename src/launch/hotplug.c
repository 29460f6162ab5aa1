/* Drives of a qemu that runs; see hotplug.h.
 *
 *      add-fd (scratch) -> blockdev-add -> device_add
 *      remove-fd        <- blockdev-del <- DEVICE_DELETED <- device_del
 *
 * A failed step undoes those before it. */
#include "launch/hotplug.h"

#include "async/scope.h"
#include "base/auto.h"
#include "base/error.h"
#include "launch/blame.h"
#include "launch/blockdev.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* qemu does these at once; a flush of the image may meet a slow disk. */
#define UNDO_MS 10000

static int no_memory(ferry_error *e)
{
    return ferry_fail(e, -FERRY_ENOMEM, "plug_drive", "out of memory");
}

/* Errors of these are of interest to nobody: what is not there need not go. */
static FERRY_CO void close_node(ferry_qemu *q, unsigned target)
{
    char node[FERRY_BLOCKDEV_NAME];
    json_t *args =
        json_pack("{s:s}", "node-name", ferry_blockdev_node_name(target, node));
    if (args)
        ferry_qmp_execute(ferry_qemu_qmp(q), "blockdev-del", args, NULL, NULL);
}

static FERRY_CO void close_scratch(ferry_qemu *q, unsigned target)
{
    json_t *args = json_pack("{s:i}", "fdset-id", (int)target);
    if (args)
        ferry_qmp_execute(ferry_qemu_qmp(q), "remove-fd", args, NULL, NULL);
}

static FERRY_CO int open_scratch(ferry_qemu *q, const ferry_drive *d, ferry_error *e)
{
    FERRY_AUTO(fd) int fd = -1;
    int r = ferry_drive_open_scratch(d, &fd, e);
    if (r < 0)
        return r;
    json_t *args = json_pack("{s:i}", "fdset-id", (int)d->target);
    return args ? ferry_qmp_execute_fd(ferry_qemu_qmp(q), "add-fd", args, fd, NULL, e)
                : no_memory(e);
}

/* One step about the drive: what qemu refuses is told as at a launch. */
static FERRY_CO int step(ferry_qemu *q, const ferry_drive *d, const char *command,
                         json_t *args, ferry_error *e)
{
    ferry_error said = {0};
    if (!args)
        return no_memory(e);
    int r = ferry_qmp_execute(ferry_qemu_qmp(q), command, args, NULL, &said);
    if (r == -FERRY_EIO) {
        const char *words = strstr(said.msg, command);
        words = words ? words + strlen(command) + strlen(": ") : said.msg;
        r = ferry_blame_drive(d, words, r, &said);
    }
    if (r < 0 && e) {
        *e = said;
        snprintf(e->where, sizeof e->where, "plug_drive");
    }
    return r;
}

/* A command that was cancelled may have been done all the same. */
static FERRY_CO void undo(ferry_qemu *q, const ferry_drive *d)
{
    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SHIELD);
    ferry_scope_deadline(&s, UNDO_MS);
    ferry_hotplug_remove(q, d->target, !d->path, NULL);
    ferry_scope_join(&s);
}

FERRY_CO int ferry_hotplug_add(ferry_qemu *q, const ferry_drive *d, ferry_error *e)
{
    int r = d->path ? 0 : open_scratch(q, d, e);
    if (r == 0)
        r = step(q, d, "blockdev-add", ferry_blockdev_node(d, d->target), e);
    if (r == 0)
        r = step(q, d, "device_add", ferry_blockdev_disk(d->target), e);
    if (r < 0)
        undo(q, d);
    return r;
}

FERRY_CO int ferry_hotplug_remove(ferry_qemu *q, unsigned target, bool scratch,
                                  ferry_error *e)
{
    char disk[FERRY_BLOCKDEV_NAME];
    json_t *args = json_pack("{s:s}", "id", ferry_blockdev_disk_name(target, disk));
    if (!args)
        return no_memory(e);
    ferry_qemu_expect_unplug(q, target);
    int r = ferry_qmp_execute(ferry_qemu_qmp(q), "device_del", args, NULL, e);
    if (r == 0)
        r = ferry_qemu_unplugged(q, target);
    close_node(q, target);
    if (scratch)
        close_scratch(q, target);
    return r;
}
