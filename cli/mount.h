/* What mount.c lends to info and create: which types are file systems, and their table. */
#ifndef GFERRY_MOUNT_H
#define GFERRY_MOUNT_H

#include <guestferry/calls.h>

#include <stdbool.h>
#include <stdio.h>

/* A type of ferry_list_filesystems() that can be mounted: not swap, not a container. */
bool mount_is_mountable(const char *type);
/* DEVICE TYPE LABEL SIZE, indented. */
void mount_print_table(FILE *out, const ferry_filesystem_list *list);

#endif
