/* A tree of files as a stream of records: what ferry_copy_in and ferry_copy_out send. Pure.
 *
 *      0      1        4         8
 *      | type | 0 0 0  | length  | body: `length` bytes
 *
 *      DIR "" --- FILE a, XATTR*, (DATA | HOLE)*, DONE --- DIR sub --- ... --- LEAVE --- LEAVE
 *                 |-------- of a: until DONE or FAILED -|   `sub` is entered       of the top
 *
 * Names are single components: there are no paths on the wire, and so no "../". The first entry
 * has the empty name; what it is called is the receiver's choice. Integers are
 * big-endian; a text ends with a 0 byte, and has no other.
 *
 * The receiver treats every byte as hostile: ferry_tree_decode() refuses what can be refused
 * without knowing the entries before, builder.c the rest. */
#ifndef FERRY_TREE_WIRE_H
#define FERRY_TREE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define FERRY_TREE_HEADER 8

/* One component. Longer than NAME_MAX on purpose: 255 UTF-16 units of an NTFS name are up to 765
 * bytes (schema/types.toml). */
#define FERRY_TREE_NAME 1024

/* What Linux takes for one extended attribute (XATTR_NAME_MAX, XATTR_SIZE_MAX). */
#define FERRY_TREE_XATTR_NAME 255
#define FERRY_TREE_XATTR_VALUE 65536

/* Longest body, but for DATA, whose bytes are passed on and not collected. */
#define FERRY_TREE_BODY (FERRY_TREE_XATTR_NAME + 1 + FERRY_TREE_XATTR_VALUE)

/* What a receiver and a sender remember of files with several names. One with more of
 * them gets copies of its own for the rest. */
#define FERRY_TREE_LINKS (1u << 20)

typedef enum ferry_tree_type {
    FERRY_TREE_TOTAL = 1, /* files, bytes: what will come, for progress */
    FERRY_TREE_DIR,       /* meta, name */
    FERRY_TREE_FILE,      /* meta, size, link, name */
    FERRY_TREE_SYMLINK,   /* meta, name, target */
    FERRY_TREE_LINK,      /* link, name: another name of that FILE */
    FERRY_TREE_XATTR,     /* name, value: of the DIR, FILE or SYMLINK before */
    FERRY_TREE_DATA,      /* bytes of the FILE */
    FERRY_TREE_HOLE,      /* size */
    FERRY_TREE_DONE,      /* the FILE has all its bytes */
    FERRY_TREE_FAILED,    /* code: the FILE cannot be read to its end; forget it */
    FERRY_TREE_PROBLEM, /* code, name: an entry that is left out; 0: no file, directory
                           * or link. From a receiver: name is a path */
    FERRY_TREE_LEAVE,   /* the end of the current directory */
} ferry_tree_type;

typedef struct ferry_tree_meta {
    uint32_t mode; /* 07777 */
    uint32_t uid, gid;
    struct timespec atime, mtime;
} ferry_tree_meta;

typedef struct ferry_tree_record {
    ferry_tree_type type;
    ferry_tree_meta meta;
    uint64_t files; /* TOTAL */
    uint64_t size; /* FILE, HOLE: bytes; TOTAL: of all files; DATA: the body's length */
    uint32_t link; /* FILE: 0, or its number for LINK, counted from 1; LINK: which FILE */
    int32_t code;         /* FAILED, PROBLEM: negative or 0 */
    const char *name;     /* 0-terminated */
    const char *target;   /* SYMLINK: 0-terminated */
    const uint8_t *value; /* XATTR */
    size_t value_len;
} ferry_tree_record;

/* Bytes that encoding r takes, DATA's body not counted. */
size_t ferry_tree_length(const ferry_tree_record *r);
/* Writes exactly those. */
void ferry_tree_encode(const ferry_tree_record *r, uint8_t *p);

/* Type and length of the record that begins at p (FERRY_TREE_HEADER bytes).
 * -FERRY_EPROTO: no such record may be. */
int ferry_tree_decode_header(const uint8_t *p, ferry_tree_type *ret_type,
                             uint32_t *ret_len);
/* Its body (not DATA's). Texts and value point into it. -FERRY_EPROTO. */
int ferry_tree_decode(ferry_tree_type type, const uint8_t *body, size_t len,
                      ferry_tree_record *ret);

/* A name that may be given to a system call: not "", ".", "..", no slash, not too long. */
bool ferry_tree_name_ok(const char *name);

#endif
