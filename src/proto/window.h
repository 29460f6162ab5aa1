/* Credit as arithmetic. One window per stream and direction; pure.
 *
 *   sender                                   receiver
 *   may send while sent < limit              granted: the sender's limit, as told
 *   sent  += payload                         received += payload (never past granted)
 *   limit += CREDIT                          consumed += when the reader is done with it
 *                                            tells CREDIT when half the window is consumed
 *
 * A hole costs FERRY_HOLE_COST whatever its length: it occupies no memory. */
#ifndef FERRY_PROTO_WINDOW_H
#define FERRY_PROTO_WINDOW_H

#include <stdint.h>

/* Bytes in flight per stream and direction without being asked: with 100 us to the daemon
 * and 300 MB/s, 30 KiB would fill the wire; the rest is for the disk behind it. */
#define FERRY_WINDOW (2 * 1024 * 1024)
#define FERRY_HOLE_COST 16

typedef struct ferry_send_window {
    uint64_t sent, limit;
} ferry_send_window;

typedef struct ferry_recv_window {
    uint64_t received, granted, consumed;
    uint32_t size;
} ferry_recv_window;

void ferry_send_window_init(ferry_send_window *w, uint32_t size);
uint32_t ferry_send_window_room(const ferry_send_window *w);
void ferry_send_window_sent(ferry_send_window *w, uint32_t n); /* n <= room */
int ferry_send_window_credit(ferry_send_window *w, uint32_t n); /* -FERRY_EPROTO: absurd */

void ferry_recv_window_init(ferry_recv_window *w, uint32_t size);
int ferry_recv_window_received(ferry_recv_window *w, uint32_t n); /* -FERRY_EPROTO: over */
/* Returns the CREDIT to send now, or 0. */
uint32_t ferry_recv_window_consumed(ferry_recv_window *w, uint32_t n);

#endif
