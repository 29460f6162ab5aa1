/* One image, open in one appliance, for the length of a command:
 *
 *     session_open    context, VM, drive, launch        (session.c)
 *     session_mount   -m, or the only file system       (mount.c)
 *     guest_...       calls                             (guest.h)
 *     session_close   unmount, flush, end of qemu; their errors count
 *
 * Every wait of the program is session_turn(): it redraws the bar, sees signals, and delivers
 * completions. A function that returns a status has said what is wrong; one that returns a
 * negative code has not. */
#ifndef GFERRY_SESSION_H
#define GFERRY_SESSION_H

#include "options.h"
#include "progress.h"
#include "say.h"

#include <guestferry/op.h>
#include <guestferry/vm.h>

/* How long unmounting and flushing may take once the user wants out. */
#define SESSION_CLEANUP_MS 10000

enum session_access { SESSION_READ, SESSION_WRITE };

struct session {
    const struct options *o;
    const char *image; /* as typed; NULL: none (doctor) */
    bool readonly;
    bool launched;
    bool closing;
    ferry_ctx *ctx;
    ferry_vm *vm;
    uint64_t deadline_ms; /* --timeout on the monotonic clock; 0: none */
    struct progress progress;
    ferry_op *shown;         /* what the spinner asks for its phase */
    const char *shown_phase; /* or what it shows; static text */
};

/* Opens an image and boots. A command that only reads opens the image read-only, so that
 * reading never changes it. Returns a status. session_close() in every case. */
int session_open(struct session *s, const struct options *o, const char *image,
                 enum session_access access);
/* The same without a launch, for doctor, which adds its own drive. */
int session_prepare(struct session *s, const struct options *o);
int session_launch(struct session *s);

/* Mounts as -m says, or the only file system there is. Returns a status. */
int session_mount(struct session *s);

/* Ends it all, in whatever state. Returns the status to exit with: `status`, or what went
 * wrong here if that was STATUS_OK. */
int session_close(struct session *s, int status);

/* Waits for an op (not freed). Returns its code, with reterr filled. */
int session_await(struct session *s, ferry_op *op, ferry_error *reterr);
/* The same with a spinner: phase is static text; NULL: the op's own. */
int session_await_shown(struct session *s, ferry_op *op, const char *phase,
                        ferry_error *reterr);

/* For those who await many ops at once: after each _start, and until all have ended. */
void session_started(struct session *s, ferry_op *op);
void session_turn(struct session *s);

/* The user wants out (^C), or the time is up: start nothing new. */
bool session_stopping(const struct session *s);
/* After this code nothing else can succeed: the appliance is gone, or we are cancelled. */
bool session_is_over(int code);

/* Says that something failed, unless the user knows (cancelled, closed pipe). Returns the
 * status that goes with it. path: in the image; NULL: the image itself. */
int session_failed(struct session *s, const char *path, const ferry_error *e);
/* The same about a thing on the host. */
int session_failed_on(struct session *s, const char *thing, const ferry_error *e);
/* The same about a transfer: `local` is its side on the host, `path` that in the image; the
 * message tells which of them failed. */
int session_failed_transfer(struct session *s, const char *local, const char *path,
                            const ferry_error *e);
/* "disk.qcow2:/path". NULL: no memory. The caller frees. */
char *session_name(const struct session *s, const char *path);

#endif
