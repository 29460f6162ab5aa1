/* Which operand is in an image: "disk.qcow2:/etc/hosts" against "./a:b" against "-".
 *
 * The split is at the last ":/" whose left side is a file that is there, or has an image's
 * extension, or anything when --format was given: a path in an image is absolute, and a colon
 * elsewhere means nothing. An operand that is itself a local file, or could be made one
 * because its directory is there, is local whenever the left side is no existing file. So
 * "./x:/y" is local if ./x: is a directory, and an error that explains otherwise. */
#ifndef GFERRY_SIDE_H
#define GFERRY_SIDE_H

#include <stdbool.h>
#include <stddef.h>

enum side_kind { SIDE_LOCAL, SIDE_STDIO, SIDE_IMAGE };

struct side {
    enum side_kind kind;
    char *image; /* SIDE_IMAGE: the image's file; else NULL */
    char *path;  /* in the image, or on the host */
};

/* Reads an operand. Returns 0, or -EINVAL (it looks like a path in an image but is none: `why`
 * is a text for a person), -ENOMEM. format: of --format, NULL if it was not given. */
#define SIDE_WHY 256
int side_parse(const char *operand, const char *format, struct side *ret,
               char why[SIDE_WHY]);

/* For commands whose operands are all in an image: the path may be left out ("disk.img",
 * "disk.img:"), then it is "/" and *ret_given is false. */
int side_parse_image(const char *operand, const char *format, struct side *ret,
                     bool *ret_given, char why[SIDE_WHY]);

/* With -d, where the domain is named already: ":/PATH", or ":" alone (the path is "/", and
 * *ret_given is false). -ENOENT: the operand is something else. */
int side_parse_domain(const char *operand, const char *domain, struct side *ret,
                      bool *ret_given);

void side_done(struct side *s);

/* The format a path's extension stands for; NULL: none that we know. */
const char *side_format(const char *path);

#endif
