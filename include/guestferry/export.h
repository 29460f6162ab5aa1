/* guestferry/export.h - marks what the shared library exports (all else is hidden). */
#ifndef GUESTFERRY_EXPORT_H
#define GUESTFERRY_EXPORT_H

#if defined(__GNUC__)
#define FERRY_EXPORT __attribute__((visibility("default")))
#define FERRY_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define FERRY_EXPORT
#define FERRY_PRINTF(fmt, args)
#endif

#endif
