/* Results on stdout. A name from the image goes to a terminal with its control characters
 * replaced, to a pipe or file as it is: a program may want the bytes. */
#ifndef GFERRY_OUT_H
#define GFERRY_OUT_H

#include <stdbool.h>
#include <stdio.h>

/* Clears the progress line and gives stdout. */
FILE *out_begin(void);
/* Prints a name from an image. */
void out_name(FILE *out, const char *name);
/* Flushes. A status: STATUS_OK; STATUS_BROKEN_PIPE, in silence; STATUS_FAILED, said. */
int out_end(FILE *out);

#endif
