/* kvm or tcg. That /dev/kvm is there proves nothing: on machines that are themselves
 * virtual it may open, create VMs, and then qemu asserts or the guest never runs an
 * instruction. Only a boot proves it; a boot that failed is remembered, so that the
 * next launch need not wait for it again.
 *
 *      kvm, in the cache (cache.h): three lines
 *          guestferry-kvm 1
 *          <host boot> <qemu file> <kernel file>      what the verdict was about
 *          <reason>                                   why kvm was given up
 *
 * Blocking file work: pool threads, and doctor. */
#ifndef FERRY_LAUNCH_ACCEL_H
#define FERRY_LAUNCH_ACCEL_H

#include <guestferry/error.h>

#include <stdbool.h>
#include <stddef.h>

/* A kvm guest answers within a second (measured elsewhere; here there is none to measure),
 * on a busy host perhaps in three. One that hangs costs this once a host boot. */
#define FERRY_ACCEL_KVM_MS 10000

/* A guest has no say in its length: host boot id and two files' identities. */
#define FERRY_ACCEL_KEY 288
#define FERRY_ACCEL_REASON 160

/* 0 if /dev/kvm opens for reading and writing; else -FERRY_ELAUNCH and why not. */
int ferry_accel_kvm_opens(ferry_error *e);

/* Names a combination of host boot, qemu and kernel; "" if it cannot be told. */
void ferry_accel_key(const char *qemu, const char *kernel, char buf[FERRY_ACCEL_KEY]);

/* Has kvm failed with this key before? Then also why. */
bool ferry_accel_recall(const char *key, char reason[FERRY_ACCEL_REASON]);
void ferry_accel_remember(const char *key, const char *reason);
/* kvm has booted: whatever was remembered is wrong. */
void ferry_accel_forget(void);

#endif
