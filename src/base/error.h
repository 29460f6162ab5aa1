/* Filling a ferry_error. `e` may be NULL everywhere; the code is returned, so that a
 * failing step is one line:
 *
 *     return ferry_fail(e, -ENOENT, "open", "%s: no such image", path);
 */
#ifndef FERRY_BASE_ERROR_H
#define FERRY_BASE_ERROR_H

#include <guestferry/error.h>

/* Sets code, os_errno (when the code is an errno), where and msg. Returns `code`. The arguments may
 * be texts of *e: an error may quote what it replaces. */
int ferry_fail(ferry_error *e, int code, const char *where, const char *fmt, ...)
    FERRY_PRINTF(4, 5);

/* The same with an errno of its own: the code is ours, the cause the system's. */
int ferry_fail_os(ferry_error *e, int code, int os_errno, const char *where,
                  const char *fmt, ...) FERRY_PRINTF(5, 6);

/* Puts "what: " before a message that is already there (a file's name, a phase). */
int ferry_error_prefix(ferry_error *e, const char *fmt, ...) FERRY_PRINTF(2, 3);

#endif
