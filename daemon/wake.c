/* wake and boot_id: what makes an appliance that was restored from a template another than its
 * siblings. They have one memory until then: one clock, one state of the kernel's random
 * number generator. Nothing that is random has been read before (PID 1 and the daemon read
 * none), so what is seeded here is what every later program gets. */
#include "base/auto.h"
#include "base/error.h"
#include "call.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

/* The kernel makes it at the first look, which is ours. */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* Credited, so that a guest whose pool was never full does not wait for more; and taken up
 * at once rather than at the generator's next turn. */
static int add_entropy(const uint64_t seed[4])
{
    struct {
        struct rand_pool_info head;
        uint64_t seed[4];
    } pool = {.head = {.entropy_count = 256, .buf_size = 32}};
    FERRY_AUTO(fd) int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    memcpy(pool.head.buf, seed, sizeof pool.seed);
    return fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0
               ? -errno
               : 0;
}

int ferryd_wake(struct ferryd_call *c, const fx_wake_args *a, ferry_error *e)
{
    const uint64_t seed[4] = {a->seed0, a->seed1, a->seed2, a->seed3};
    struct timespec now = {a->seconds, a->nanoseconds};
    int r = c->d->appliance ? add_entropy(seed) : 0;
    if (r < 0)
        return ferryd_fail(c, e, r, "randomness");
    if (c->d->appliance && clock_settime(CLOCK_REALTIME, &now) < 0)
        return ferryd_fail(c, e, -errno, "the clock");
    return 0;
}

int ferryd_boot_id(struct ferryd_call *c, fx_boot_id_ret *ret, ferry_error *e)
{
    char text[64];
    FERRY_AUTO(fd) int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return ferryd_fail(c, e, n < 0 ? -errno : -EIO, BOOT_ID);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    ret->value = strdup(text);
    return ret->value ? 0 : -ENOMEM;
}
