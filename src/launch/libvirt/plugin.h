/* What the library and its libvirt plugin say to each other. The plugin is a module of its
 * own (PREFIX/lib/guestferry/libvirt.so), opened on first use, so that the library links
 * neither libvirt nor what libvirt links.
 *
 *      library (libvirt.c)                  plugin
 *      start(spec, sockets) --------------> a thread of its own: connect, create, bridge
 *                  <---- reports (guard.h), console, words, the daemon's channel
 *      CONTROL shut down -----------------> destroys the domain, closes everything
 *
 * The library does not wait for libvirt at any time: what it holds are ends of
 * socketpairs. A thread that hangs in a call to a libvirtd that does not answer
 * is left to itself; when the call returns, it finds CONTROL closed and cleans up. */
#ifndef FERRY_LAUNCH_LIBVIRT_PLUGIN_H
#define FERRY_LAUNCH_LIBVIRT_PLUGIN_H

#include "launch/argv.h"

#define FERRY_LIBVIRT_MODULE "libvirt.so"
#define FERRY_LIBVIRT_SYMBOL "ferry_libvirt_plugin_table"

/* Library and plugin are of one build; whatever changes below changes this. */
#define FERRY_LIBVIRT_ABI "guestferry-libvirt 1 " FERRY_CONFIG_VERSION

/* The value of FERRY_GUARD_ENDED. libvirt has no wait status for us. */
enum ferry_libvirt_end {
    FERRY_LIBVIRT_QUIT = 0,      /* it was asked to, and has closed its images */
    FERRY_LIBVIRT_OFF = 1,       /* the guest switched itself off, or reset */
    FERRY_LIBVIRT_CRASHED = 2,   /* qemu is gone, libvirt does not know why */
    FERRY_LIBVIRT_DESTROYED = 3, /* by us, or by somebody else */
    FERRY_LIBVIRT_LOST = 4,      /* libvirtd is gone, or does not answer */
    FERRY_LIBVIRT_CUT = 6,       /* the channel was closed, by whomever */
    FERRY_LIBVIRT_HUNG = 5,      /* asked to quit, it did not; it was destroyed */
};

/* The value of FERRY_GUARD_FAILED: at what. The words say why. */
enum ferry_libvirt_step {
    FERRY_LIBVIRT_CONNECT = 1,
    FERRY_LIBVIRT_CREATE = 2,
    FERRY_LIBVIRT_ATTACH = 3,  /* channel, resume */
    FERRY_LIBVIRT_REFUSED = 4, /* connected, but we may not */
};

typedef struct ferry_libvirt_spec {
    const char *uri;         /* NULL: libvirt's own choice */
    const ferry_argv_in *in; /* qemu NULL: libvirt's own */
    const char *append;      /* the kernel's command line */
} ferry_libvirt_spec;

typedef struct ferry_libvirt_plugin {
    const char *abi; /* FERRY_LIBVIRT_ABI */

    /* Copies what it needs of spec, duplicates the sockets (watcher.h), starts the
     * thread. 0 or -errno. */
    int (*start)(const ferry_libvirt_spec *spec, const int *sockets);

    /* Asks on a thread of its own and writes the answer to fd, as one JSON object, then
     * closes that; takes fd over. domain NULL: only who answers there.
     *      {"error": "words", "code": -2}, with "unreachable": true if nobody answered, or
     *      {"libvirt": 9000000, "uri": "qemu:///system", "running": true,
     *       "disks": [{"target": "vda", "path": "/d/a.img", "format": "qcow2",
     *                  "readonly": false, "why": "is a network disk"}, ...]}
     * 0 or -errno. */
    int (*ask)(const char *uri, const char *domain, int fd);
} ferry_libvirt_plugin;

#endif
