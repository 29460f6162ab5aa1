/* Rows of ls: held, sorted, and written as text or JSON. Pure but for the stream; ls.c fills
 * it from the image, tests by hand. */
#ifndef GFERRY_LISTING_H
#define GFERRY_LISTING_H

#include "json.h"

#include <guestferry/calls.h>

struct listing_row {
    char *name;
    char ftyp;  /* as in ferry_dirent */
    bool known; /* st is there */
    ferry_stat_info st;
    char *target; /* of a symbolic link; NULL: none, or unknown */
    int status;   /* why st is not there */
};

struct listing {
    struct listing_row *rows;
    size_t len, cap;
};

int listing_add(struct listing *l, const char *name, char ftyp); /* -ENOMEM */
void listing_sort(struct listing *l); /* by bytes, as ls does in the C locale */
void listing_done(struct listing *l);

/* One name a line; detail: as `ls -ln`. */
void listing_print(const struct listing *l, FILE *out, bool detail);
/* An array of objects: name, type; and with detail mode, links, owner, ... */
json_t *listing_json(const struct listing *l, bool detail);

/* What stat and ls --json have in common. */
void listing_json_stat(json_t *o, const ferry_stat_info *st);
/* "file", "directory", "symlink", "block", "char", "fifo", "socket". */
const char *listing_type(uint32_t mode);

#endif
