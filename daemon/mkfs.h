/* How each type of file system is made (a pure table, apart from the call for its tests), and what
 * all calls share that make something on a device. */
#ifndef FERRYD_MKFS_H
#define FERRYD_MKFS_H

#include "call.h"

#include <guestferry/error.h>

#include <stdint.h>

/* Longest command line that ferryd_mkfs_argv makes, with its NULL. */
#define FERRYD_MKFS_ARGS 16

struct ferryd_mkfs {
    const char *argv[FERRYD_MKFS_ARGS]; /* argv[0] is the program */
    char blocksize[32]; /* storage of an argument; so the struct may not move */
};

/* Fills m. "" and 0 are "not given". -FERRY_EINVAL with a text: a type that is not made here, a
 * label that is too long for the type, a block size that it cannot have. */
int ferryd_mkfs_argv(const char *type, const char *device, const char *label,
                     uint32_t blocksize, struct ferryd_mkfs *m, ferry_error *e);

/* Before a device is written anew (format.c): finds it, and zeroes both ends. A device in use is
 * refused, and stays as it was. */
FERRY_CO int ferryd_wipe_for(struct ferryd_call *c, const char *device, ferry_error *e);

/* What the last words of a mkfs, sfdisk or cryptsetup that failed mean. */
int ferryd_mkfs_reason(const char *text);

#endif
