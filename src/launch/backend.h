/* A way to have qemu run: what machine.c asks of it. */
#ifndef FERRY_LAUNCH_BACKEND_H
#define FERRY_LAUNCH_BACKEND_H

#include "launch/argv.h"
#include "launch/blame.h"
#include "launch/prepare.h"
#include "launch/watcher.h"

typedef struct ferry_backend {
    const char *name;
    bool has_lane;  /* hands on spec's lane_fd */
    bool templates; /* can start from one: passes descriptors and QMP on */

    /* Who will start the machine that `in` describes; for one attempt. */
    int (*watcher)(const ferry_argv_in *in, const ferry_prepared *found,
                   ferry_watcher **ret, ferry_error *e);

    /* As ferry_blame() and ferry_suspect(): its words are its own. */
    int (*blame)(const ferry_evidence *ev, int code, ferry_error *e);
    enum ferry_suspect (*suspect)(const ferry_evidence *ev);
} ferry_backend;

#endif
