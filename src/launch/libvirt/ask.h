/* Questions to libvirt that need no domain of ours; plugin.h has the answers' form. */
#ifndef FERRY_LAUNCH_LIBVIRT_ASK_H
#define FERRY_LAUNCH_LIBVIRT_ASK_H

int ferry_ask_start(const char *uri, const char *domain, int fd);

#endif
