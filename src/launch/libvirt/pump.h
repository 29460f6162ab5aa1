/* Bytes both ways between a virStream and one end of a socketpair, on libvirt's event
 * loop. What does not go at once waits in a buffer, and then its source is not read: the
 * slower side sets the pace. (Towards libvirtd, the client library takes everything; there
 * the protocol's credit is the bound.)
 *
 *      socket --recv--> in  --virStreamSend--> stream
 *      socket <--send-- out <--virStreamRecv-- stream
 */
#ifndef FERRY_LAUNCH_LIBVIRT_PUMP_H
#define FERRY_LAUNCH_LIBVIRT_PUMP_H

#include <libvirt/libvirt.h>

typedef struct ferry_pump ferry_pump;

/* Takes over the stream, which is open and non-blocking, and fd; also on failure. NULL:
 * libvirt or the memory refused. */
ferry_pump *ferry_pump_new(virStreamPtr st, int fd);

/* Ends both sides at once; the peer of fd gets an end of file. NULL is allowed. */
void ferry_pump_close(ferry_pump *p);

#endif
