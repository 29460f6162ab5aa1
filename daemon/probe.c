/* libblkid's low-level probing: see probe.h. Knows nothing of the daemon. */
#include "probe.h"

#include "base/auto.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <stdio.h>

static void look_up(blkid_probe pr, const char *name, char *out, size_t size)
{
    const char *value = NULL;
    out[0] = '\0';
    if (blkid_probe_lookup_value(pr, name, &value, NULL) == 0 && value)
        snprintf(out, size, "%s", value);
}

/* blkid says -2 for "ambivalent" and 1 for "nothing". */
static int probe(blkid_probe pr, struct ferryd_probe *ret)
{
    blkid_probe_enable_superblocks(pr, 1);
    blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
                                              BLKID_SUBLKS_UUID);
    blkid_probe_enable_partitions(pr, 1);

    errno = 0;
    int r = blkid_do_safeprobe(pr);
    if (r == -2)
        return -EUCLEAN;
    if (r < 0)
        return errno ? -errno : -EIO;

    look_up(pr, "TYPE", ret->type, sizeof ret->type);
    look_up(pr, "LABEL", ret->label, sizeof ret->label);
    look_up(pr, "UUID", ret->uuid, sizeof ret->uuid);
    look_up(pr, "PTTYPE", ret->table, sizeof ret->table);
    ret->bytes = (uint64_t)blkid_probe_get_size(pr);
    return 0;
}

int ferryd_probe(const char *device, struct ferryd_probe *ret)
{
    struct ferryd_probe found = {0};
    FERRY_AUTO(fd) int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    blkid_probe pr = blkid_new_probe();
    if (!pr)
        return -ENOMEM;
    int r = blkid_probe_set_device(pr, fd, 0, 0) < 0 ? -EIO : probe(pr, &found);
    blkid_free_probe(pr);
    if (r == 0)
        *ret = found;
    return r;
}

/* Backups of signatures (gpt at the end, btrfs mirrors) turn up once the first is gone, so the
 * probing goes on until nothing is found. */
static int wipe(blkid_probe pr)
{
    blkid_probe_enable_superblocks(pr, 1);
    blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
    blkid_probe_enable_partitions(pr, 1);
    blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);

    errno = 0;
    while (blkid_do_probe(pr) == 0)
        if (blkid_do_wipe(pr, 0) < 0)
            return errno ? -errno : -EIO;
    return 0;
}

int ferryd_wipe(const char *device)
{
    FERRY_AUTO(fd) int fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? -EROFS : -errno;

    blkid_probe pr = blkid_new_probe();
    if (!pr)
        return -ENOMEM;
    int r = blkid_probe_set_device(pr, fd, 0, 0) < 0 ? -EIO : wipe(pr);
    blkid_free_probe(pr);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r;
}
