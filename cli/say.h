/* What gferry says to people: errors and notices on stderr, always "gferry: thing: what",
 * one line, safe on a terminal. Results go to stdout and are not said here. */
#ifndef GFERRY_SAY_H
#define GFERRY_SAY_H

#include <guestferry/error.h>

#include <stdbool.h>

/* The exit codes, in full. Also: 130, 143, 129 after SIGINT, SIGTERM, SIGHUP, and 141 when
 * the reader of our output went away. */
enum {
    STATUS_OK = 0, /* done, and flushed to the image */
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_PARTIAL = 3,   /* some files were copied or removed, others not */
    STATUS_NOT_FOUND = 4, /* no such file in the image */
    STATUS_LAUNCH = 5,    /* the appliance did not start */
    STATUS_BROKEN_PIPE = 141,
};

/* "gferry: " and the line; a newline is added. */
void say(const char *fmt, ...) FERRY_PRINTF(1, 2);
/* A notice: not with -q. */
void say_notice(const char *fmt, ...) FERRY_PRINTF(1, 2);
void say_quiet(bool quiet);

/* A call of the library's failed. `thing` is what it was about ("disk.qcow2:/etc/x", a local
 * path); it is put before the message unless that names it already. */
void say_failed(const char *thing, const ferry_error *e);
/* An errno of our own. */
void say_errno(const char *thing, int err);
void say_no_memory(void);

/* The command's name, for "try 'gferry cp --help'". */
void say_command(const char *name);
/* A mistake on the command line: one line that ends in where help is. STATUS_USAGE. */
int say_usage(const char *fmt, ...) FERRY_PRINTF(1, 2);

/* The exit code that goes with a failed call in the image. */
int status_of(const ferry_error *e);

#endif
