/* See again.h. Pure. */
#include "again.h"

#include <stdio.h>
#include <string.h>

/* Appends `word` as a shell would have to read it. */
static void append_word(char line[AGAIN_MAX], const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789%+,-./:=@_";
    size_t n = strlen(line);
    if (*word && strspn(word, plain) == strlen(word)) {
        snprintf(line + n, AGAIN_MAX - n, " %s", word);
        return;
    }
    n += (size_t)snprintf(line + n, AGAIN_MAX - n, " '");
    for (; *word && n + 6 < AGAIN_MAX; word++)
        n += (size_t)snprintf(line + n, AGAIN_MAX - n, *word == '\'' ? "'\\''" : "%c",
                              *word);
    if (n + 2 < AGAIN_MAX)
        strcpy(line + n, "'");
}

void again_command(const struct options *o, const char *const *words,
                   char line[AGAIN_MAX])
{
    snprintf(line, AGAIN_MAX, "gferry");
    bool put = false;
    for (int i = 1; i < o->argc; i++) {
        append_word(line, o->argv[i]);
        if (put || strcmp(o->argv[i], o->command) != 0)
            continue;
        for (const char *const *w = words; *w; w++)
            append_word(line, *w);
        put = true;
    }
}
