/* HELLO, on the host's side; see greet.h. */
#include "api/greet.h"

#include "api/lane.h"
#include "base/trace.h"

#include "api_hash.h"

/* The daemon's words, for a terminal: no control characters. */
static void on_log(void *arg, const char *text, size_t len)
{
    char line[256];
    size_t n = len < sizeof line - 1 ? len : sizeof line - 1;
    (void)arg;
    for (size_t i = 0; i < n; i++)
        line[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    line[n] = '\0';
    FERRY_TRACE(daemon, "%s", line);
}

static void on_lane(void *arg, const ferry_lane_shape *shape)
{
    ferry_lane_answered(arg, shape);
}

const char *ferry_greet_build(void)
{
    return FERRY_BUILD " " FERRY_API_HASH;
}

int ferry_greet_open(ferry_vm *vm, ferry_link *channel, bool again, ferry_conn **ret,
                     ferry_error *e)
{
    ferry_conn_opts o = {.on_log = on_log, .on_lane = on_lane, .again = again, .arg = vm};
    int r = ferry_conn_new(vm->ctx->loop, channel, &o, ret);
    return r < 0 ? ferry_fail(e, r, "launch", "out of memory") : 0;
}

FERRY_CO int ferry_greet_hello(ferry_conn *conn, ferry_error *e)
{
    return ferry_conn_hello(conn, FERRY_API_HASH, FERRY_BUILD, e);
}

FERRY_CO int ferry_greet_listen(ferry_conn *conn, ferry_error *e)
{
    return ferry_conn_listen(conn, FERRY_API_HASH, FERRY_BUILD, e);
}
