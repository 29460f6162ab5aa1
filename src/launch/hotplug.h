/* Drives of a qemu that runs, over QMP. The guest is not told: the controller sends no events,
 * the daemon looks when it is asked to (daemon/drives.c). Called by machine.c. */
#ifndef FERRY_LAUNCH_HOTPLUG_H
#define FERRY_LAUNCH_HOTPLUG_H

#include "launch/machine.h"
#include "launch/qemu.h"

/* Opens the image and makes it target d->target. On failure, a cancel too, nothing of it is
 * left in qemu; the error names the image, with the codes of a launch (blame.h). */
FERRY_CO int ferry_hotplug_add(ferry_qemu *q, const ferry_drive *d, ferry_error *e);

/* Takes it away, which closes the image. The guest must have let go of it. */
FERRY_CO int ferry_hotplug_remove(ferry_qemu *q, unsigned target, bool scratch,
                                  ferry_error *e);

#endif
