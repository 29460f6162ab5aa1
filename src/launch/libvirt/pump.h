/* Bytes both ways between a virStream and one end of a socketpair.
 *
 *      socket <--send-- virStreamRecv   on libvirt's event loop; what the socket does not take
 *                                       at once waits, and then the stream is not read
 *      socket --recv--> virStreamSend   on a thread of its own
 *
 * libvirt's client blocks in virStreamSend() until libvirtd has taken the bytes, also with
 * VIR_STREAM_NONBLOCK (seen in 9.0, virNetClientSendStream). On the event loop one libvirtd
 * that hangs would stop the streams, the kills and the keepalive of all. */
#ifndef FERRY_LAUNCH_LIBVIRT_PUMP_H
#define FERRY_LAUNCH_LIBVIRT_PUMP_H

#include <libvirt/libvirt.h>

typedef struct ferry_pump ferry_pump;

/* Takes over the stream, which is open and non-blocking, and fd; also on failure. With
 * on_end the pump works both ways: at the stream's end that is called, once, and fd stays
 * open until the owner knows why and closes the pump. Without, only out of the stream,
 * and its end is the end of fd. NULL: libvirt or the memory refused. */
ferry_pump *ferry_pump_new(virStreamPtr st, int fd, void (*on_end)(void *arg),
                           void *arg);

/* Ends both sides at once; the peer of fd gets an end of file. NULL is allowed. */
void ferry_pump_close(ferry_pump *p);

#endif
