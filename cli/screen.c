/* The redrawn line on stderr; see screen.h. */
#include "screen.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR "\r\033[K"

static struct {
    bool tty, utf8, colour;
    /* Something is drawn. Also read by signal handlers. */
    volatile sig_atomic_t drawn;
} screen;

void screen_init(void)
{
    setlocale(LC_CTYPE, "");
    screen.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;

    const char *term = getenv("TERM");
    screen.tty = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
    const char *no_color = getenv("NO_COLOR");
    screen.colour = screen.tty && !(no_color && *no_color);
}

bool screen_is_tty(void)
{
    return screen.tty;
}

bool screen_utf8(void)
{
    return screen.utf8;
}

bool screen_colour(void)
{
    return screen.colour;
}

unsigned screen_columns(void)
{
    struct winsize ws;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
        return ws.ws_col;
    return 80;
}

/* A line is decoration: a terminal that takes none now (^S, a stuck connection) does without,
 * rather than hold up the program or a signal handler. */
static void put(const char *s, size_t n)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&fd, 1, 0) != 1 || !(fd.revents & POLLOUT))
        return;
    while (n) {
        ssize_t w = write(STDERR_FILENO, s, n);
        if (w < 0 && errno != EINTR)
            return;
        if (w > 0) {
            s += w;
            n -= (size_t)w;
        }
    }
}

void screen_note(const char *text)
{
    int saved = errno;
    put(text, strlen(text));
    errno = saved;
}

void screen_draw(const char *line)
{
    char text[4096];
    int n = snprintf(text, sizeof text, CLEAR "%s", line);
    /* Before the write: a handler that comes in between clears a line too many, never one
     * too few. */
    screen.drawn = 1;
    put(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void screen_clear(void)
{
    if (!screen.drawn)
        return;
    int saved = errno;
    put(CLEAR, sizeof CLEAR - 1);
    screen.drawn = 0;
    errno = saved;
}
