/* The libvirt backend: the library's half. What talks to libvirt is a plugin
 * (libvirt/plugin.h), which is opened here. */
#ifndef FERRY_LAUNCH_LIBVIRT_H
#define FERRY_LAUNCH_LIBVIRT_H

#include "launch/backend.h"
#include "launch/qmp.h"

#include <jansson.h>

typedef struct ferry_libvirt_plugin ferry_libvirt_plugin;

extern const ferry_backend ferry_backend_libvirt;

/* "libvirt" or "libvirt:URI"? *ret_uri (NULL: libvirt's own choice) is part of it. */
bool ferry_libvirt_named(const char *backend, const char **ret_uri);
/* Is it about another host? Then files are that host's. */
bool ferry_libvirt_remote(const char *uri);

/* Opens the plugin; blocking work. It stays open. -FERRY_ELAUNCH: what is missing. */
int ferry_libvirt_load(const ferry_libvirt_plugin **ret, ferry_error *e);

/* Has the plugin ask (plugin.h) and waits for the answer, an object without "error". After
 * a cancel nobody waits for it any more. */
FERRY_CO int ferry_libvirt_ask(const char *uri, const char *domain, json_t **ret,
                               ferry_error *e);

#endif
