/* guestferry/version.h - the version compiled against, and the one that runs. */
#ifndef GUESTFERRY_VERSION_H
#define GUESTFERRY_VERSION_H

#include <guestferry/export.h>

#define FERRY_VERSION "0.1.0"
#define FERRY_VERSION_NUMBER 0x000100

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0", of the library that runs. Thread: any. Signal-safe: yes. Since 0.1. */
FERRY_EXPORT const char *ferry_version(void);

#ifdef __cplusplus
}
#endif
#endif
