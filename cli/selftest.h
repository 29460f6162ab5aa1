/* The part of doctor that does instead of looking: launches an appliance and moves bytes. */
#ifndef GFERRY_SELFTEST_H
#define GFERRY_SELFTEST_H

#include "options.h"
#include "report.h"

/* A status; what failed has been reported. */
int selftest(struct report *r, const struct options *o);

#endif
