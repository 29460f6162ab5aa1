/* What file systems are good at: see filesystem.h. What is special about uploads is in target.c. */
#include "filesystem.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct ferryd_filesystem ferryd_filesystem_of(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return (struct ferryd_filesystem){.owners = true};
    return (struct ferryd_filesystem){
        .owners = fs.f_type != MSDOS_SUPER_MAGIC && fs.f_type != FUSE_SUPER_MAGIC,
        .direct = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
                  fs.f_type == BTRFS_SUPER_MAGIC,
    };
}
