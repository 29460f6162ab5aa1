/* What is on a block device, by libblkid. */
#ifndef FERRYD_PROBE_H
#define FERRYD_PROBE_H

#include <stdint.h>

/* Strings as the schema bounds them (limits.word, limits.text). */
struct ferryd_probe {
    char type[33];   /* "ext4", "swap", "LVM2_member"; "": nothing that is known */
    char label[257]; /* "": none */
    char uuid[257];
    char table[33]; /* partition table: "dos", "gpt"; "": none */
    uint64_t bytes;
};

/* Blocking. Reads the device itself, never a cache. -errno when it cannot be read; -EUCLEAN
 * when what is there looks like two things at once. */
int ferryd_probe(const char *device, struct ferryd_probe *ret);

/* Blocking. Zeroes both ends, so that nobody finds what was there, or two things at once,
 * later. The device is opened exclusively: -EBUSY when it, or a partition of it, is in
 * use; -EROFS when it takes no writes. */
int ferryd_wipe(const char *device);

#endif
