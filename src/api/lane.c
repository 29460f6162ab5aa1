/* Making and offering the lane: see lane.h. Who uses it is src/proto and whoever asks it for a
 * slot (source.c); it is not known here what a slot is used for. */
#include "api/lane.h"

#include "base/auto.h"
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* 2 MiB: a slot costs the guest a dozen changes of threads, which under TCG are dear; but a cancel waits for
 * the end of what is being read or written. With 4 MiB an upload is a tenth faster, and the slowest cancels
 * take up to twice as long (docs/performance.md). 8: one transfer has 4 (proto/lane.h), one being filled, one
 * on its way, and two being written. */
static const ferry_lane_shape shape = {.slot = 2 * 1024 * 1024, .up = 8, .down = 8};

static bool is_off(void)
{
    const char *off = secure_getenv("FERRY_LANE");
    return off && strcmp(off, "off") == 0;
}

/* Sealed: nobody, not even a qemu that has been taken over, can shorten it under our feet. */
static int open_memory(uint64_t bytes)
{
    FERRY_AUTO(fd) int fd =
        memfd_create("guestferry lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    return ferry_take_fd(&fd);
}

static int map_slots(int fd, ferry_lane_map **ret)
{
    size_t len = (size_t)ferry_lane_bytes(&shape);
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FERRY_LANE_HEAD);
    return at == MAP_FAILED ? -errno : ferry_lane_map_new(at, len, ret);
}

int ferry_lane_memory(int *ret_fd, uint64_t *ret_bytes)
{
    uint64_t bytes = FERRY_LANE_HEAD + ferry_lane_bytes(&shape);
    *ret_bytes = 0;
    if (is_off())
        return 0;
    int fd = open_memory(bytes);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    *ret_bytes = bytes;
    return 0;
}

void ferry_lane_make(ferry_vm *vm)
{
    int fd = -1;
    atomic_store(&vm->lane_text, "none");
    int r = ferry_lane_memory(&fd, &vm->spec.lane_bytes);
    if (r == 0 && vm->spec.lane_bytes)
        r = map_slots(fd, &vm->lane);
    vm->spec.lane_fd = fd;
    if (r == 0)
        return;
    FERRY_TRACE(api, "no lane: %s", ferry_strerror(r));
    vm->spec.lane_bytes = 0;
    if (fd >= 0)
        close(fd);
}

void ferry_lane_made(ferry_vm *vm, bool has)
{
    if (vm->spec.lane_bytes)
        close(vm->spec.lane_fd);
    vm->spec.lane_bytes = 0;
    if (!has)
        ferry_lane_drop(vm);
    else
        atomic_store(&vm->lane_text, "idle");
}

void ferry_lane_drop(ferry_vm *vm)
{
    ferry_lane_map_unref(vm->lane);
    vm->lane = NULL;
}

void ferry_lane_want(ferry_vm *vm, uint64_t bytes)
{
    if (bytes < FERRY_LANE_FROM || !vm->lane || !vm->conn ||
        ferry_conn_get_lane(vm->conn) != FERRY_CONN_LANE_NONE)
        return;
    ferry_conn_offer_lane(vm->conn, vm->lane, &shape);
}

void ferry_lane_answered(ferry_vm *vm, bool open)
{
    FERRY_TRACE(api, "the appliance has %s the lane", open ? "opened" : "refused");
    atomic_store(&vm->lane_text, open ? "open" : "refused");
}
