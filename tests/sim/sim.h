/* Two connections in one process: a client whose task the test writes, and a server
 * that answers calls by procedure number. The wire between them is as bad as the test
 * wants.
 *
 *      body(sim) --> sim->client ==== wire ==== sim->server --> a task per call
 */
#ifndef FERRY_TESTS_SIM_H
#define FERRY_TESTS_SIM_H

#include "harness/fake.h"
#include "proto/conn.h"
#include "proto/window.h"
#include "sim/wire.h"

/* What the server does for a CALL. Bytes are those of sim_byte(seed, offset). */
enum sim_proc {
    SIM_NOTHING = 1, /* replies */
    SIM_SOURCE,      /* sends `bytes` in writes of `chunk`, END, replies */
    SIM_SINK,        /* reads to END and checks, replies the count */
    SIM_ECHO,        /* sends back what comes, END, replies */
    SIM_WAIT,        /* waits until it is reset; replies the cancel code */
    SIM_PAUSE,       /* waits `bytes` ms, replies */
    SIM_NO_END,      /* SIM_SOURCE that replies without END */
    SIM_PROGRESS,    /* tells progress `bytes` times, one ms apart, replies */
    SIM_REFUSE,      /* reads `bytes` bytes, then replies -FERRY_ENOSPC */
};

typedef struct sim_request {
    uint64_t bytes;
    uint32_t chunk; /* 0: FERRY_FRAME_MAX */
    uint32_t seed;
} sim_request;

typedef struct sim_answer {
    int status;
    uint64_t count;
} sim_answer;

typedef struct sim sim;
struct sim {
    wire_faults to_server, to_client; /* WIRE_GOOD both: sim_init() */
    FERRY_CO int (*body)(sim *s);     /* the client's side of the test */
    void *user;
    const char *client_hash, *server_hash;
    bool lane; /* offered at the start; sim_init(): if $FERRY_SIM_LANE is set */
    long *fail_at,
        fail_after; /* not NULL: set so once both connections are to be made */

    /* while body runs */
    ferry_loop *loop;
    ferry_conn *client, *server;
    ferry_link *client_end, *server_end;
    ferry_scope calls; /* the server's tasks */

    int lane_fd; /* -1: none */
    ferry_lane_map *server_map;

    /* filled as it goes */
    unsigned started, ended; /* calls on the server */
    unsigned resets;         /* on_reset callbacks */
    unsigned logs;
    char last_log[128];
    int client_result, server_result; /* of ferry_conn_run, or of _hello */
    ferry_error client_error;         /* of _hello */
};

void sim_init(sim *s, FERRY_CO int (*body)(sim *s));

/* Builds everything, runs body in a task, takes everything down, and checks that
 * nothing is left: no stream, no task, no end of the wire. Returns body's result, or
 * that of the HELLO when that failed. */
int sim_run(sim *s);

/* The lane of a sim: small, so that there is want. Its memory is mapped twice, as if in two processes. */
#define SIM_LANE ((ferry_lane_shape){.slot = 128 * 1024, .up = 6, .down = 4})
/* Waits until each slot is where it began; false if some never are. */
FERRY_CO bool sim_lane_rests(sim *s);

/* ---- for bodies and servers ----------------------------------------------------- */

uint8_t sim_byte(uint32_t seed, uint64_t offset);

FERRY_CO int sim_call(sim *s, enum sim_proc proc, sim_request rq, ferry_stream **ret);
/* Waits for the REPLY and takes it apart. */
FERRY_CO int sim_wait(ferry_stream *st, sim_answer *ret);
/* sim_call() and sim_wait() and close: the answer's status, or the failure. */
FERRY_CO int sim_ask(sim *s, enum sim_proc proc, sim_request rq);

/* Writes rq.bytes in chunks; no END. */
FERRY_CO int sim_send(ferry_stream *st, sim_request rq);
/* Reads to the end and checks every byte; the count. Holes are zeroes. */
FERRY_CO int sim_receive(ferry_stream *st, uint32_t seed, uint64_t *ret_count);

#endif
