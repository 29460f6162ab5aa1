/* Templates on disk: the memory and the device state of an appliance that has just booted and
 * has never seen a drive, so that a launch can go on from there.
 *
 *      <cache>/templates/NAME/     NAME: a hash of the key (0700, ours)
 *                        ram       the guest's memory, sparse; later mapped copy-on-write
 *                        state     qemu's devices
 *                        meta      what it is of (the key, in full), sizes, digests
 *      <cache>/templates/NAME.lock while one is being built
 *
 * The key names everything that must be the same again: qemu, its arguments, the appliance's
 * files, the library's build. Nothing here is believed because of its name: directory and
 * files are opened without following links, must be the user's and writable by nobody
 * else, meta must hold the key, and what qemu is going to load must have its digest.
 *
 * Blocking file work: pool threads, and `gferry template`. */
#ifndef FERRY_LAUNCH_TEMPLATE_H
#define FERRY_LAUNCH_TEMPLATE_H

#include <guestferry/error.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FERRY_TEMPLATE_NAME 33
/* argv is most of it. */
#define FERRY_TEMPLATE_KEY 8192

typedef struct ferry_template {
    int ram,
        state; /* -1: none. RAM is open for writing, which a private mapping needs */
    uint64_t ram_bytes, state_bytes;
    uint64_t ram_digest, state_digest;
} ferry_template;

#define FERRY_TEMPLATE_INIT                                                            \
    {                                                                                  \
        .ram = -1, .state = -1                                                         \
    }
void ferry_template_done(ferry_template *t);

/* The directory's name for a key. */
void ferry_template_name(const char *key, char name[FERRY_TEMPLATE_NAME]);

/* 0 and the open template; -FERRY_ENOENT: there is none; any other code: there is something
 * that must not be loaded, and e says what. Its digests have not been looked at. */
int ferry_template_open(const char *key, ferry_template *ret, ferry_error *e);

/* Reads all of it: 0, or -FERRY_EIO with what is wrong. *stop ends it early (-FERRY_ECANCELED). */
int ferry_template_verify(const ferry_template *t, const atomic_bool *stop,
                          ferry_error *e);

/* The right to build one: *ret_lock until it is closed. -FERRY_EBUSY: another process has it;
 * -FERRY_EEXIST: it is there, and whole; else why the cache cannot keep one. */
int ferry_template_lock(const char *key, int *ret_lock, ferry_error *e);

/* Makes one of guest memory (a memfd of qemu's) and state. By whoever has the lock. It is
 * there as a whole or not at all, and on the disk. */
int ferry_template_save(const char *key, int ram, int state, ferry_error *e);

/* What there is, for a person: fn for each. */
typedef struct ferry_template_entry {
    char name[FERRY_TEMPLATE_NAME];
    uint64_t disk_bytes; /* allocated */
    int64_t made;        /* seconds since 1970 */
    const char *what;    /* the key's lines; "" if meta cannot be believed */
} ferry_template_entry;
int ferry_template_each(void (*fn)(const ferry_template_entry *entry, void *arg),
                        void *arg, ferry_error *e);

/* Removes all of them, and what killed builders left. Launches that run keep theirs. */
int ferry_template_clear(unsigned *ret_removed, ferry_error *e);

#endif
