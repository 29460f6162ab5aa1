/* ls and readdir of a directory give all its names, however many: 20,000 are some twenty times what
 * one read of the directory gives, and several frames. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"
#include "proto/codec.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MANY 20000

static void make_names(struct guest *g, unsigned n)
{
    char path[160];
    check_equal(mkdir(guest_path(g, "/d"), 0755), 0);
    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/d/%u-a-name-of-some-length", g->root, i * 7919u);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (!check(fd >= 0))
            return;
        close(fd);
    }
}

static void ls_is_sorted_and_whole(struct guest *g)
{
    void *items;
    size_t n = 0, order = 0;
    make_names(g, MANY);
    int r = guest_list(g, FX_PROC_LS, "/d", (xdrproc_t)xdr_fx_ls_item, sizeof(char *),
                       &items, &n, NULL);
    if (!check_equal(r, 0) || !check_equal(n, MANY))
        return;
    for (size_t i = 1; i < n; i++)
        order += strcmp(((char **)items)[i - 1], ((char **)items)[i]) < 0;
    check_equal(order, n - 1); /* also: no name twice */
    ferry_codec_items_free((xdrproc_t)xdr_fx_ls_item, items, n, sizeof(char *));
}

static void readdir_has_types_and_dots(struct guest *g)
{
    void *items;
    size_t n = 0;
    unsigned found[128] = {0};
    make_names(g, MANY);
    check_equal(mkdir(guest_path(g, "/d/dir"), 0755), 0);
    check_equal(symlink("x", guest_path(g, "/d/link")), 0);
    check_equal(mkfifo(guest_path(g, "/d/fifo"), 0644), 0);
    int r = guest_list(g, FX_PROC_READDIR, "/d", (xdrproc_t)xdr_fx_dirent,
                       sizeof(fx_dirent), &items, &n, NULL);
    if (!check_equal(r, 0) || !check_equal(n, MANY + 5))
        return;
    for (size_t i = 0; i < n; i++)
        found[((fx_dirent *)items)[i].ftyp & 127]++;
    check_equal(found['r'], MANY);
    check_equal(found['d'], 3);
    check_equal(found['l'], 1);
    check_equal(found['f'], 1);
    ferry_codec_items_free((xdrproc_t)xdr_fx_dirent, items, n, sizeof(fx_dirent));
}

static void what_cannot_be_is_told(struct guest *g)
{
    void *items;
    size_t n;
    check(write_file(guest_path(g, "/f"), "x", 1, 0644));
    check_equal(guest_list(g, FX_PROC_LS, "/f", (xdrproc_t)xdr_fx_ls_item,
                           sizeof(char *), &items, &n, NULL),
                -FERRY_ENOTDIR);
    check_equal(guest_list(g, FX_PROC_READDIR, "/no", (xdrproc_t)xdr_fx_dirent,
                           sizeof(fx_dirent), &items, &n, NULL),
                -FERRY_ENOENT);
}

GUEST_TEST(ls_is_sorted_and_whole)
GUEST_TEST(readdir_has_types_and_dots)
GUEST_TEST(what_cannot_be_is_told)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ls_is_sorted_and_whole),
        cmocka_unit_test(test_readdir_has_types_and_dots),
        cmocka_unit_test(test_what_cannot_be_is_told),
    };
    return guest_run(tests);
}
