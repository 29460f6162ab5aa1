/* A download's place on the host: the temporary beside the target, and its installation. The
 * blocking system calls of sink.c, as jobs. */
#ifndef FERRY_API_SINK_PATH_H
#define FERRY_API_SINK_PATH_H

#include "api/sink.h"

typedef struct ferry_sink_place {
    char *target;     /* malloced; symbolic links resolved */
    char *temporary;  /* malloced; NULL: the file has no name yet */
    ferry_file *file; /* open for writing */
    bool resumed;     /* it is the partial, by its name; open for reading too */
    uint64_t found;   /* length of that */
    bool special;     /* the target itself: a FIFO, a device */
    struct stat st;   /* special: of what */
} ferry_sink_place;

/* Waits for the reader of a FIFO, as a shell's > does. -EISDIR, -ENOENT (no such directory),
 * -EACCES (an existing target that we may not write), ... */
FERRY_CO int ferry_sink_prepare(const char *path, uint32_t mode, bool resume,
                                ferry_sink_place *ret);

/* Sets size, owner, mode and attributes, and renames over the target. */
FERRY_CO int ferry_sink_install(ferry_sink *s);

/* The caller's own file: zeroes for [offset, offset + len) without writing them. */
FERRY_CO int ferry_sink_punch(ferry_file *f, uint64_t offset, uint64_t len);
/* Its size if it ends in a hole, its position behind the last byte. */
FERRY_CO int ferry_sink_end_file(ferry_sink *s);

#endif
