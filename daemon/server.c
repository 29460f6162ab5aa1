/* The connection's life: see server.h. Owns struct ferryd. */
#include "server.h"

#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "drives.h"
#include "lane.h"
#include "root.h"

#include "api_hash.h"

int ferryd_new(ferry_loop *loop, const char *root_path, struct ferryd **ret)
{
    struct ferryd *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;

    d->loop = loop;
    d->root_path = root_path;
    d->lane_fd = -1;
    ferry_list_init(&d->calls);
    ferry_list_init(&d->labels);
    ferry_cond_init(&d->ended);
    ferry_sem_init(&d->mounting, 1);
    *ret = d;
    return 0;
}

void ferryd_free(struct ferryd *d)
{
    if (!d)
        return;
    ferryd_root_close(d);
    ferryd_labels_free(d);
    ferryd_lane_close(d);
    free(d);
}

/* The connection outlives its last call: a call's stream lives in it. */
static FERRY_CO int serve_conn(struct ferryd *d, ferry_error *e)
{
    int r = ferry_conn_hello(d->conn, FERRY_API_HASH, FERRY_BUILD, e);
    if (r < 0)
        return r;

    ferry_scope_open_root(&d->tasks, d->loop, NULL, FERRY_SCOPE_SUPERVISE);
    r = ferry_conn_run(d->conn);
    ferry_scope_cancel(&d->tasks, -FERRY_ECANCELED);
    ferryd_cancel_calls(d, NULL, -FERRY_ECANCELED);
    ferry_scope_join(&d->tasks);
    return ferry_fail(e, r, "connection", "%s", ferry_strerror(r));
}

int ferryd_serve(struct ferryd *d, ferry_link *link, ferry_error *e)
{
    const ferry_conn_opts opts = {.server = true,
                                  .on_call = ferryd_dispatch,
                                  .on_lane = ferryd_lane_offered,
                                  .arg = d};
    int r = ferry_conn_new(d->loop, link, &opts, &d->conn);
    if (r < 0)
        return ferry_fail(e, r, "connection", "%s", ferry_strerror(r));

    r = serve_conn(d, e);
    ferry_conn_free(ferry_take(&d->conn));
    return r;
}
