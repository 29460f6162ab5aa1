/* What gferry starts and does not wait for. */
#ifndef GFERRY_BEHIND_H
#define GFERRY_BEHIND_H

#include "options.h"

/* Has a template made for the next launch, by a gferry of its own session and of low priority:
 * this command's end, and the terminal's ^C, are nothing to it. If one is being made
 * already, it ends at once. */
void behind_build_template(const struct options *o);

#endif
