/* The appliance's manifest.json: are the files beside it those that were built together?
 *
 * An update that was cut off, a copy that lost a byte, a kernel from one build with modules of
 * another: such an appliance fails late and says nothing useful. So the SHA-256 of each file is
 * compared with the manifest's. That is 0.3 s for 95 MB; files that have not changed since
 * (cache.h) are believed. Not a defence against somebody who can write to the directory.
 * Blocking file work: a pool thread, and doctor. */
#ifndef FERRY_LAUNCH_MANIFEST_H
#define FERRY_LAUNCH_MANIFEST_H

#include "launch/appliance.h"

#include <stdatomic.h>

#define FERRY_MANIFEST_NAME "manifest.json"

/* 0, or -FERRY_ELAUNCH, which names the file and what to do; -FERRY_ECANCELED if *stop became
 * true meanwhile. */
int ferry_manifest_check(const ferry_appliance *a, const atomic_bool *stop,
                         ferry_error *e);

#endif
