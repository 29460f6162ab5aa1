/* Credit as arithmetic: how much a sender may still send, and when a receiver says
 * more. Called by the writer (sending) and by receive.c and stream.c (receiving); must
 * not know frames, streams or loops. Totals are 64 bits wide and never wrap. */
#include "proto/window.h"

#include <guestferry/error.h>

#include <assert.h>
#include <string.h>

void ferry_send_window_init(ferry_send_window *w, uint32_t size)
{
    *w = (ferry_send_window){.limit = size, .size = size};
}

uint32_t ferry_send_window_room(const ferry_send_window *w)
{
    return (uint32_t)(w->limit - w->sent);
}

void ferry_send_window_sent(ferry_send_window *w, uint32_t cost, uint64_t bytes)
{
    assert(cost <= ferry_send_window_room(w));
    w->sent += cost;
    w->bytes += bytes;

    if (w->sent - w->marked < w->size / FERRY_WINDOW_MARKS)
        return;
    assert(w->nmarks <= FERRY_WINDOW_MARKS);
    w->marks[w->nmarks++] = (struct ferry_window_mark){w->sent, w->bytes};
    w->marked = w->sent;
}

/* Takes off the marks that credit has passed. */
static void acknowledge(ferry_send_window *w)
{
    uint64_t credited = w->limit - w->size;
    unsigned n = 0;
    if (credited == w->sent) { /* all of it: no note is needed to know how many bytes */
        w->acked = w->bytes;
        w->nmarks = 0;
        return;
    }
    while (n < w->nmarks && w->marks[n].sent <= credited)
        w->acked = w->marks[n++].bytes;
    w->nmarks -= n;
    memmove(w->marks, w->marks + n, w->nmarks * sizeof *w->marks);
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
    acknowledge(w);
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

static uint32_t untold(const ferry_recv_window *w)
{
    return (uint32_t)(w->consumed + w->size - w->granted);
}

uint32_t ferry_recv_window_consumed(ferry_recv_window *w, uint32_t n)
{
    assert(n <= w->received - w->consumed);
    w->consumed += n;

    /* Told in halves: a CREDIT for every frame would be a frame for every frame. */
    uint32_t told = untold(w) < w->size / 2 ? 0 : untold(w);
    w->granted += told;
    return told;
}

uint32_t ferry_recv_window_idle(ferry_recv_window *w)
{
    uint32_t told = untold(w);
    w->granted += told;
    return told;
}
