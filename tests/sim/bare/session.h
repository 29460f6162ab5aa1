/* All that a small program does, from a context to its end, on a bare daemon (harness/bare.c): for
 * tests in which something runs out on the way. Uses public calls only. */
#ifndef FERRY_TESTS_BARE_SESSION_H
#define FERRY_TESTS_BARE_SESSION_H

#include <guestferry.h>

#include <stdbool.h>

/* Before the first session: files in a directory that is there. */
void session_files(const char *dir);

/* Goes on past what fails, ends everything, and returns the first error or 0. Each call that
 * fails has to say why (e->msg), with a code that `may` accepts, or this aborts, naming it. */
int session(bool (*may)(int code), ferry_error *e);

#endif
