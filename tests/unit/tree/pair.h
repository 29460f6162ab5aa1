/* A reader and a builder of trees in one process, without loop and wire, in a directory of the test's:
 *
 *      from/ ---> ferry_tree_read ---> bytes, cut as the test likes ---> ferry_tree_build ---> to/
 */
#ifndef FERRY_TESTS_PAIR_H
#define FERRY_TESTS_PAIR_H

#include "tree/builder.h"
#include "tree/reader.h"

#include <sys/stat.h>

/* The test's directory, which is the current one: with from, to and outside in it. */
int pair_setup(void **state);
int pair_teardown(void **state);
/* Empties it. */
void pair_reset(void);

struct pair {
    unsigned keep;
    size_t cut; /* bytes of the stream at once; 0: as they come */
    bool go_on; /* after a problem */
    unsigned n; /* of problems */
    char path[16][256];
    int code[16];
    ferry_tree_made made;
    uint64_t total_files;
};

/* Copies from/SRC to to/DST; the first failure of either side, or 0. */
int pair_copy(struct pair *p, const char *src, const char *dst);

/* Builds to/DST of these bytes, in the cuts of p; then the end. */
int pair_build(struct pair *p, const uint8_t *data, size_t len, const char *dst);

/* Appends a record to a stream made by hand. */
struct bytes {
    uint8_t data[1 << 18];
    size_t len;
};
void put(struct bytes *b, ferry_tree_record r);
void put_file(struct bytes *b, const char *name, const char *content);
void put_dir(struct bytes *b, const char *name);
void put_leave(struct bytes *b);

/* Plain helpers; they fail the test. */
void make_file(const char *path, const char *content, mode_t mode);
void make_dir(const char *path, mode_t mode);
bool file_is(const char *path, const char *content);
bool is_there(const char *path);
int count_names(const char *dir);
struct stat look(const char *path);

#endif
