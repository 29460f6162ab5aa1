/* Ends a transfer's wait for the host's side - a FIFO without a writer, a pipe that nobody
 * empties, a hung disk - when there is no other side any more: it would never hear of it there.
 *
 *      ferry_hangup h;
 *      ferry_hangup_watch(&h, stream, FERRY_HANGUP_REPLY);
 *      int r = read the source, write the stream         <- every wait in here
 *      r = ferry_hangup_end(&h, r);
 *
 * Called by upload.c and download.c, on the loop, in the op's task. */
#ifndef FERRY_API_HANGUP_H
#define FERRY_API_HANGUP_H

#include "async/scope.h"
#include "proto/conn.h"

enum ferry_hangup_on {
    FERRY_HANGUP_LOSS, /* the connection is lost */
    FERRY_HANGUP_REPLY /* or the daemon wants no more: a full disk */
};

typedef struct ferry_hangup {
    ferry_scope scope;
    ferry_stream *stream;
    enum ferry_hangup_on on;
} ferry_hangup;

/* From now on every wait of this task returns -FERRY_EPIPE when the stream is over. */
void ferry_hangup_watch(ferry_hangup *h, ferry_stream *st, enum ferry_hangup_on on);

/* Until here. Gives r, or the op's cancel code if that was behind an r of -FERRY_EPIPE. */
FERRY_CO int ferry_hangup_end(ferry_hangup *h, int r);

#endif
