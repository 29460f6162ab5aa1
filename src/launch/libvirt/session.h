/* One domain of ours, from the connection to its end; see plugin.h for who talks to it. */
#ifndef FERRY_LAUNCH_LIBVIRT_SESSION_H
#define FERRY_LAUNCH_LIBVIRT_SESSION_H

#include "launch/libvirt/plugin.h"

int ferry_session_start(const ferry_libvirt_spec *spec, const int *sockets);

#endif
