/* From the appliance's memory to the host's files: blocking, for pool threads. Each returns the
 * first -errno, after having tried everything. */
#ifndef FERRYD_FLUSH_H
#define FERRYD_FLUSH_H

/* What the file system mounted at `dir` still has in memory, to its device. */
int ferryd_flush_mount(const char *dir);

/* What the kernel holds of a device, and then the drive's own cache. A device that takes no writes is
 * left alone. */
int ferryd_flush_device(const char *device);

#endif
