/* How gferry writes and reads quantities: sizes, times, rates, modes, and names that come
 * out of an image. Pure: no terminal, no library, no state. Every caller is in cli/. */
#ifndef GFERRY_TEXT_H
#define GFERRY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any text below; the longest is "18446744073709551615". */
#define TEXT_MAX 32

/* "0 B", "999 B", "1.2 GiB", "512 MiB": IEC units, at most three digits and a half. */
void text_bytes(uint64_t bytes, char buf[TEXT_MAX]);
/* "301 MiB/s" */
void text_rate(uint64_t bytes_per_second, char buf[TEXT_MAX]);
/* "4.1 s", "0:59" is never written: "59 s", "3:07", "1:02:03" */
void text_duration(uint64_t ms, char buf[TEXT_MAX]);
/* "drwxr-xr-x", with s, S, t and T as ls(1) has them. mode: st_mode with its type. */
void text_mode(uint32_t mode, char buf[TEXT_MAX]);
/* "Nov 22 11:21", or "Nov 22  2025" when `when` is over half a year from `now` or in the
 * future (the POSIX rule of ls -l). Local time. */
void text_ls_time(int64_t when, int64_t now, char buf[TEXT_MAX]);

/* "1G", "512M", "1.5GiB", "1GB" (decimal), "4096". Powers of 1024 unless "B" follows the
 * letter. -EINVAL: not a size; -ERANGE: does not fit. */
int text_parse_size(const char *s, uint64_t *ret_bytes);
/* "30", "1.5", "90s", "5m", "2h". Milliseconds; -EINVAL, -ERANGE. */
int text_parse_duration(const char *s, uint32_t *ret_ms);

/* A copy that is safe on a terminal: control characters and what is not text in this
 * locale become '?', so that a name in an image cannot drive the terminal. NULL: no
 * memory. The caller frees. */
char *text_printable(const char *s);
/* Columns that printable text takes. */
size_t text_width(const char *s);
/* Shortens printable text in place to `columns` by cutting its middle; `dots` is put
 * there (one column). buf must hold strlen(s) + strlen(dots) + 1. */
void text_ellipsize(const char *s, size_t columns, const char *dots, char *buf);

/* dir "/" name, with one slash between. NULL: no memory. The caller frees. */
char *text_join(const char *dir, const char *name);
/* The last component, trailing slashes left out; "" for "/" (and for "." and "..": a copy
 * of those is a copy of what is in them). NULL: no memory. The caller frees. */
char *text_basename(const char *path);
/* Path ends with a slash. */
bool text_ends_slash(const char *path);

#endif
