/* The operands of the commands that work inside one image: ls, cat, stat, mkdir, rm. */
#ifndef GFERRY_TARGETS_H
#define GFERRY_TARGETS_H

#include "options.h"
#include "session.h"

struct targets {
    const char *image;
    char **paths; /* in the image */
    int n;
    struct side *sides;
};

/* Reads IMAGE[:PATH]...; all must name the same image. path_needed: IMAGE alone is refused
 * (what would `rm IMAGE` mean). Returns a status. targets_done() in every case. */
int targets_parse(const struct options *o, char **operands, int n, bool path_needed,
                  struct targets *ret);
void targets_done(struct targets *t);

/* Opens, mounts, has `each` do its work on every path, closes. each() returns a status and
 * has said what is wrong. When some paths worked and others did not, the result is
 * STATUS_PARTIAL; when none did, that of the first. */
int targets_run(const struct options *o, const struct targets *t,
                enum session_access access,
                int (*each)(struct session *s, const char *path, void *user),
                void *user);

#endif
