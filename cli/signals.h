/* What ^C and its kin do.
 *
 *     first SIGINT, SIGTERM, SIGHUP   "Cancelling...", every op is cancelled; the command
 *                                     unwinds, unmounts, and exits with 128 + signal
 *     second                          qemu is killed and the program ends, in the handler
 *     SIGTSTP                         the line is taken away before we stop
 *     SIGCONT, SIGWINCH               it is drawn anew
 *     SIGPIPE                         ignored: write errors tell
 *
 * All of it happens in the handlers, with signal-safe calls only, so that it happens at once
 * whatever the program is busy with. The library's own thread has all signals blocked. */
#ifndef GFERRY_SIGNALS_H
#define GFERRY_SIGNALS_H

#include <guestferry/vm.h>

#include <stdbool.h>

/* A signal that was ignored when we were started (nohup) stays ignored. */
int signals_init(void);

/* Whom a signal cancels and kills from now on; NULL: nobody. Before the VM is freed. */
void signals_attach(ferry_vm *vm);
/* From here on the first signal cancels nothing: unmounting and flushing go on, and
 * whoever waits for them bounds the time. */
void signals_closing(bool closing);
/* Whom the second signal takes along: a half-made file. The string must stay. NULL: none. */
void signals_remove(const char *path);

/* The first SIGINT, SIGTERM or SIGHUP so far, or 0. Never goes back to 0. */
int signals_caught(void);
/* Readable when a signal of any of these kinds has come; signals_drain() empties it. */
int signals_fd(void);
/* Returns whether the line has to be drawn anew. */
bool signals_drain(void);

#endif
