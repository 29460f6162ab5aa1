/* A disk image whose bytes come from an nbdkit that the test can have fail, or slow down:
 *
 *      qemu -- m/frail.img -- FUSE -- nbdfuse -- nbdkit (its filter or script) -- frail.img
 */
#ifndef FERRY_TESTS_SERVED_H
#define FERRY_TESTS_SERVED_H

/* Ends the program as skipped where this cannot be had. */
void served_needs(void);

/* A new frail.img, ext4 of 128 MiB, in the scratch directory. */
void served_make(void);

/* Serves it as scratch("m/frail.img"). nbdkit: its arguments but for those of the server; it runs in
 * the scratch directory. */
void served_start(const char *nbdkit);
void served_stop(void);

#endif
