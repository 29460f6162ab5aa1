/* One file that is being made in a directory: under its own name if it is small and the name is free, else
 * under a temporary one. Blocking. */
#ifndef FERRY_TREE_OUTPUT_H
#define FERRY_TREE_OUTPUT_H

#include "tree/wire.h"
#include "tree/xattrs.h"

typedef struct ferry_output {
    int fd;     /* -1: none */
    int direct; /* the same with O_DIRECT; -1: not here */
    int dir;    /* borrowed */
    uint64_t at, size;
    bool replaces;     /* there was a file of that name */
    bool ends_in_hole; /* the size is still to be set */
    char temp[24];     /* "": it is made under `name` */
    char name[FERRY_TREE_NAME + 1];
} ferry_output;

/* A name for what is not whole yet: O_EXCL decides whether it is free. */
void ferry_output_temp(char name[24]);

/* -EISDIR: a directory is in its place. */
int ferry_output_open(ferry_output *o, int dir, const ferry_tree_record *file,
                      const char *name, unsigned keep, bool direct);
int ferry_output_write(ferry_output *o, const uint8_t *data, size_t len);
void ferry_output_hole(ferry_output *o, uint64_t len);

/* All is written: attributes, then its name. Without FERRY_TREE_ARCHIVE a file that replaces another takes
 * over owner, mode and attributes of that. */
int ferry_output_commit(ferry_output *o, const ferry_tree_meta *m, const uint8_t *xattrs,
                        size_t xattrs_len, unsigned keep, bool no_owners);
/* Closes; what was not committed is gone. Once after each open. */
void ferry_output_close(ferry_output *o);

#endif
