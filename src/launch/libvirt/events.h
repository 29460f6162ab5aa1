/* libvirt's event loop: one thread for the whole process, started with the first
 * connection and never ended. A program that has registered an event loop of its own with
 * libvirt before keeps it, must run it, and gets our callbacks there: they may come from
 * any thread, one at a time for each object. */
#ifndef FERRY_LAUNCH_LIBVIRT_EVENTS_H
#define FERRY_LAUNCH_LIBVIRT_EVENTS_H

#include <pthread.h>

/* 0 or -errno. Any thread. */
int ferry_events_start(void);

/* A detached thread with all signals blocked: handlers run on the program's own. 0 or
 * -errno. */
int ferry_events_thread(void *(*run)(void *arg), void *arg);

#endif
