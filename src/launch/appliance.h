/* The files that a launch needs: the appliance's, qemu, the guard. Finding them is
 * blocking file system work: machine.c calls this on a pool thread, doctor from its own.
 * Each error names what was tried and what to do. */
#ifndef FERRY_LAUNCH_APPLIANCE_H
#define FERRY_LAUNCH_APPLIANCE_H

#include "launch/argv.h"

#include <guestferry/error.h>

typedef struct ferry_appliance {
    const ferry_platform *platform; /* that of its manifest's "arch", else the host's */
    char *dir;
    char *kernel, *initramfs, *usr; /* absolute paths, readable when looked at */
    char *bios;                     /* too; NULL if the platform has none */
} ferry_appliance;

/* given: a directory, and then only that one; NULL: $FERRY_APPLIANCE, else the installed
 * one. -FERRY_ELAUNCH. */
int ferry_appliance_find(const char *given, ferry_appliance *ret, ferry_error *e);
int ferry_appliance_copy(const ferry_appliance *a, ferry_appliance *ret); /* -ENOMEM */
void ferry_appliance_done(ferry_appliance *a);

/* given: a path or a name in $PATH; NULL: $FERRY_QEMU, else the platform's. *ret is an
 * absolute path, the caller's. -FERRY_ELAUNCH. */
int ferry_qemu_find(const ferry_platform *p, const char *given, char **ret,
                    ferry_error *e);

/* $FERRY_LIBEXEC, else where it was installed. -FERRY_ELAUNCH. */
int ferry_guard_find(char **ret, ferry_error *e);

#endif
