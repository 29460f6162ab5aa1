/* How fast the counter runs that TCG hands its guests as their time stamp counter: the host's own.
 *
 * A kernel that has to find out measures it against an emulated timer. On a busy host the
 * emulator is put aside in the middle of that, and what comes out is nonsense: "PIT
 * calibration deviates from HPET: 127836 2595056. Using PIT calibration value" made a guest's
 * clock run twenty times too fast. So it is told. */
#ifndef FERRY_LAUNCH_TICKS_H
#define FERRY_LAUNCH_TICKS_H

#include <stdint.h>

/* kHz, to some 0.01 %; 0: not known on this kind of host. Sleeps 1 ms, once in a process: for
 * a pool thread. */
uint32_t ferry_ticks_khz(void);

/* The same for hosts that differ by a hundredth or less: what a template is good for, in which
 * the guest has been told already. */
uint32_t ferry_ticks_class(uint32_t khz);

#endif
