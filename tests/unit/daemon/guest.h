/* The daemon and a client of it in one process, over a socketpair: the daemon's own code on a real
 * directory instead of a mounted image, so no qemu is needed.
 *
 *      test body (a task) --> g->conn ==== socketpair ==== ferryd_serve --> g->root
 *
 * cmocka's asserts longjmp and may not be used inside the body: check() and check_equal() note
 * what is wrong and the test fails at its end. */
#ifndef FERRY_TESTS_GUEST_H
#define FERRY_TESTS_GUEST_H

#include "server.h"

#include <sys/types.h>

/* Both return whether it holds. */
#define check(cond) check_at((cond), #cond, __FILE__, __LINE__)
#define check_equal(a, b)                                                              \
    check_equal_at((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)
bool check_at(bool ok, const char *text, const char *file, int line);
bool check_equal_at(long long a, long long b, const char *text, const char *file,
                    int line);

/* guest_main.h: the one directory that can be written. */
extern char guest_scratch[64];
bool guest_is_confined(void);

/* With $FERRY_GUEST_LANE set, a lane is open before the body runs: large pieces go through it. */
struct guest {
    ferry_loop *loop;
    struct ferryd *d;
    ferry_conn *conn; /* the client's */
    char root[80];    /* the directory that is the guest's / */
};

/* Runs body as a task beside a daemon that serves an empty directory; fails the cmocka test
 * when a check failed, a descriptor was left open, or the daemon did not end well. The
 * directory is gone afterwards. Only for programs that guest_run() has confined. */
void in_guest(FERRY_CO void (*body)(struct guest *g));
/* The same on a directory of the caller's (a file system of its own); it stays. NULL: nothing is
 * mounted at the root. */
void in_guest_at(const char *dir, FERRY_CO void (*body)(struct guest *g));

/* The same on a new file system of this type ("ext4", "tmpfs") and size, mounted for the test. Returns
 * false when this machine cannot mount such a one: the caller counts the test as skipped. */
bool in_guest_on(const char *type, unsigned mib, FERRY_CO void (*body)(struct guest *g));

/* One call without data: returns the code, and on success the decoded result (xdr_free is the
 * caller's). */
FERRY_CO int guest_call(struct guest *g, uint32_t proc, xdrproc_t xdr_args,
                        const void *args, xdrproc_t xdr_ret, void *ret, size_t ret_size,
                        ferry_error *e);
/* CALL only: the caller reads, writes, resets, and ends with guest_reply. */
FERRY_CO ferry_stream *guest_open(struct guest *g, uint32_t proc, xdrproc_t xdr_args,
                                  const void *args);
/* Waits for the REPLY, decodes it and closes the stream. */
FERRY_CO int guest_reply(ferry_stream *st, xdrproc_t xdr_ret, void *ret,
                         size_t ret_size, ferry_error *e);

/* The calls with one path and no result. */
FERRY_CO int guest_path_call(struct guest *g, uint32_t proc, const char *path,
                             ferry_error *e);

/* Upload of data made of pieces of `piece` bytes (0: one). args NULL: defaults. */
FERRY_CO int guest_upload(struct guest *g, const char *path, const void *data,
                          size_t len, size_t piece, const fx_upload_args *args,
                          ferry_error *e);
/* Writes one piece of an upload that is under way. */
FERRY_CO int guest_send(ferry_stream *st, const void *data, size_t len);

/* Download into memory: holes as zeroes, *ret_holes (may be NULL) their bytes. *ret_data is the caller's. */
FERRY_CO int guest_download(struct guest *g, const char *path, uint64_t offset,
                            uint64_t length, void **ret_data, size_t *ret_len,
                            uint64_t *ret_holes, ferry_error *e);

/* The items of a list call, decoded; free with ferry_codec_items_free. */
FERRY_CO int guest_list(struct guest *g, uint32_t proc, const char *path,
                        xdrproc_t xdr_item, size_t item_size, void **ret_items,
                        size_t *ret_count, ferry_error *e);

/* ---- around it (plain, blocking) ---------------------------------------------------- */

/* "ROOT/path" in a static buffer of which there are four. */
const char *guest_path(const struct guest *g, const char *path);
/* Bytes that are the same for the same seed and offset. *ret is the caller's. */
void *test_bytes(size_t len, unsigned seed);
/* Does the file hold exactly these bytes? Says where not. */
bool file_is(const char *path, const void *data, size_t len);
bool write_file(const char *path, const void *data, size_t len, mode_t mode);
/* Entries of the directory, without "." and "..". -1: cannot be read. */
int count_entries(const char *dir);

#endif
