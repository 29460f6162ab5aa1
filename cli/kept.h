/* What files that were not copied to their end have left (ferry_op_get_leftover), and how it is told
 * when the image has been closed: before that it is no promise. */
#ifndef GFERRY_KEPT_H
#define GFERRY_KEPT_H

#include "session.h"

struct kept {
    char *name; /* of the last one, as the user would write it */
    uint64_t bytes;
    unsigned files;
    bool in_place;      /* that one has no partial: its target was written */
    uint64_t resumed;   /* bytes that were not copied again */
    unsigned restarted; /* files of which something had been kept, and was of no use */
};

void kept_done(struct kept *k);
/* op has ended; path: of its target. in: into the image. */
void kept_note(struct kept *k, const struct session *s, ferry_op *op, const char *path,
               bool in);
/* A notice, and the command that goes on. */
void kept_say(const struct kept *k, const struct options *o);

#endif
