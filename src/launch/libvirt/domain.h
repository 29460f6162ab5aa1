/* The XML of our domain. Pure: a description in, text out; knows no libvirt. Written with
 * libxml2, which libvirt has loaded anyway: escaping and encodings are its affair. */
#ifndef FERRY_LAUNCH_LIBVIRT_DOMAIN_H
#define FERRY_LAUNCH_LIBVIRT_DOMAIN_H

#include "launch/libvirt/plugin.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct ferry_domain_in {
    const ferry_libvirt_spec *spec;
    const char *name; /* of the domain, unique on its host */
    /* The daemon has libvirt's DAC driver and is on our host: qemu runs as the caller, and
     * no file changes its owner. */
    bool as_caller;
    uid_t uid;
    gid_t gid;
} ferry_domain_in;

/* *ret is the caller's (free). -ENOMEM. */
int ferry_domain_xml(const ferry_domain_in *in, char **ret);

#endif
