/* qemu as a child of gferry-guard, on this host; see watcher.h. */
#ifndef FERRY_LAUNCH_DIRECT_H
#define FERRY_LAUNCH_DIRECT_H

#include "launch/backend.h"

/* Scratch disks travel as descriptors: 8 of ours, and libraries of qemu's want theirs. */
#define FERRY_SCRATCHES_MAX 32

extern const ferry_backend ferry_backend_direct;

/* argv[0] is an absolute path; its scratch disks are those of drives and are made here. Behind
 * them comes the lane's descriptor, which stays the caller's; -1: there is no lane. */
int ferry_direct_new(const char *guard, char *const *argv, int lane,
                     const ferry_drive *drives, unsigned ndrives, ferry_watcher **ret,
                     ferry_error *e);

#endif
