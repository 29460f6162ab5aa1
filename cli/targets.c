/* Paths in one image, one after the other; see targets.h. */
#include "targets.h"

#include "auto.h"
#include "side.h"

#include <string.h>

static int parse_one(const struct options *o, const char *operand, bool path_needed,
                     struct side *ret)
{
    char why[SIDE_WHY];
    bool given;
    int r = o->domain ? side_parse_domain(operand, o->domain, ret, &given)
                      : side_parse_image(operand, o->format, ret, &given, why);
    if (r == -ENOENT)
        return say_usage("%s: with -d, a path is written :/PATH", operand);
    if (r == -EINVAL)
        return say_usage("%s", why);
    if (r < 0) {
        say_no_memory();
        return STATUS_FAILED;
    }
    if (path_needed && !given) {
        side_done(ret);
        return say_usage("%s: a path in the image is missing: %s:/PATH", operand,
                         operand);
    }
    return STATUS_OK;
}

int targets_parse(const struct options *o, char **operands, int n, bool path_needed,
                  struct targets *ret)
{
    *ret = (struct targets){0};
    ret->sides = calloc((size_t)n, sizeof *ret->sides);
    ret->paths = calloc((size_t)n, sizeof *ret->paths);
    if (!ret->sides || !ret->paths) {
        say_no_memory();
        return STATUS_FAILED;
    }
    for (int i = 0; i < n; i++) {
        int status = parse_one(o, operands[i], path_needed, &ret->sides[i]);
        if (status != STATUS_OK)
            return status;
        ret->n++;
        ret->paths[i] = ret->sides[i].path;
        ret->image = ret->sides[0].image;
        if (strcmp(ret->sides[i].image, ret->image) != 0)
            return say_usage("'%s' and '%s': one image at a time", ret->image,
                             ret->sides[i].image);
    }
    return STATUS_OK;
}

void targets_done(struct targets *t)
{
    for (int i = 0; i < t->n; i++)
        side_done(&t->sides[i]);
    free(t->sides);
    free(t->paths);
}

static int run_each(struct session *s, const struct targets *t,
                    int (*each)(struct session *s, const char *path, void *user),
                    void *user)
{
    int good = 0, first = STATUS_OK;
    for (int i = 0; i < t->n && !session_stopping(s); i++) {
        int status = each(s, t->paths[i], user);
        if (status == STATUS_OK)
            good++;
        else if (first == STATUS_OK)
            first = status;
        /* Nobody reads on, or nobody answers. */
        if (status == STATUS_BROKEN_PIPE || ferry_vm_get_state(s->vm) != FERRY_VM_UP)
            break;
    }
    if (first == STATUS_OK)
        return session_stopping(s) ? STATUS_FAILED : STATUS_OK;
    return good && first != STATUS_BROKEN_PIPE ? STATUS_PARTIAL : first;
}

int targets_run(const struct options *o, const struct targets *t,
                enum session_access access,
                int (*each)(struct session *s, const char *path, void *user), void *user)
{
    struct session s;
    int status = session_open(&s, o, t->image, access);
    if (status == STATUS_OK)
        status = session_mount(&s);
    if (status == STATUS_OK)
        status = run_each(&s, t, each, user);
    return session_close(&s, status);
}
