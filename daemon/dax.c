/* /dev/dax0.0: see lane.h. What `ndctl create-namespace --mode=devdax` does, by sysfs: docs of
 * the kernel, Documentation/driver-api/nvdimm. Runs on a pool thread, once. */
#include "lane.h"

#include "base/auto.h"
#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Written by appliance/build; the modules are on /usr. */
#define LANE_MODULES "/etc/ferryd/lane-modules"

#define ND "/sys/bus/nd/devices/"
#define DAX "/dev/dax0.0"

static int put(const char *path, const char *text)
{
    FERRY_AUTO(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int get(const char *path, uint64_t *ret)
{
    char text[32] = "";
    FERRY_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return -errno;
    *ret = strtoull(text, NULL, 0);
    return 0;
}

/* Devices are probed in the background: reading this waits until that is over. */
static int settle(void)
{
    uint64_t one;
    return get(ND "ndbus0/wait_probe", &one);
}

/* "ram": the kernel's description of the pages goes to ordinary memory, and the head has only two
 * blocks of its own that say what this is. */
int ferryd_dax_make(char *what, size_t size)
{
    static const char *const steps[][2] = {
        {ND "dax0.0/mode", "ram"},
        {ND "dax0.0/align", "2097152"},
        {ND "dax0.0/uuid", "8f2d7c1a-53b0-4a5e-9f0e-6665727279ff"},
        {ND "dax0.0/namespace", "namespace0.0"},
        {"/sys/bus/nd/drivers/dax_pmem/bind", "dax0.0"},
    };
    int r = ferryd_modules_load(LANE_MODULES);
    snprintf(what, size, "%s", LANE_MODULES);
    if (r == 0) {
        r = settle();
        snprintf(what, size, "%s", ND "ndbus0");
    }
    for (size_t i = 0; r == 0 && i < sizeof steps / sizeof *steps; i++) {
        r = put(steps[i][0], steps[i][1]);
        snprintf(what, size, "%s", steps[i][0]);
    }
    return r;
}

/* The host counts slots from FERRY_LANE_HEAD on: so must we. */
static int check(uint64_t bytes)
{
    uint64_t whole, slots, len;
    int r = get(ND "region0/resource", &whole);
    if (r == 0)
        r = get(ND "dax0.0/resource", &slots);
    if (r == 0)
        r = get(ND "dax0.0/size", &len);
    if (r < 0)
        return r;
    return slots - whole == FERRY_LANE_HEAD && len == bytes ? 0 : -ENXIO;
}

int ferryd_dax_open(uint64_t bytes, char *what, size_t size)
{
    int r = access(DAX, F_OK) == 0 ? 0 : ferryd_dax_make(what, size);
    if (r < 0)
        return r;
    snprintf(what, size, "%s", DAX);
    r = check(bytes);
    if (r < 0)
        return r;
    int fd = open(DAX, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
