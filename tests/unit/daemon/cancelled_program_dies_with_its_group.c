/* A call that runs a program ends it, and all that it has started, when it is cancelled, and
 * has reaped it before it replies. What a program says is kept within bounds. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A call that the daemon does not have: ferryd_run needs one only for errors and the loop. */
static const ferryd_entry entry = {.name = "test"};

static struct ferryd_call call_of(struct guest *g)
{
    return (struct ferryd_call){.d = g->d, .entry = &entry};
}

static void first_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    line[0] = '\0';
    if (!f)
        return;
    if (!fgets(line, size, f))
        line[0] = '\0';
    fclose(f);
}

/* One that nobody has reaped yet is not: the init of a container may never do so. */
static bool is_alive(const char *pidfile)
{
    char text[32], path[64], stat[512];
    first_line(pidfile, text, sizeof text);
    if (atoi(text) <= 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", atoi(text));
    first_line(path, stat, sizeof stat);
    const char *end = strrchr(stat, ')');
    return end && end[2] != 'Z' && end[2] != 'X';
}

struct job {
    struct guest *g;
    const char *script;
    int r;
    ferry_error e;
};

static FERRY_CO int run_script(void *arg)
{
    struct job *j = arg;
    struct ferryd_call c = call_of(j->g);
    const char *const argv[] = {"sh", "-c", j->script, NULL};
    j->r = ferryd_run(&c, argv, NULL, NULL, &j->e);
    return 0;
}

/* The script tells through a FIFO that its children are there; no time is waited for. */
static void group_dies(struct guest *g)
{
    char script[512], line[8];
    const char *fifo = guest_path(g, "/fifo"), *one = guest_path(g, "/one"),
               *two = guest_path(g, "/two");
    check_equal(mkfifo(fifo, 0600), 0);
    FILE *f = fopen(fifo, "r+e");
    snprintf(
        script, sizeof script,
        "sleep 1000 & echo $! > %s; (trap '' TERM HUP INT; sleep 1000 & echo $! > %s; "
        "echo go > %s; wait) & wait",
        one, two, fifo);

    struct job j = {.g = g, .script = script};
    ferry_scope s;
    ferry_scope_open(&s, 0);
    check_equal(ferry_spawn(&s, "run", run_script, &j), 0);
    ferry_yield(); /* it is started */
    check(fgets(line, sizeof line, f) != NULL);
    check(is_alive(one) && is_alive(two));
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    ferry_scope_join(&s);
    fclose(f);

    check_equal(j.r, -FERRY_ECANCELED);
    /* The children of the group are killed with it; they end in their own time. */
    for (int i = 0; i < 50000 && (is_alive(one) || is_alive(two)); i++)
        ferry_sleep(1);
    check(!is_alive(one) && !is_alive(two));
}

static void errors_have_the_last_line(struct guest *g)
{
    static const struct {
        const char *script, *msg;
        int code;
    } cases[] = {
        {"echo first >&2; echo 'sh: the reason ' >&2; echo >&2; exit 3",
         "sh: the reason", -FERRY_EIO},
        {"exit 1", "sh: failed without saying why", -FERRY_EIO},
        {"kill -9 $$", "sh: killed by signal 9 (Killed)", -FERRY_EIO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job j = {.g = g, .script = cases[i].script};
        run_script(&j);
        check_equal(j.r, cases[i].code);
        if (!check(strcmp(j.e.msg, cases[i].msg) == 0))
            fprintf(stderr, "%s\n", j.e.msg);
    }

    struct ferryd_call c = call_of(g);
    const char *const argv[] = {"no-such-program", NULL};
    ferry_error e = {0};
    check_equal(ferryd_run(&c, argv, NULL, NULL, &e), -FERRY_ENOTSUP);
}

static void output_is_kept_within_bounds(struct guest *g)
{
    struct ferryd_call c = call_of(g);
    const char *const argv[] =
        {"sh", "-c", "cat; seq 1000000; seq 1000000 >&2; echo 'the end' >&2; exit 4",
         NULL};
    FERRY_AUTO(mem) char *out = NULL;
    FERRY_AUTO(mem) char *err = NULL;
    ferry_error e = {0};
    check_equal(ferryd_run_status(&c, argv, "input\n", &out, &err, &e), 4);
    check_equal(strlen(out), FERRYD_RUN_OUTPUT);
    check(strncmp(out, "input\n1\n2\n", 10) == 0);
    check(strcmp(err, "the end") == 0);
}

/* ntfs-3g stays behind as a server, with its own idea of stdout: the call must not wait for it. */
static void child_left_behind_does_not_hold_us(struct guest *g)
{
    struct ferryd_call c = call_of(g);
    char script[128];
    FERRY_AUTO(mem) char *out = NULL;
    ferry_error e = {0};
    snprintf(script, sizeof script, "echo told; setsid sleep 1000 & echo $! > %s",
             guest_path(g, "/pid"));
    const char *const argv[] = {"sh", "-c", script, NULL};
    check_equal(ferryd_run(&c, argv, NULL, &out, &e), 0);
    check(strcmp(out, "told\n") == 0);
    check(is_alive(guest_path(g, "/pid")));
    snprintf(script, sizeof script, "kill $(cat %s)", guest_path(g, "/pid"));
    check_equal(system(script), 0);
}

static void test_last_line(void **state)
{
    size_t n;
    (void)state;
    const char *p = ferryd_last_line("/usr/sbin/mkfs.x", "a\nmkfs.x: no \n\n  \n", &n);
    assert_int_equal(n, 2);
    assert_memory_equal(p, "no", 2);
    p = ferryd_last_line("x", "", &n);
    assert_int_equal(n, 0);
    p = ferryd_last_line("x", "x:", &n);
    assert_int_equal(n, 2);
    p = ferryd_last_line("x", "one\r\ntwo", &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "two", 3);
}

GUEST_TEST(group_dies)
GUEST_TEST(errors_have_the_last_line)
GUEST_TEST(output_is_kept_within_bounds)
GUEST_TEST(child_left_behind_does_not_hold_us)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_dies),
        cmocka_unit_test(test_errors_have_the_last_line),
        cmocka_unit_test(test_output_is_kept_within_bounds),
        cmocka_unit_test(test_child_left_behind_does_not_hold_us),
        cmocka_unit_test(test_last_line),
    };
    return guest_run(tests);
}
