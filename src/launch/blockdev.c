/* Drives in qemu's words; see blockdev.h. */
#include "launch/blockdev.h"

#include <stdio.h>

const char *ferry_blockdev_disk_name(unsigned n, char buf[FERRY_BLOCKDEV_NAME])
{
    snprintf(buf, FERRY_BLOCKDEV_NAME, "disk%u", n);
    return buf;
}

const char *ferry_blockdev_node_name(unsigned n, char buf[FERRY_BLOCKDEV_NAME])
{
    snprintf(buf, FERRY_BLOCKDEV_NAME, "drive%u", n);
    return buf;
}

/* JSON, where a name with commas, colons or quotes is only a name. `locking` is qemu's
 * default (two writers of one image: "in use"). */
json_t *ferry_blockdev_node(const ferry_drive *d, unsigned n)
{
    char node[FERRY_BLOCKDEV_NAME], fdset[32];
    snprintf(fdset, sizeof fdset, "/dev/fdset/%u", n);
    bool scratch = !d->path;

    /* A scratch disk need not survive anything: guest flushes cost nothing. */
    json_t *file = json_pack("{s:s, s:s}", "driver", "file", "filename",
                             scratch ? fdset : d->path);
    json_t *top = json_pack("{s:s, s:s, s:b, s:{s:b, s:b}, s:o}", "node-name",
                            ferry_blockdev_node_name(n, node), "driver",
                            scratch ? "raw" : d->format, "read-only", d->readonly,
                            "cache", "direct", 0, "no-flush", scratch, "file", file);
    if (top && d->shared)
        json_object_set_new(top, "force-share", json_true());
    if (top && !d->readonly) {
        /* The image stays thin: what the guest discards or fills with zeroes is given
         * back to the host. */
        json_object_set_new(file, "discard", json_string("unmap"));
        json_object_set_new(top, "discard", json_string("unmap"));
        json_object_set_new(top, "detect-zeroes", json_string("unmap"));
    }
    return top;
}

/* report: an error on the host is one in the guest. The default for a full host disk pauses
 * the VM, and nobody would ever wake it. */
json_t *ferry_blockdev_disk(unsigned n)
{
    char node[FERRY_BLOCKDEV_NAME], disk[FERRY_BLOCKDEV_NAME], serial[32];
    snprintf(serial, sizeof serial, "ferry%u", n);
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "driver", "scsi-hd",
                     "id", ferry_blockdev_disk_name(n, disk), "bus", "scsi.0",
                     "scsi-id", (int)n, "drive", ferry_blockdev_node_name(n, node),
                     "serial", serial, "werror", "report", "rerror", "report");
}
