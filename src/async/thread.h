/* A thread of our own that runs a loop of our own, for contexts that borrow none.
 *
 *     ferry_thread_start(&thread, &loop)   ... ferry_loop_post(loop, ...) from anywhere ...
 *     on the thread: ferry_loop_close(loop, ...)  -> its uv_run returns
 *     ferry_thread_join(thread)
 *
 * Signals are blocked on it, so that handlers run on the program's threads; not those of
 * faults (SIGSEGV ...), which belong to the thread that made them. */
#ifndef FERRY_ASYNC_THREAD_H
#define FERRY_ASYNC_THREAD_H

#include "async/loop.h"

typedef struct ferry_thread ferry_thread;

/* -ENOMEM, -FERRY_ENPROC (no more threads), -EMFILE. */
int ferry_thread_start(ferry_thread **ret_thread, ferry_loop **ret_loop);
/* Waits for the thread to end, and frees. Not from the thread itself. */
void ferry_thread_join(ferry_thread *t);
bool ferry_thread_is_self(const ferry_thread *t);

#endif
