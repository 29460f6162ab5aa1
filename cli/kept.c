/* See kept.h. Called by copy_in.c, copy_out.c and cp.c. */
#include "kept.h"

#include "again.h"
#include "auto.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

void kept_done(struct kept *k)
{
    free(k->name);
    *k = (struct kept){0};
}

static void note_leftover(struct kept *k, const struct session *s,
                          const ferry_leftover *left, const char *path, bool in)
{
    bool partial = left->kind == FERRY_LEFT_PARTIAL;
    if (!partial && (left->kind != FERRY_LEFT_WRITTEN || !in))
        return; /* what went to a pipe or a terminal has been seen there */
    const char *where = partial ? left->path : path;
    free(k->name);
    k->name = in ? session_name(s, where) : strdup(where);
    k->bytes += left->bytes;
    k->files++;
    k->in_place = !partial;
}

void kept_note(struct kept *k, const struct session *s, ferry_op *op, const char *path,
               bool in)
{
    ferry_leftover left = {.size = sizeof left};
    if (!op || ferry_op_get_leftover(op, &left) < 0)
        return;
    k->resumed += left.resumed;
    k->restarted += left.found && !left.resumed;
    if (ferry_op_poll(op, NULL) != FERRY_OP_OK && left.bytes)
        note_leftover(k, s, &left, path, in);
}

/* The line can be copied: a name with control characters in it is shown with "?" instead. */
static void say_again(const struct options *o)
{
    static const char *const resume[] = {"--resume", NULL};
    static const char *const nothing[] = {NULL};
    char line[AGAIN_MAX];
    again_command(o, o->resume ? nothing : resume, line);
    FERRY_AUTO(mem) char *safe = text_printable(line);
    if (safe && !o->quiet)
        fprintf(stderr, "  %s\n", safe);
}

void kept_say(const struct kept *k, const struct options *o)
{
    char size[TEXT_MAX];
    if (k->resumed) {
        text_bytes(k->resumed, size);
        say_notice("%s had been kept, and were not copied again", size);
    }
    if (k->restarted)
        say_notice("what had been kept of %u file%s is different: started over",
                   k->restarted, k->restarted == 1 ? "" : "s");
    if (k->files == 0 || !k->name)
        return;
    text_bytes(k->bytes, size);
    if (k->in_place) {
        say_notice("%s: the first %s were written", k->name, size);
        return;
    }
    if (k->files == 1)
        say_notice("%s kept in %s; this goes on from there:", size, k->name);
    else
        say_notice("%s kept of %u files, as %s; this goes on from there:", size,
                   k->files, k->name);
    say_again(o);
}
