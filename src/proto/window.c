/* Credit as arithmetic: how much a sender may still send, and when a receiver says
 * more. Called by the writer (sending) and by receive.c and stream.c (receiving); must
 * not know frames, streams or loops. Totals are 64 bits wide and never wrap. */
#include "proto/window.h"

#include <guestferry/error.h>

#include <assert.h>

void ferry_send_window_init(ferry_send_window *w, uint32_t size)
{
    *w = (ferry_send_window){.limit = size, .size = size};
}

uint32_t ferry_send_window_room(const ferry_send_window *w)
{
    return (uint32_t)(w->limit - w->sent);
}

void ferry_send_window_sent(ferry_send_window *w, uint32_t n)
{
    assert(n <= ferry_send_window_room(w));
    w->sent += n;
}

uint32_t ferry_send_window_in_flight(const ferry_send_window *w)
{
    return w->size - ferry_send_window_room(w);
}

int ferry_send_window_credit(ferry_send_window *w, uint32_t n)
{
    if (n == 0 || n > ferry_send_window_in_flight(w))
        return -FERRY_EPROTO;
    w->limit += n;
    return 0;
}

void ferry_recv_window_init(ferry_recv_window *w, uint32_t size)
{
    *w = (ferry_recv_window){.granted = size, .size = size};
}

int ferry_recv_window_received(ferry_recv_window *w, uint32_t n)
{
    if (n > w->granted - w->received)
        return -FERRY_EPROTO;
    w->received += n;
    return 0;
}

uint32_t ferry_recv_window_consumed(ferry_recv_window *w, uint32_t n)
{
    assert(n <= w->received - w->consumed);
    w->consumed += n;

    /* Told in halves: a CREDIT for every frame would be a frame for every frame. */
    uint32_t untold = (uint32_t)(w->consumed + w->size - w->granted);
    if (untold < w->size / 2)
        return 0;
    w->granted += untold;
    return untold;
}
