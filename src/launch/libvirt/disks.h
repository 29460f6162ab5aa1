/* The disks of somebody's domain, from its XML. Pure: text in, JSON out. */
#ifndef FERRY_LAUNCH_LIBVIRT_DISKS_H
#define FERRY_LAUNCH_LIBVIRT_DISKS_H

#include <jansson.h>

/* Appends an object for each disk to list (plugin.h says what is in one); "why" is there
 * when it is none that a file or device of the host holds. CD-ROMs and floppies are left
 * out. 0, -EINVAL if that is no domain, -ENOMEM. */
int ferry_domain_disks(const char *xml, json_t *list);

#endif
