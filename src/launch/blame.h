/* Why an appliance did not start, or ended: from qemu's words, the console and the wait
 * status to one line for a person. Pure. Called by machine.c.
 *
 * qemu has no codes, only words. They have been stable for years; words that are not
 * recognised are passed on as they are. Measured with qemu 7.2. */
#ifndef FERRY_LAUNCH_BLAME_H
#define FERRY_LAUNCH_BLAME_H

#include "launch/machine.h"

#include <stdbool.h>

typedef struct ferry_evidence {
    const ferry_machine_spec *spec;
    const char *qemu;               /* path of the program; libvirt: its URI, or NULL */
    const char *words;              /* its stderr; "" if it said nothing */
    const char *panic, *oom, *last; /* of the console; "" if there is none */
    int exec_errno;                 /* not 0: qemu never ran */
    int status; /* wait status of qemu; -1: the guard was lost with it */
} ferry_evidence;

/* Fills e. `code` is for causes that have none of their own: -FERRY_ELAUNCH during a
 * launch, -FERRY_EDEAD after. Returns the code. */
int ferry_blame(const ferry_evidence *ev, int code, ferry_error *e);

/* Its parts, for other evidence: the guest ended itself, and qemu is content; one line about
 * one drive, as QMP or libvirt refuses it. */
int ferry_blame_guest(const ferry_evidence *ev, int code, ferry_error *e);
int ferry_blame_drive(const ferry_drive *d, const char *said, int code, ferry_error *e);

enum ferry_suspect {
    FERRY_SUSPECT_OTHER,   /* would fail the same way again */
    FERRY_SUSPECT_ACCEL,   /* at once and by its own account: kvm is not available */
    FERRY_SUSPECT_BOOT,    /* crashed or reset: kvm is there and does not work */
    FERRY_SUSPECT_SANDBOX, /* this qemu was built without seccomp */
    FERRY_SUSPECT_LANE,    /* or without the device of the lane, or cannot map it */
};

/* Whose fault an end during launch may be, so that another way can be tried. */
enum ferry_suspect ferry_suspect(const ferry_evidence *ev);

/* The first line of qemu's that is no warning, without the program's name and without
 * the JSON it quotes. */
void ferry_words(const char *words, char *buf, size_t size);

#endif
