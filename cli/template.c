/* gferry template: what makes launches short. Building one boots an appliance of its own;
 * no image is touched. */
#include "auto.h"
#include "command.h"
#include "json.h"
#include "out.h"
#include "session.h"
#include "text.h"

#include <guestferry/template.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
    "A template is an appliance that has booted, kept on disk. Launches go on from it "
    "instead\n"
    "of booting. It is made after a first launch, or by `build`; `show` lists what "
    "there "
    "is,\n"
    "`clear` removes it. Templates are in $XDG_CACHE_HOME/guestferry, or "
    "~/.cache/guestferry.\n"
    "\n"
    "Examples:\n"
    "  gferry template build\n"
    "  gferry template show\n"
    "  gferry template clear\n";

/* ---- build --------------------------------------------------------------------------- */

static int build(const struct options *o)
{
    struct session s;
    ferry_error e = {0};
    int status = session_prepare(&s, o);
    if (status != STATUS_OK)
        return session_close(&s, status);

    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = ferry_template_build_start(s.vm, &op, &e);
    if (r == 0)
        r = session_await_shown(&s, op, NULL, &e);
    if (r == -FERRY_EEXIST)
        say_notice("the template is there already");
    else if (r < 0) {
        session_failed_on(&s, "template", &e);
        status = STATUS_FAILED; /* not 4: that is for files in an image */
    }
    return session_close(&s, status);
}

/* ---- show and clear ------------------------------------------------------------------ */

static json_t *as_json(const ferry_template_info *t)
{
    return json_pack("{s:s, s:I, s:I, s:s}", "name", t->name, "made",
                     (json_int_t)t->made, "disk_bytes", (json_int_t)t->disk_bytes,
                     "what", t->what);
}

static int show_json(const ferry_template_info *list, size_t n)
{
    FERRY_AUTO(json) json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, as_json(&list[i]));
    return json_print(all, stdout, true) < 0 ? STATUS_FAILED : STATUS_OK;
}

static void show_line(const ferry_template_info *t)
{
    char size[TEXT_MAX], when[32] = "?";
    time_t made = (time_t)t->made;
    struct tm tm;
    text_bytes(t->disk_bytes, size);
    if (localtime_r(&made, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    printf("%.12s  %s  %10s  %s\n", t->name, when, size,
           *t->what ? t->what : "damaged, or of another version");
}

static int show(const struct options *o)
{
    ferry_error e = {0};
    FERRY_AUTO(mem) ferry_template_info *list = NULL;
    size_t n = 0;
    if (ferry_template_list(&list, &n, &e) < 0) {
        say_failed("template", &e);
        return STATUS_FAILED;
    }
    if (o->json)
        return show_json(list, n);
    for (size_t i = 0; i < n; i++)
        show_line(&list[i]);
    if (n == 0)
        say_notice("no template; the next launch is a cold boot");
    return STATUS_OK;
}

static int clear(void)
{
    ferry_error e = {0};
    size_t n = 0;
    if (ferry_templates_clear(&n, &e) < 0) {
        say_failed("template", &e);
        return STATUS_FAILED;
    }
    say_notice("%zu removed", n);
    return STATUS_OK;
}

static int run(const struct options *o, char **operands, int n)
{
    (void)n;
    if (strcmp(operands[0], "build") == 0)
        return build(o);
    if (strcmp(operands[0], "show") == 0)
        return show(o);
    if (strcmp(operands[0], "clear") == 0)
        return clear();
    return say_usage("template %s: build, show or clear", operands[0]);
}

const struct command template_command = {
    .name = "template",
    .synopsis = "build|show|clear",
    .summary = "make, list or remove what launches start from",
    .help = help,
    .min_operands = 1,
    .max_operands = 1,
    .missing = "what to do (build, show or clear)",
    .run = run,
};
