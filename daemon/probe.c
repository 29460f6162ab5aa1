/* libblkid's low-level probing: see probe.h. Knows nothing of the daemon. */
#include "probe.h"

#include "base/auto.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

/* Where signatures are: the deepest from the start is VMFS' behind the first MiB, from the end
 * ZFS' and GPT's second halves in the last. */
#define WIPE_START (2ull * 1024 * 1024)
#define WIPE_END (1024ull * 1024)

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

static int zero(int fd, uint64_t from, uint64_t to)
{
    uint64_t range[2] = {from, to - from};
    if (to <= from || ioctl(fd, BLKZEROOUT, range) == 0)
        return 0;
    return errno == EPERM ? -EROFS
                          : -errno; /* the device mapper opens such a one for writing */
}

int ferryd_wipe(const char *device)
{
    uint64_t size;
    FERRY_AUTO(fd) int fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? -EROFS : -errno;
    if (ioctl(fd, BLKGETSIZE64, &size) < 0)
        return -errno;

    uint64_t start = size < WIPE_START ? size : WIPE_START;
    uint64_t end = size - start < WIPE_END ? start : size - WIPE_END;
    int r = zero(fd, 0, start);
    if (r == 0)
        r = zero(fd, end, size);
    if (r == 0)
        ioctl(fd, BLKRRPART); /* partitions that are no more; EINVAL: it is one itself */
    return r;
}
