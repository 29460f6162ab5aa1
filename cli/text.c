/* Quantities and names as text; see text.h. */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

void text_bytes(uint64_t bytes, char buf[TEXT_MAX])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1000) {
        snprintf(buf, TEXT_MAX, "%u B", (unsigned)bytes);
        return;
    }

    double v = (double)bytes;
    size_t i = 0;
    /* 999.5 would print as four digits. */
    while (v >= 999.5 && i + 1 < sizeof unit / sizeof *unit) {
        v /= 1024;
        i++;
    }
    snprintf(buf, TEXT_MAX, v < 9.95 ? "%.1f %s" : "%.0f %s", v, unit[i]);
}

void text_rate(uint64_t bytes_per_second, char buf[TEXT_MAX])
{
    text_bytes(bytes_per_second, buf);
    strcat(buf, "/s"); /* text_bytes writes at most 8 characters */
}

void text_duration(uint64_t ms, char buf[TEXT_MAX])
{
    unsigned long long s = ms / 1000;
    if (ms < 9950)
        snprintf(buf, TEXT_MAX, "%.1f s", (double)ms / 1000);
    else if (ms < 59500)
        snprintf(buf, TEXT_MAX, "%.0f s", (double)ms / 1000);
    else if (s < 3600)
        snprintf(buf, TEXT_MAX, "%llu:%02llu", s / 60, s % 60);
    else
        snprintf(buf, TEXT_MAX, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

static char type_letter(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return '-';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFBLK: return 'b';
    case S_IFCHR: return 'c';
    case S_IFIFO: return 'p';
    case S_IFSOCK: return 's';
    default: return '?';
    }
}

void text_mode(uint32_t mode, char buf[TEXT_MAX])
{
    static const char rwx[] = "rwxrwxrwx";
    buf[0] = type_letter(mode);
    for (int i = 0; i < 9; i++)
        buf[1 + i] = mode & (0400U >> i) ? rwx[i] : '-';
    buf[10] = 0;

    static const struct {
        uint32_t bit;
        int at;
        char with_x, alone;
    } special[] = {{S_ISUID, 3, 's', 'S'},
                   {S_ISGID, 6, 's', 'S'},
                   {S_ISVTX, 9, 't', 'T'}};
    for (size_t i = 0; i < 3; i++)
        if (mode & special[i].bit)
            buf[special[i].at] =
                buf[special[i].at] == 'x' ? special[i].with_x : special[i].alone;
}

#define CLOCKS_DIFFER 3600 /* seconds */

void text_ls_time(int64_t when, int64_t now, char buf[TEXT_MAX])
{
    const int64_t half_year =
        31556952 / 2; /* mean Gregorian year, as coreutils has it */
    time_t t = when;
    struct tm tm;
    if (!localtime_r(&t, &tm)) {
        snprintf(buf, TEXT_MAX, "%lld", (long long)when);
        return;
    }
    /* The guest that wrote the file has a clock of its own: a little ahead is not the future,
     * which ls(1) shows by its year. */
    bool recent = when <= now + CLOCKS_DIFFER && now - when < half_year;
    if (strftime(buf, TEXT_MAX, recent ? "%b %e %H:%M" : "%b %e  %Y", &tm) == 0)
        snprintf(buf, TEXT_MAX, "%lld", (long long)when);
}

/* ---- reading ----------------------------------------------------------------------- */

/* A decimal with an optional fraction. Returns where it ends; NULL: there is none. */
static const char *parse_decimal(const char *s, double *ret)
{
    const char *p = s;
    while (isdigit((unsigned char)*p))
        p++;
    if (*p == '.' && p > s && isdigit((unsigned char)p[1]))
        for (p++; isdigit((unsigned char)*p); p++)
            ;
    if (p == s)
        return NULL;

    /* Not strtod(): it follows the locale, and takes "inf" and "0x1p3". */
    double v = 0, scale = 1;
    bool fraction = false;
    for (const char *q = s; q < p; q++) {
        if (*q == '.') {
            fraction = true;
        } else if (fraction) {
            scale /= 10;
            v += (*q - '0') * scale;
        } else {
            v = v * 10 + (*q - '0');
        }
    }
    *ret = v;
    return p;
}

/* The factor of a unit: "", "K", "KiB" 1024; "KB" 1000; "B" 1. 0: no such unit. */
static double unit_factor(const char *unit)
{
    static const char letters[] = "KMGTPE";
    if (!*unit || !strcmp(unit, "B"))
        return 1;
    const char *at = strchr(letters, toupper((unsigned char)*unit));
    if (!at)
        return 0;

    double base;
    if (!unit[1] || !strcmp(unit + 1, "iB"))
        base = 1024;
    else if (!strcmp(unit + 1, "B"))
        base = 1000;
    else
        return 0;

    double f = base;
    for (const char *p = letters; p < at; p++)
        f *= base;
    return f;
}

int text_parse_size(const char *s, uint64_t *ret_bytes)
{
    double v;
    const char *unit = parse_decimal(s, &v);
    if (!unit)
        return -EINVAL;
    double factor = unit_factor(unit);
    if (factor == 0)
        return -EINVAL;

    /* Whole bytes are read exactly: a double has 53 bits. */
    if (factor == 1) {
        errno = 0;
        unsigned long long n = strtoull(s, NULL, 10);
        if (errno || n > INT64_MAX)
            return -ERANGE;
        if (memchr(s, '.', (size_t)(unit - s)))
            return -EINVAL;
        *ret_bytes = n;
        return 0;
    }
    v *= factor;
    if (v >= (double)INT64_MAX)
        return -ERANGE;
    *ret_bytes = (uint64_t)(v + 0.5);
    return 0;
}

int text_parse_duration(const char *s, uint32_t *ret_ms)
{
    double v;
    const char *unit = parse_decimal(s, &v);
    if (!unit || (*unit && unit[1]))
        return -EINVAL;
    switch (*unit) {
    case 0:
    case 's': v *= 1000; break;
    case 'm': v *= 60 * 1000; break;
    case 'h': v *= 3600 * 1000; break;
    default: return -EINVAL;
    }
    if (v > (double)INT32_MAX)
        return -ERANGE;
    if (v < 1)
        return -EINVAL;
    *ret_ms = (uint32_t)v;
    return 0;
}

/* ---- names ------------------------------------------------------------------------- */

char *text_printable(const char *s)
{
    size_t n = strlen(s);
    char *out = malloc(n + 1), *o = out;
    if (!out)
        return NULL;

    mbstate_t state = {0};
    while (n) {
        wchar_t wc;
        size_t used = mbrtowc(&wc, s, n, &state);
        if (used == (size_t)-1 || used == (size_t)-2) {
            /* Not text: one byte at a time, with the state as new. */
            state = (mbstate_t){0};
            used = 1;
            *o++ = '?';
        } else if (!iswprint((wint_t)wc)) {
            *o++ = '?';
        } else {
            memcpy(o, s, used);
            o += used;
        }
        s += used;
        n -= used;
    }
    *o = 0;
    return out;
}

/* Length in bytes and columns of the character at s, which is printable text. */
static size_t char_at(const char *s, size_t *ret_columns)
{
    wchar_t wc;
    mbstate_t state = {0};
    size_t used = mbrtowc(&wc, s, strlen(s), &state);
    if (used == 0 || used == (size_t)-1 || used == (size_t)-2) {
        *ret_columns = 1;
        return 1;
    }
    int w = wcwidth(wc);
    *ret_columns = w > 0 ? (size_t)w : 0;
    return used;
}

size_t text_width(const char *s)
{
    size_t width = 0, columns;
    for (; *s; width += columns)
        s += char_at(s, &columns);
    return width;
}

void text_ellipsize(const char *s, size_t columns, const char *dots, char *buf)
{
    size_t width = text_width(s);
    if (width <= columns) {
        strcpy(buf, s);
        return;
    }
    if (columns == 0) {
        *buf = 0;
        return;
    }

    /* The end of a name tells more than its middle: an extension, a number. */
    size_t tail = (columns - 1) / 2, head = columns - 1 - tail;
    size_t taken = 0, w;
    char *o = buf;
    while (*s) {
        size_t n = char_at(s, &w);
        if (taken + w > head)
            break;
        memcpy(o, s, n);
        o += n;
        s += n;
        taken += w;
    }
    o = stpcpy(o, dots);
    for (size_t left = text_width(s); *s && left > tail; left -= w)
        s += char_at(s, &w);
    strcpy(o, s);
}

char *text_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    bool slash = n > 0 && dir[n - 1] != '/';
    while (*name == '/' && n > 0)
        name++;
    char *out = malloc(n + strlen(name) + 2);
    if (!out)
        return NULL;
    memcpy(out, dir, n);
    if (slash && *name)
        out[n++] = '/';
    strcpy(out + n, name);
    return out;
}

char *text_basename(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;

    const char *name = path + start;
    size_t n = end - start;
    if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
        n = 0;
    return strndup(name, n);
}

bool text_ends_slash(const char *path)
{
    size_t n = strlen(path);
    return n > 0 && path[n - 1] == '/';
}
