/* Command lines of the mkfs programs: see mkfs.h. Pure. */
#include "mkfs.h"

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct type {
    const char *name;
    const char *argv[4]; /* program and what it always gets: no questions, no long wait */
    const char *label;   /* option of the label */
    size_t max_label;    /* bytes */
    const char *block;   /* option of the block size */
    uint32_t min_block, max_block;
    uint32_t unit; /* what the option counts in */
};

static const struct type types[] = {
    {"ext2", {"mkfs.ext2", "-F", "-q"}, "-L", 16, "-b", 1024, 4096, 1},
    {"ext3", {"mkfs.ext3", "-F", "-q"}, "-L", 16, "-b", 1024, 4096, 1},
    {"ext4", {"mkfs.ext4", "-F", "-q"}, "-L", 16, "-b", 1024, 4096, 1},
    {"xfs", {"mkfs.xfs", "-f", "-q"}, "-L", 12, "-bsize=", 512, 4096, 1},
    {"btrfs", {"mkfs.btrfs", "-f", "-q"}, "-L", 255, "-s", 4096, 4096, 1},
    /* -I: the device may be a whole disk. */
    {"vfat", {"mkfs.vfat", "-I"}, "-n", 11, "-s", 512, 65536, 512},
    /* -Q: without it every sector is written. -F: the device may be a whole disk. */
    {"ntfs", {"mkntfs", "-Q", "-F", "-q"}, "-L", 128, "-c", 512, 2097152, 1},
};

static const struct type *find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

static int check_block(const struct type *t, uint32_t n, ferry_error *e)
{
    if (n != 0 && (n < t->min_block || n > t->max_block || (n & (n - 1)) != 0))
        return ferry_fail(e, -FERRY_EINVAL, "mkfs",
                          "%s: block size %u: a power of 2 from %u to %u is possible",
                          t->name, n, t->min_block, t->max_block);
    return 0;
}

static void add_block(const struct type *t, uint32_t n, struct ferryd_mkfs *m,
                      size_t *argc)
{
    /* xfs wants option and value in one word. */
    bool joined = t->block[strlen(t->block) - 1] == '=';
    snprintf(m->blocksize, sizeof m->blocksize, "%s%u", joined ? t->block : "",
             n / t->unit);
    if (!joined)
        m->argv[(*argc)++] = t->block;
    m->argv[(*argc)++] = m->blocksize;
}

int ferryd_mkfs_argv(const char *type, const char *device, const char *label,
                     uint32_t blocksize, struct ferryd_mkfs *m, ferry_error *e)
{
    const struct type *t = find(type);
    if (!t)
        return ferry_fail(e, -FERRY_EINVAL, "mkfs",
                          "%s: not one of ext2, ext3, ext4, xfs, btrfs, vfat, ntfs",
                          type);
    if (strlen(label) > t->max_label)
        return ferry_fail(e, -FERRY_EINVAL, "mkfs",
                          "%s: a label of %s has at most %zu bytes", label, type,
                          t->max_label);
    int r = check_block(t, blocksize, e);
    if (r < 0)
        return r;

    size_t argc = 0;
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < sizeof t->argv / sizeof *t->argv && t->argv[i]; i++)
        m->argv[argc++] = t->argv[i];
    if (label[0]) {
        m->argv[argc++] = t->label;
        m->argv[argc++] = label;
    }
    if (blocksize)
        add_block(t, blocksize, m, &argc);
    m->argv[argc++] = device;
    return 0;
}

/* The programs say it in words only (sfdisk, of a disk that ends before the partition begins: "out of
 * range"). */
int ferryd_mkfs_reason(const char *text)
{
    static const struct {
        const char *words;
        int code;
    } reasons[] = {
        {"too small", -FERRY_ENOSPC},        {"must be larger", -FERRY_ENOSPC},
        {"not enough space", -FERRY_ENOSPC}, {"Not enough space", -FERRY_ENOSPC},
        {"minimum size", -FERRY_ENOSPC},     {"out of range", -FERRY_ENOSPC},
        {"No space left", -FERRY_ENOSPC},    {"nvalid", -FERRY_EINVAL},
        {"llegal", -FERRY_EINVAL},           {"too large", -FERRY_EINVAL},
        {"too many", -FERRY_EINVAL},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strstr(text, reasons[i].words))
            return reasons[i].code;
    return -FERRY_EIO;
}
