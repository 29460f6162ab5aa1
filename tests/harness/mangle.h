/* A link over another that changes what passes, in both directions: the last byte of each MANGLE_MARK,
 * however it is cut. Lengths and all else stay, so that only a checksum can tell. */
#ifndef FERRY_TESTS_MANGLE_H
#define FERRY_TESTS_MANGLE_H

#include "async/link.h"

/* Its first character comes once. */
#define MANGLE_MARK "<change me"

/* Puts itself over *l. -ENOMEM. */
int mangle(ferry_link **l);

#endif
