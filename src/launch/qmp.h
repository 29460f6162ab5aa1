/* QMP, qemu's control language: one JSON object a line, commands answered in order, events
 * in between.
 *
 *      tasks --- ferry_qmp_execute ---> link ---> qemu
 *               (parked until its id)    |
 *      ferry_qmp_run, a task of its own <-'--- replies wake their caller, events are told
 *
 * The greeting and qmp_capabilities are run()'s affair: a command that comes earlier waits.
 * Knows the language, none of the commands. Owner: qemu.c. Loop thread only. */
#ifndef FERRY_LAUNCH_QMP_H
#define FERRY_LAUNCH_QMP_H

#include "async/link.h"
#include "launch/json.h"

#include <guestferry/error.h>

/* The longest line we take. query-named-block-nodes with 255 drives is about 500 KiB. */
#define FERRY_QMP_LINE (1024 * 1024)
/* Nesting of a message; jansson descends by recursion, on a coroutine's stack. */
#define FERRY_QMP_DEPTH 64

typedef struct ferry_qmp ferry_qmp;

/* An event: its name and data (NULL: none; borrowed). Called in the reader's task and must
 * not suspend. */
typedef void (*ferry_qmp_event_fn)(void *arg, const char *name, const json_t *data);

/* Takes over the link, also on failure. -ENOMEM. */
int ferry_qmp_new(ferry_link *link, ferry_qmp_event_fn on_event, void *arg,
                  ferry_qmp **ret);

/* Reads until the end. Returns -FERRY_EPIPE for qemu's end of the stream, -FERRY_EPROTO
 * for something that is no QMP, or a cancel or I/O code; every command in flight fails
 * with it. */
FERRY_CO int ferry_qmp_run(ferry_qmp *q);

/* Runs a command. args (may be NULL) is taken over. *ret is the "return" value, the
 * caller's (json_decref); ret may be NULL. -FERRY_EIO when qemu refuses, with its words in
 * e; else what ended the connection, or the cancel code. */
FERRY_CO int ferry_qmp_execute(ferry_qmp *q, const char *command, json_t *args,
                               json_t **ret, ferry_error *e);

/* The same for add-fd and getfd: a copy of fd goes along (SCM_RIGHTS); fd stays the caller's.
 * The link must be a socket's. */
FERRY_CO int ferry_qmp_execute_fd(ferry_qmp *q, const char *command, json_t *args,
                                  int fd, json_t **ret, ferry_error *e);

/* "7.2.22", or "" before the greeting. */
const char *ferry_qmp_version(const ferry_qmp *q);

/* No task is inside any more. NULL is allowed. */
void ferry_qmp_free(ferry_qmp *q);
#endif
