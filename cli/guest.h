/* The calls that gferry makes, each awaited with signals and bar alive: the program's own
 * blocking layer over session.h. Same arguments and results as the library's. */
#ifndef GFERRY_GUEST_H
#define GFERRY_GUEST_H

#include "session.h"

#include <guestferry/calls.h>

int guest_stat(struct session *s, const char *path, ferry_stat_info *ret,
               ferry_error *e);
int guest_lstat(struct session *s, const char *path, ferry_stat_info *ret,
                ferry_error *e);
int guest_readlink(struct session *s, const char *path, char **ret, ferry_error *e);
int guest_readdir(struct session *s, const char *path, ferry_dirent_list *ret,
                  ferry_error *e);
int guest_statvfs(struct session *s, const char *path, ferry_statvfs_info *ret,
                  ferry_error *e);

int guest_mkdir(struct session *s, const char *path, uint32_t mode, ferry_error *e);
int guest_mkdir_p(struct session *s, const char *path, ferry_error *e);
int guest_chmod(struct session *s, uint32_t mode, const char *path, ferry_error *e);
int guest_rm(struct session *s, const char *path, ferry_error *e);
int guest_rm_rf(struct session *s, const char *path, ferry_error *e);
int guest_ln_s(struct session *s, const char *target, const char *path, ferry_error *e);

int guest_list_filesystems(struct session *s, ferry_filesystem_list *ret,
                           ferry_error *e);
int guest_list_partitions(struct session *s, char ***ret, ferry_error *e);
int guest_getsize(struct session *s, const char *device, uint64_t *ret, ferry_error *e);
int guest_mount(struct session *s, const char *device, const char *mountpoint,
                ferry_error *e);
int guest_umount_all(struct session *s, ferry_error *e);
int guest_part_disk(struct session *s, const char *device, const char *type,
                    ferry_error *e);
int guest_mkfs(struct session *s, const char *fs, const char *device, const char *label,
               ferry_error *e);

static inline void ferry_auto_filesystems(ferry_filesystem_list *list)
{
    ferry_filesystem_list_free(list);
}

static inline void ferry_auto_dirents(ferry_dirent_list *list)
{
    ferry_dirent_list_free(list);
}

static inline void ferry_auto_strings(char ***list)
{
    ferry_strings_free(*list);
}

#endif
