/* A directory's names: see names.h. */
#include "tree/names.h"

#include "base/auto.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

static inline void ferry_auto_names(ferry_names **n)
{
    ferry_names_free(*n);
}

void ferry_names_free(ferry_names *n)
{
    if (!n)
        return;
    free(n->list);
    free(n->text);
    free(n);
}

/* Room for one more of `size`-byte things in an array of *cap. */
static int grow(void *array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return 0;
    size_t more = *cap ? *cap : 64;
    while (more < need)
        more *= 2;
    void *p = realloc(*(void **)array, more * size);
    if (!p)
        return -ENOMEM;
    *(void **)array = p;
    *cap = more;
    return 0;
}

static int by_inode(const void *one, const void *other)
{
    ino_t a = ((const ferry_name *)one)->ino, b = ((const ferry_name *)other)->ino;
    return a < b ? -1 : a > b;
}

static int add(ferry_names *n, size_t *list_cap, size_t *text_cap,
               const struct dirent *e)
{
    size_t len = strlen(e->d_name) + 1;
    int r = grow(&n->list, list_cap, n->count + 1, sizeof *n->list);
    if (r == 0)
        r = grow(&n->text, text_cap, n->len + len, 1);
    if (r < 0)
        return r;
    memcpy(n->text + n->len, e->d_name, len);
    n->list[n->count++] = (ferry_name){.ino = e->d_ino, .at = n->len, .type = e->d_type};
    n->len += len;
    return 0;
}

int ferry_names_read(int fd, ferry_names **ret)
{
    FERRY_AUTO(names) ferry_names *n = calloc(1, sizeof *n);
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    int r = !n ? -ENOMEM : !dir ? -errno : 0;
    if (again >= 0 && !dir)
        close(again);

    size_t list_cap = 0, text_cap = 0;
    while (r == 0) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e) {
            r = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = add(n, &list_cap, &text_cap, e);
    }
    if (dir)
        closedir(dir);
    if (r < 0)
        return r;
    if (n->count > 1)
        qsort(n->list, n->count, sizeof *n->list, by_inode);
    *ret = ferry_take(&n);
    return 0;
}
