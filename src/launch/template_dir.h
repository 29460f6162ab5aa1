/* What reading and writing templates share. Blocking. */
#ifndef FERRY_LAUNCH_TEMPLATE_DIR_H
#define FERRY_LAUNCH_TEMPLATE_DIR_H

#include "launch/template.h"

#include <sys/types.h>

/* Counts up with the format of these files; what an older build made is not loaded. */
#define FERRY_TEMPLATE_MAGIC "guestferry-template 1"
/* A key and a few numbers. */
#define FERRY_TEMPLATE_META (FERRY_TEMPLATE_KEY + 256)

/* The directory of all templates; -errno. The caller's. */
int ferry_template_top(bool create, ferry_error *e);
/* One in it: no link, ours, writable by nobody else. -errno: -EPERM when it is not so. */
int ferry_template_subdir(int top, const char *name);

ssize_t ferry_template_read_pages(int fd, uint8_t *buf, size_t size, off_t at);

#endif
