/* Programs of the appliance (mkfs, sfdisk, lvm, ntfs-3g), run by calls. */
#ifndef FERRYD_RUN_H
#define FERRYD_RUN_H

#include "call.h"

/* What is kept of a program's output: the start of stdout, which is parsed, and the end of stderr,
 * where the reason stands. More is read and dropped, so that an image cannot
 * make a program fill our memory. */
#define FERRYD_RUN_OUTPUT (64 * 1024)

/* Runs argv[0] (looked up in $PATH) with `input` (NULL: nothing) on its stdin. Returns its
 * exit status >= 0; a negative code when it could not be run, was killed by a signal (-FERRY_ENOMEM
 * if the kernel did so because there was no memory left), or the
 * call was cancelled: then the program and its descendants have been killed and it has been
 * reaped. *ret_out (may be NULL) is its stdout, 0-terminated, the caller's (free);
 * *ret_err (may be NULL) the last line of its stderr that is not empty, also the caller's;
 * both only when the status is returned. */
FERRY_CO int ferryd_run_status(const struct ferryd_call *c, const char *const argv[],
                               const char *input, char **ret_out, char **ret_err,
                               ferry_error *e);

/* The same; a status other than 0 is -FERRY_EIO with the text "mkfs.ext4: last line of its
 * stderr". */
FERRY_CO int ferryd_run(const struct ferryd_call *c, const char *const argv[],
                        const char *input, char **ret_out, ferry_error *e);

/* ---- pure ------------------------------------------------------------------------- */

/* The last line of `text` that is not blank (and stands before a "Usage:"), without the name of the program in front and
 * without spaces around it. *ret_len bytes at the returned place; "" when there is none. */
const char *ferryd_last_line(const char *program, const char *text, size_t *ret_len);

#endif
