/* Devices that the kernel's device mapper makes of others: logical volumes, and what has been
 * opened of encrypted devices; and what stands on what.
 *
 *      /dev/mapper/secret            CRYPT-LUKS2-...   opened by a caller, closed by a caller
 *      /dev/vg/lv                    LVM-...           activated for callers who look for it, and
 *        '-- /dev/sda1                                 deactivated where it is in the way
 */
#ifndef FERRYD_MAPPER_H
#define FERRYD_MAPPER_H

#include "call.h"
#include "devices.h"

/* What a caller opens has its node here. */
#define FERRYD_MAPPER_DIR "/dev/mapper/"

/* Activates what volume groups there are and adds their volumes as /dev/VG/LV. A run of lvm costs
 * 0.3 s under TCG: for callers who have seen a physical volume, or a name that may be a
 * volume's. */
FERRY_CO int ferryd_scan_volumes(struct ferryd_call *c, struct ferryd_names *names,
                                 ferry_error *e);

/* Blocking: adds what has been opened as /dev/mapper/NAME, sorted. */
int ferryd_scan_opened(struct ferryd_names *names);

/* Takes the volume groups from a drive, or from an opened device, that is to go: those that
 * use it, or a partition of it, are deactivated. -FERRY_EBUSY, naming what is in the way, and
 * nothing has been changed: a volume of one of them is mounted, or something that a
 * caller opened stands on it. Under ferryd.mounting. */
FERRY_CO int ferryd_release(struct ferryd_call *c, const char *device, ferry_error *e);

/* At the end of the appliance: closes all of it, best effort. */
FERRY_CO void ferryd_release_all(struct ferryd_call *c);

/* ---- pure ------------------------------------------------------------------------- */

/* "/dev/my-vg/lv" for "my--vg-lv". -EINVAL: no volume's name; -ENAMETOOLONG. */
int ferryd_volume_path(const char *dm_name, char *buf, size_t size);

/* "my-vg" for "my--vg-lv", and for the parts "my--vg-lv_tmeta", "my--vg-pool-tpool". The same
 * codes. */
int ferryd_volume_group(const char *dm_name, char *buf, size_t size);

#endif
