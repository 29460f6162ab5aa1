/* The lane's memory for this connection: see lane.h. The device is dax.c's. */
#include "lane.h"

#include "base/auto.h"
#include "base/trace.h"
#include "block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct opening {
    struct ferryd *d;
    size_t len;
    void *at;
    int r;
    char what[80];
};

/* A test's memory stands for the whole device, head included. */
static void open_run(void *arg)
{
    struct opening *o = arg;
    bool given = o->d->lane_fd >= 0;
    FERRY_AUTO(fd) int fd = given ? fcntl(o->d->lane_fd, F_DUPFD_CLOEXEC, 0)
                                  : ferryd_dax_open(o->len, o->what, sizeof o->what);
    if (fd < 0) {
        o->r = given ? -errno : fd;
        return;
    }
    off_t from = given ? FERRY_LANE_HEAD : 0;
    o->at = mmap(NULL, o->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, from);
    o->r = o->at == MAP_FAILED ? -errno : 0;
}

static FERRY_CO int open_lane(void *arg)
{
    struct ferryd *d = arg;
    struct opening o = {.d = d, .len = (size_t)d->lane_bytes};
    int r = ferryd_block(open_run, &o);
    if (r == 0)
        r = o.r;
    if (r == 0)
        r = ferry_lane_map_new(o.at, o.len, &d->lane);
    if (r < 0) {
        char line[160];
        snprintf(line, sizeof line, "no lane: %s: %s", o.what, ferry_strerror(r));
        ferry_conn_log(d->conn, line);
    }
    ferry_conn_answer_lane(d->conn, r == 0 ? d->lane : NULL);
    return 0;
}

/* A later connection (the guest of a template has had one before) finds it open. */
void ferryd_lane_offered(void *daemon, const ferry_lane_shape *shape)
{
    struct ferryd *d = daemon;
    uint64_t bytes = ferry_lane_bytes(shape);
    bool open = d->lane && d->lane_bytes == bytes;
    d->lane_bytes = d->lane ? d->lane_bytes : bytes;
    if (open || d->lane || ferry_spawn(&d->tasks, "lane", open_lane, d) < 0)
        ferry_conn_answer_lane(d->conn, open ? d->lane : NULL);
}

void ferryd_lane_close(struct ferryd *d)
{
    ferry_lane_map_unref(d->lane);
    d->lane = NULL;
}
