/* The mount table: see mounts.h. Reads /proc, mounts nothing. */
#include "mounts.h"

#include "base/auto.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* ---- parsing ------------------------------------------------------------------------ */

/* "\040" is a blank: the kernel escapes blank, tab, newline and backslash so. */
static void unescape(char *s)
{
    char *out = s;
    while (*s) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

static bool is_at_or_below(const char *dir, const char *root)
{
    size_t n = strlen(root);
    return strncmp(dir, root, n) == 0 && (dir[n] == '\0' || dir[n] == '/');
}

static int add(struct ferryd_mounts *m, dev_t dev, const char *dir, const char *type,
               const char *source)
{
    struct ferryd_mount *more = realloc(m->at, (m->len + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    m->at = more;
    more[m->len] = (struct ferryd_mount){strdup(dir), strdup(source), strdup(type), dev};
    m->len++;
    struct ferryd_mount *last = &more[m->len - 1];
    return last->dir && last->source && last->type ? 0 : -ENOMEM;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue":
 * the fields before the hyphen vary in number. */
static int parse_line(char *line, const char *root, struct ferryd_mounts *m)
{
    char *at, *field[6] = {0}, *tail[2] = {0};
    char *word = strtok_r(line, " ", &at);
    for (int i = 0; i < 6 && word; i++, word = strtok_r(NULL, " ", &at))
        field[i] = word;
    while (word && strcmp(word, "-") != 0)
        word = strtok_r(NULL, " ", &at);
    for (int i = 0; i < 2 && word; i++)
        tail[i] = word = strtok_r(NULL, " ", &at);

    unsigned major, minor;
    if (!field[5] || !tail[1] || sscanf(field[2], "%u:%u", &major, &minor) != 2)
        return -EINVAL;

    unescape(field[4]);
    unescape(tail[1]);
    if (!is_at_or_below(field[4], root))
        return 0;
    return add(m, makedev(major, minor), field[4], tail[0], tail[1]);
}

int ferryd_mounts_parse(char *text, const char *root, struct ferryd_mounts *ret)
{
    struct ferryd_mounts m = {0};
    char *at;
    int r = 0;
    for (char *line = strtok_r(text, "\n", &at); line && r == 0;
         line = strtok_r(NULL, "\n", &at))
        r = parse_line(line, root, &m);

    if (r < 0)
        ferryd_mounts_free(&m);
    else
        *ret = m;
    return r;
}

/* ---- public -------------------------------------------------------------------------- */

static int read_all(const char *path, char **ret)
{
    FERRY_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    FERRY_AUTO(mem) char *text = NULL;
    size_t len = 0, cap = 0;
    for (;;) {
        if (len + 1 >= cap) {
            cap = cap ? 2 * cap : 16384;
            char *more = realloc(text, cap);
            if (!more)
                return -ENOMEM;
            text = more;
        }
        ssize_t n = read(fd, text + len, cap - len - 1);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    *ret = ferry_take(&text);
    return 0;
}

int ferryd_mounts_read(const char *root, struct ferryd_mounts *ret)
{
    FERRY_AUTO(mem) char *text = NULL;
    int r = read_all("/proc/self/mountinfo", &text);
    return r < 0 ? r : ferryd_mounts_parse(text, root, ret);
}

void ferryd_mounts_free(struct ferryd_mounts *m)
{
    for (size_t i = 0; i < m->len; i++) {
        free(m->at[i].dir);
        free(m->at[i].source);
        free(m->at[i].type);
    }
    free(m->at);
    *m = (struct ferryd_mounts){0};
}

const struct ferryd_mount *ferryd_mounts_at(const struct ferryd_mounts *m,
                                            const char *dir)
{
    for (size_t i = m->len; i-- > 0;)
        if (strcmp(m->at[i].dir, dir) == 0)
            return &m->at[i];
    return NULL;
}

const struct ferryd_mount *ferryd_mounts_of(const struct ferryd_mounts *m,
                                            const char *source, dev_t dev)
{
    for (size_t i = m->len; i-- > 0;)
        if (strcmp(m->at[i].source, source) == 0 || (dev != 0 && m->at[i].dev == dev))
            return &m->at[i];
    return NULL;
}

const struct ferryd_mount *ferryd_mounts_below(const struct ferryd_mounts *m,
                                               const char *dir)
{
    for (size_t i = m->len; i-- > 0;)
        if (strcmp(m->at[i].dir, dir) != 0 && is_at_or_below(m->at[i].dir, dir))
            return &m->at[i];
    return NULL;
}

const char *ferryd_guest_path(const char *root_path, const char *dir)
{
    const char *rest = dir + strlen(root_path);
    return *rest ? rest : "/";
}
