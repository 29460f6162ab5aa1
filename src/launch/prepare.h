/* What a launch wants to know before it starts: where its files are, and whether kvm is
 * worth a try. All of it is blocking file system work, done on a pool thread. */
#ifndef FERRY_LAUNCH_PREPARE_H
#define FERRY_LAUNCH_PREPARE_H

#include "launch/accel.h"
#include "launch/appliance.h"

typedef struct ferry_prepared {
    ferry_appliance appliance;
    char *qemu; /* NULL: libvirt's own */
    char *guard;
    const struct ferry_libvirt_plugin *libvirt; /* for that backend */
    char *uri;                                  /* its URI; NULL: its own choice */

    uint32_t ticks_khz; /* ticks.h; 0: of no use to the guest */

    bool try_kvm;                    /* auto: it opens and has not failed before */
    char no_kvm[FERRY_ACCEL_REASON]; /* auto: why it is not tried; else "" */
    char accel_key[FERRY_ACCEL_KEY];
} ferry_prepared;

/* An error says what is missing. The result is the caller's (ferry_prepared_done). */
FERRY_CO int ferry_prepare(const ferry_machine_spec *spec, ferry_prepared *ret,
                           ferry_error *e);
void ferry_prepared_done(ferry_prepared *p);

/* Compares the appliance with its manifest. 0, an error that names the file, or the cancel
 * code. Takes a moment the first time (manifest.h): run beside the boot. */
FERRY_CO int ferry_prepared_check(const ferry_prepared *p, ferry_error *e);

/* Writes the verdict down: NULL takes an earlier one back. */
FERRY_CO void ferry_prepared_verdict(const ferry_prepared *p, const char *reason);

#endif
