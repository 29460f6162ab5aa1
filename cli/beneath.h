/* Files below a directory of the host, by paths that somebody hostile may have chosen: names
 * of a tree that comes out of an image. Nothing here leaves `root` or follows a symbolic link
 * (openat2: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), so neither "../../etc/cron.d/x" nor a link
 * that an earlier entry planted leads anywhere.
 *
 * rel is relative, without "." components. All return 0 (or an fd) or -errno. */
#ifndef GFERRY_BENEATH_H
#define GFERRY_BENEATH_H

#include <stdint.h>
#include <sys/types.h>

/* One name that a directory of the image gave: not "", ".", "..", no slash. */
int beneath_check_name(const char *name);

/* Opens what is there. flags: O_RDONLY and the like, not O_CREAT. */
int beneath_open(int root, const char *rel, int flags);
/* Makes a directory; one that is there already is fine. 1: it was made. */
int beneath_mkdir(int root, const char *rel, mode_t mode);
int beneath_chmod_dir(int root, const char *rel, mode_t mode);
/* Makes a symbolic link, replacing a link or file. target is taken as it is. */
int beneath_symlink(int root, const char *rel, const char *target);

/* A new file under a temporary name beside `rel`, to be put in its place when complete.
 * Returns the fd; *ret_temp is its name, to be freed, for one of the two below. */
int beneath_create(int root, const char *rel, mode_t mode, char **ret_temp);
/* Puts it in place; a replaced file's permissions stay. */
int beneath_commit(int root, const char *rel, int fd, const char *temp);
void beneath_discard(int root, const char *rel, const char *temp);

#endif
