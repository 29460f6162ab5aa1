/* The XML of our domain. Pure: a description in, text out; knows no libvirt. Written with
 * libxml2, which libvirt has loaded anyway: escaping and encodings are its affair. */
#ifndef FERRY_LAUNCH_LIBVIRT_DOMAIN_H
#define FERRY_LAUNCH_LIBVIRT_DOMAIN_H

#include "launch/libvirt/plugin.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whose files are while the domain runs. */
enum ferry_domain_owner {
    FERRY_OWNER_ANY,    /* libvirtd has no DAC driver: nothing changes its owner */
    FERRY_OWNER_CALLER, /* nothing changes its owner: qemu runs as the caller */
    FERRY_OWNER_QEMU,   /* images are given to libvirt's user, as always; not usr.img,
                         * which other domains have too */
    FERRY_OWNERS,
};

typedef struct ferry_domain_in {
    const ferry_libvirt_spec *spec;
    const char *name; /* of the domain, unique on its host */
    enum ferry_domain_owner owner;
    uid_t uid;
    gid_t gid;
} ferry_domain_in;

/* *ret is the caller's (free). -ENOMEM. */
int ferry_domain_xml(const ferry_domain_in *in, char **ret);

#endif
