/* The VM's list of drives, for launch.c. The calls themselves are public (guestferry/vm.h). */
#ifndef FERRY_API_DRIVES_H
#define FERRY_API_DRIVES_H

#include "api/internal.h"

/* Before a launch: every drive's target is its place in the list. */
void ferry_vm_number_drives(ferry_vm *vm);

/* Adds all n drives to a VM that is not launched, and takes them over; or none. */
int ferry_vm_add_drives(ferry_vm *vm, ferry_drive *drives, unsigned n,
                        const char *where, ferry_error *e);

#endif
