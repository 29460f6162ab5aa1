/* Kernel modules by list, without modprobe: a fork and exec of it each would take longer than the
 * loading. Blocking. */
#ifndef FERRYD_MODULES_H
#define FERRYD_MODULES_H

/* Loads what a file names, one a line, dependencies first: "PATH [PARAMETERS]". Written by
 * appliance/build. 0, or the first failure; it has been told on stderr. */
int ferryd_modules_load(const char *list);

#endif
