/* The command that was typed, as a line that can be typed again with something more. */
#ifndef GFERRY_AGAIN_H
#define GFERRY_AGAIN_H

#include "options.h"

#define AGAIN_MAX 2048

/* With `words` (ends with NULL) behind the command's name; quoted as a shell wants it. */
void again_command(const struct options *o, const char *const *words,
                   char line[AGAIN_MAX]);

#endif
