/* Whatever an image's symlinks and a caller's ".." say, a path names something below the mounted
 * root. A file beside the root stands for the appliance's own; nobody may see or touch it. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char outside[80]; /* "SCRATCH/outside"; the guest's root is SCRATCH/root */

static int stat_path(struct guest *g, uint32_t proc, const char *path,
                     fx_stat_info *ret, ferry_error *e)
{
    fx_stat_args a = {(char *)(uintptr_t)path};
    fx_stat_ret r = {0};
    int code = guest_call(g, proc, (xdrproc_t)xdr_fx_stat_args, &a,
                          (xdrproc_t)xdr_fx_stat_ret, &r, sizeof r, e);
    *ret = r.value;
    return code;
}

static bool outside_is_untouched(void)
{
    struct stat st;
    return file_is(outside, "mine", 4) && stat(outside, &st) == 0 &&
           (st.st_mode & 07777) == 0600 && st.st_uid == 0;
}

/* The ways out that somebody might try; each is answered inside. */
static const char *const ways_out[] = {
    "/abs", "/rel", "/dots", "/up/up/up", "/dir/rel2", "/loop/../abs",
};

static void plant_links(struct guest *g)
{
    char target[128];
    check_equal(mkdir(guest_path(g, "/dir"), 0755), 0);
    check_equal(mkdir(guest_path(g, "/loop"), 0755), 0);
    check_equal(symlink(outside, guest_path(g, "/abs")), 0);
    check_equal(symlink("../outside", guest_path(g, "/rel")), 0);
    snprintf(target, sizeof target, "../../../../../../../..%s", outside);
    check_equal(symlink(target, guest_path(g, "/dots")), 0);
    check_equal(symlink(target, guest_path(g, "/dir/rel2")), 0);
    check_equal(symlink("..", guest_path(g, "/up")), 0);
}

static void reading_stays_inside(struct guest *g)
{
    fx_stat_info info;
    void *data;
    size_t len;
    plant_links(g);
    for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++) {
        if (strcmp(ways_out[i], "/up/up/up") == 0)
            continue; /* is the root itself */
        check_equal(stat_path(g, FX_PROC_STAT, ways_out[i], &info, NULL), -FERRY_ENOENT);
        check_equal(guest_download(g, ways_out[i], 0, 0, &data, &len, NULL, NULL),
                    -FERRY_ENOENT);
    }

    struct stat root;
    check_equal(stat(g->root, &root), 0);
    check_equal(stat_path(g, FX_PROC_STAT, "/up/up/up", &info, NULL), 0);
    check_equal(info.ino, root.st_ino);
    check_equal(stat_path(g, FX_PROC_STAT, "/../../..", &info, NULL), 0);
    check_equal(info.ino, root.st_ino);
    check_equal(stat_path(g, FX_PROC_LSTAT, "/abs", &info, NULL), 0);
    check(S_ISLNK(info.mode));
}

static void writing_stays_inside(struct guest *g)
{
    char inside[200];
    plant_links(g);
    /* The link's target is made inside the root, where its directory has to be first. */
    check_equal(guest_upload(g, "/abs", "evil", 4, 0, NULL, NULL), -FERRY_ENOENT);
    check_equal(guest_path_call(g, FX_PROC_MKDIR_P, guest_scratch, NULL), 0);
    check_equal(guest_upload(g, "/abs", "evil", 4, 0, NULL, NULL), 0);
    snprintf(inside, sizeof inside, "%s%s", g->root, outside);
    check(file_is(inside, "evil", 4));
    check_equal(guest_upload(g, "/dots", "more", 4, 0, NULL, NULL), 0);
    check(file_is(inside, "more", 4));

    fx_chmod_args mode = {0777, (char *)"/abs"};
    check_equal(guest_call(g, FX_PROC_CHMOD, (xdrproc_t)xdr_fx_chmod_args, &mode, NULL,
                           NULL, 0, NULL),
                0);
    fx_chown_args owner = {5, 5, (char *)"/dots"};
    check_equal(guest_call(g, FX_PROC_CHOWN, (xdrproc_t)xdr_fx_chown_args, &owner, NULL,
                           NULL, 0, NULL),
                0);
    fx_truncate_size_args size = {(char *)"/abs", 0};
    check_equal(guest_call(g, FX_PROC_TRUNCATE_SIZE, (xdrproc_t)xdr_fx_truncate_size_args,
                           &size, NULL, NULL, 0, NULL),
                0);
    check_equal(guest_path_call(g, FX_PROC_TOUCH, "/dots", NULL), 0);
    check(outside_is_untouched());
}

static void names_that_end_in_dots_are_refused(struct guest *g)
{
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/..", NULL), -FERRY_EINVAL);
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/", NULL), -FERRY_EINVAL);
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/dir/..", NULL), -FERRY_EINVAL);
    check_equal(guest_path_call(g, FX_PROC_RM, "/..", NULL), -FERRY_EINVAL);
    check_equal(guest_upload(g, "/..", "x", 1, 0, NULL, NULL), -FERRY_EINVAL);
    check_equal(guest_path_call(g, FX_PROC_RM, "no-slash", NULL), -FERRY_EINVAL);
    check_equal(guest_path_call(g, FX_PROC_RM, "", NULL), -FERRY_EINVAL);
    check(outside_is_untouched());
}

static void removing_does_not_follow(struct guest *g)
{
    plant_links(g);
    check_equal(symlink(guest_scratch, guest_path(g, "/dir/scratch")), 0);
    check_equal(symlink("../..", guest_path(g, "/dir/up")), 0);
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/dir", NULL), 0);
    check_equal(guest_path_call(g, FX_PROC_RM, "/abs", NULL), 0);
    check_equal(guest_path_call(g, FX_PROC_RM_RF, "/up", NULL), 0);
    check_equal(access(guest_path(g, "/dir"), F_OK), -1);
    check(outside_is_untouched());
    check_equal(access(g->root, F_OK), 0);
}

static void endless_links_end(struct guest *g)
{
    fx_stat_info info;
    check_equal(symlink("b", guest_path(g, "/a")), 0);
    check_equal(symlink("a", guest_path(g, "/b")), 0);
    check_equal(stat_path(g, FX_PROC_STAT, "/a", &info, NULL), -FERRY_ELOOP);
    check_equal(guest_upload(g, "/a", "x", 1, 0, NULL, NULL), -FERRY_ELOOP);
}

GUEST_TEST(reading_stays_inside)
GUEST_TEST(writing_stays_inside)
GUEST_TEST(names_that_end_in_dots_are_refused)
GUEST_TEST(removing_does_not_follow)
GUEST_TEST(endless_links_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_stays_inside),
        cmocka_unit_test(test_writing_stays_inside),
        cmocka_unit_test(test_names_that_end_in_dots_are_refused),
        cmocka_unit_test(test_removing_does_not_follow),
        cmocka_unit_test(test_endless_links_end),
    };
    guest_confine();
    snprintf(outside, sizeof outside, "%s/outside", guest_scratch);
    write_file(outside, "mine", 4, 0600);
    int r = guest_run(tests);
    unlink(outside);
    return r;
}
