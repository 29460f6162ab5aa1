/* Errors and notices; see say.h. */
#include "say.h"

#include "auto.h"
#include "screen.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_quiet;
static const char *command;

void say_quiet(bool quiet)
{
    is_quiet = quiet;
}

void say_command(const char *name)
{
    command = name;
}

/* One fputs: lines of ours and of a program beside us do not mix. */
static void say_line(const char *text)
{
    FERRY_AUTO(mem) char *safe = text_printable(text);
    FERRY_AUTO(mem) char *line = NULL;
    screen_clear();
    if (safe && asprintf(&line, "gferry: %s\n", safe) >= 0)
        fputs(line, stderr);
    else
        fputs("gferry: out of memory\n", stderr);
}

static void say_va(const char *fmt, va_list ap)
{
    FERRY_AUTO(mem) char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    say_line(text ? text : "out of memory");
}

void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_va(fmt, ap);
    va_end(ap);
}

void say_notice(const char *fmt, ...)
{
    if (is_quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    say_va(fmt, ap);
    va_end(ap);
}

/* A message often starts with the path it is about: "/root/x: no such file". Where that is
 * the end of `thing` ("disk.img:/root/x") only what is missing is put before it. */
void say_failed(const char *thing, const ferry_error *e)
{
    const char *msg = e->msg[0] ? e->msg : ferry_strerror(e->code);
    const char *colon = strstr(msg, ": ");
    size_t subject = colon ? (size_t)(colon - msg) : 0;
    size_t n = strlen(thing);

    if (subject && n >= subject && !strncmp(thing + n - subject, msg, subject))
        say("%.*s%s", (int)(n - subject), thing, msg);
    else if (strstr(msg, thing))
        say("%s", msg);
    else
        say("%s: %s", thing, msg);
}

void say_errno(const char *thing, int err)
{
    say("%s: %s", thing, strerror(err < 0 ? -err : err));
}

void say_no_memory(void)
{
    say("out of memory");
}

int say_usage(const char *fmt, ...)
{
    FERRY_AUTO(mem) char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);

    const char *what = text ? text : "out of memory";
    if (command)
        say("%s: %s; try 'gferry %s --help'", command, what, command);
    else
        say("%s; try 'gferry --help'", what);
    return STATUS_USAGE;
}

int status_of(const ferry_error *e)
{
    switch (e->code) {
    case -FERRY_ENOENT: return STATUS_NOT_FOUND;
    case -FERRY_ELAUNCH:
    case -FERRY_EMISMATCH: return STATUS_LAUNCH;
    default: return STATUS_FAILED;
    }
}
