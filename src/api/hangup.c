/* See hangup.h. */
#include "api/hangup.h"

#include "base/auto.h"

#include <guestferry/error.h>

static FERRY_CO int run_hangup(void *arg)
{
    ferry_hangup *h = arg;
    FERRY_AUTO(slice) ferry_slice reply = {0};
    int r = ferry_stream_wait_reply(h->stream, &reply);
    bool replied = r == 0;
    if (!ferry_cancelled() && (!replied || h->on == FERRY_HANGUP_REPLY))
        ferry_scope_cancel(&h->scope, -FERRY_EPIPE);
    return 0;
}

void ferry_hangup_watch(ferry_hangup *h, ferry_stream *st, enum ferry_hangup_on on)
{
    h->stream = st;
    h->on = on;
    ferry_scope_open(&h->scope, FERRY_SCOPE_SUPERVISE);
    /* Without memory for a watcher the transfer goes on unwatched: a cancel still ends it. */
    ferry_spawn(&h->scope, "hangup", run_hangup, h);
}

FERRY_CO int ferry_hangup_end(ferry_hangup *h, int r)
{
    ferry_scope_cancel(&h->scope, -FERRY_ECANCELED);
    ferry_scope_join(&h->scope);
    int cancelled = ferry_cancelled();
    return r == -FERRY_EPIPE && cancelled ? cancelled : r;
}
