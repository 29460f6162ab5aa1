/* What is mounted at and below the root, as the kernel tells it. */
#ifndef FERRYD_MOUNTS_H
#define FERRYD_MOUNTS_H

#include <stddef.h>
#include <sys/types.h>

struct ferryd_mount {
    char *dir;    /* absolute, in the appliance: "/sysroot/boot" */
    char *source; /* "/dev/sda1" */
    char *type;   /* "ext4", "fuseblk" */
    dev_t dev; /* of the device, where the file system has no number of its own (btrfs) */
};

struct ferryd_mounts {
    struct ferryd_mount *at; /* in mount order: later ones may be on top of earlier ones */
    size_t len;
};

/* Blocking (briefly; touches no disk): /proc/self/mountinfo, what is at `root` or below. */
int ferryd_mounts_read(const char *root, struct ferryd_mounts *ret);
void ferryd_mounts_free(struct ferryd_mounts *m);

static inline void ferry_auto_mounts(struct ferryd_mounts *m)
{
    ferryd_mounts_free(m);
}

/* The last one at exactly this directory, or of this device (path and number, either will do);
 * NULL. */
const struct ferryd_mount *ferryd_mounts_at(const struct ferryd_mounts *m,
                                            const char *dir);
const struct ferryd_mount *ferryd_mounts_of(const struct ferryd_mounts *m,
                                            const char *source, dev_t dev);
/* One that is mounted below `dir`, not at it; NULL. */
const struct ferryd_mount *ferryd_mounts_below(const struct ferryd_mounts *m,
                                               const char *dir);

/* Pure: a directory at or below root_path, as the guest's path: "/sysroot/boot" is "/boot". */
const char *ferryd_guest_path(const char *root_path, const char *dir);

/* Pure: the text of mountinfo (cut up in place). */
int ferryd_mounts_parse(char *text, const char *root, struct ferryd_mounts *ret);

#endif
