/* What launches remember from one to the next: small files in a directory of the user's that
 * nobody else can write to.
 *
 *      $XDG_CACHE_HOME/guestferry/, or ~/.cache/guestferry/
 *
 * A cache that is absent, unreadable or foreign is no cache, one that cannot be written is none
 * either: nothing here fails a launch. A setuid program has none. Blocking file work: pool
 * threads, and doctor. */
#ifndef FERRY_LAUNCH_CACHE_H
#define FERRY_LAUNCH_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* The directory, made if asked to; -1: there is none. The caller's. */
int ferry_cache_dir(bool create);

/* A subdirectory of one; -1 if it is not there (and was not to be made), or not ours. */
int ferry_cache_subdir(int dir, const char *name, bool create);

/* Nobody else can have put something there: ours, and writable by nobody else. */
bool ferry_cache_is_ours(int fd);

/* A whole small file, 0-terminated. false: there is none to believe, or it is larger. */
bool ferry_cache_read(const char *name, char *buf, size_t size);
/* Whole or not at all: temporary and rename. Not synced. false: not kept. */
bool ferry_cache_write(const char *name, const char *text, size_t len);
void ferry_cache_forget(const char *name);

/* A file's identity and time of last change, as text: one that was replaced or written to
 * has another, without being read. Nobody but root and the clock can turn back ctime. */
#define FERRY_FILE_ID 104
bool ferry_file_id(const char *path, char buf[FERRY_FILE_ID]);

#endif
