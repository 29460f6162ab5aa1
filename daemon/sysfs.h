/* Small files and directories of sysfs. Blocking, though sysfs is memory and never waits for a
 * disk. */
#ifndef FERRYD_SYSFS_H
#define FERRYD_SYSFS_H

#include <sys/types.h>

#define FERRYD_SYS_BLOCK "/sys/block"

/* Up to size - 1 bytes of a file, 0-terminated; the count, or -errno. */
ssize_t ferryd_sysfs_read(const char *path, char *buf, size_t size);

/* The same, without the newline at its end. 0, or -errno: then buf is "". */
int ferryd_sysfs_line(const char *path, char *buf, size_t size);

/* fn for every name in a directory that does not begin with a dot, until one returns something
 * other than 0, which is returned. -errno. */
typedef int (*ferryd_sysfs_fn)(const char *name, void *arg);
int ferryd_sysfs_each(const char *dir, ferryd_sysfs_fn fn, void *arg);

#endif
