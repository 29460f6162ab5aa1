/* What a mounted file system is good at. Blocking. */
#ifndef FERRYD_FILESYSTEM_H
#define FERRYD_FILESYSTEM_H

#include <stdbool.h>

struct ferryd_filesystem {
    bool owners; /* it keeps owner and mode */
    bool direct; /* O_DIRECT pays */
};

/* Of the open file or directory fd; of -1: nothing. */
struct ferryd_filesystem ferryd_filesystem_of(int fd);

#endif
