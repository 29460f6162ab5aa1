/* IMAGE:PATH; see side.h. Looks at the host's file system, changes nothing. */
#include "side.h"

#include "auto.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

const char *side_format(const char *path)
{
    /* As ferry_add_drive() has them. */
    static const struct {
        const char *extension, *format;
    } known[] = {{"img", "raw"},     {"raw", "raw"},   {"iso", "raw"}, {"bin", "raw"},
                 {"qcow2", "qcow2"}, {"vmdk", "vmdk"}, {"vdi", "vdi"}};
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    if (!dot)
        return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(dot + 1, known[i].extension))
            return known[i].format;
    return NULL;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* The directory that `path` is in, or would be made in, is there. */
static bool parent_exists(const char *path)
{
    const char *slash = strrchr(path, '/');
    while (slash && slash > path && !slash[1]) { /* a trailing slash */
        const char *end = slash;
        for (slash = end - 1; slash > path && *slash != '/'; slash--)
            ;
        if (*slash != '/')
            return true; /* "name/": the working directory */
        break;
    }
    if (!slash)
        return true;
    FERRY_AUTO(mem) char *dir = strndup(path, (size_t)(slash - path) + 1);
    struct stat st;
    return dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The last ":/" whose left side passes; NULL: none. */
static const char *find_split(const char *operand, bool (*passes)(const char *image))
{
    for (size_t i = strlen(operand); i-- > 1;) {
        if (operand[i] != ':' || operand[i + 1] != '/')
            continue;
        FERRY_AUTO(mem) char *left = strndup(operand, i);
        if (left && passes(left))
            return operand + i;
    }
    return NULL;
}

static bool looks_like_image(const char *path)
{
    return side_format(path) != NULL;
}

static bool is_anything(const char *path)
{
    return *path != 0;
}

static int set(struct side *s, enum side_kind kind, const char *image, size_t n,
               const char *path)
{
    struct side side = {.kind = kind};
    side.path = strdup(path);
    if (kind == SIDE_IMAGE)
        side.image = strndup(image, n);
    if (!side.path || (kind == SIDE_IMAGE && !side.image)) {
        side_done(&side);
        return -ENOMEM;
    }
    *s = side;
    return 0;
}

static int set_image(struct side *s, const char *operand, const char *colon)
{
    return set(s, SIDE_IMAGE, operand, (size_t)(colon - operand), colon + 1);
}

/* What is wrong with an operand that has an image's name before a colon, but no absolute path
 * behind it: "disk.img:etc". 0: it is not such a one. */
static int explain_relative(const char *operand, char why[SIDE_WHY])
{
    const char *colon = strrchr(operand, ':');
    if (!colon || colon == operand || strchr(colon, '/') == colon + 1)
        return 0;
    FERRY_AUTO(mem) char *left = strndup(operand, (size_t)(colon - operand));
    if (!left || !(is_file(left) || looks_like_image(left)))
        return 0;
    snprintf(why, SIDE_WHY, "%s: a path in an image starts with '/': %s:/%s", operand,
             left, colon + 1);
    return -EINVAL;
}

int side_parse(const char *operand, const char *format, struct side *ret,
               char why[SIDE_WHY])
{
    if (!strcmp(operand, "-"))
        return set(ret, SIDE_STDIO, NULL, 0, operand);

    const char *colon = find_split(operand, is_file);
    if (colon)
        return set_image(ret, operand, colon);
    if (exists(operand))
        return set(ret, SIDE_LOCAL, NULL, 0, operand);

    /* The image is not there: to be told so by its name, not as a strange local path. */
    colon = find_split(operand, format ? is_anything : looks_like_image);
    if (colon)
        return set_image(ret, operand, colon);
    int r = explain_relative(operand, why);
    if (r < 0)
        return r;

    colon = find_split(operand, is_anything);
    if (colon && !parent_exists(operand)) {
        snprintf(
            why, SIDE_WHY,
            "%s: there is no image '%.*s' and no directory for a local file of that "
            "name",
            operand, (int)(colon - operand), operand);
        return -EINVAL;
    }
    return set(ret, SIDE_LOCAL, NULL, 0, operand);
}

int side_parse_image(const char *operand, const char *format, struct side *ret,
                     bool *ret_given, char why[SIDE_WHY])
{
    const char *colon = find_split(operand, is_file);
    if (!colon && !exists(operand))
        colon = find_split(operand, format ? is_anything : looks_like_image);
    if (!colon && !exists(operand))
        colon = find_split(operand, is_anything);
    if (colon) {
        *ret_given = true;
        return set_image(ret, operand, colon);
    }

    size_t n = strlen(operand);
    if (!exists(operand)) {
        int r = n > 1 && operand[n - 1] == ':' ? 0 : explain_relative(operand, why);
        if (r < 0)
            return r;
        if (n > 1 && operand[n - 1] == ':')
            n--;
    }
    *ret_given = false;
    return set(ret, SIDE_IMAGE, operand, n, "/");
}

int side_parse_domain(const char *operand, const char *domain, struct side *ret,
                      bool *ret_given)
{
    if (operand[0] != ':' || (operand[1] && operand[1] != '/'))
        return -ENOENT;
    *ret_given = operand[1];
    return set(ret, SIDE_IMAGE, domain, strlen(domain), operand[1] ? operand + 1 : "/");
}

void side_done(struct side *s)
{
    free(s->image);
    free(s->path);
    *s = (struct side){0};
}
