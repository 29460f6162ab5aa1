/* The redrawn lines on stderr; see screen.h.
 *
 * The cursor stands at the start of the last of `drawn` lines. A signal handler may clear
 * between any two writes here, so signals wait while the cursor changes its line: a count that
 * is wrong would leave lines of ours, or wipe somebody else's. They never wait for more than
 * a newline, lest a terminal that is stuck swallow a ^C. */
#include "screen.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR "\r\033[K" /* this line */
#define BELOW "\033[J"   /* and those below it */
#define UP "\033[A"

static struct {
    bool tty, utf8, colour;
    volatile sig_atomic_t drawn; /* lines */
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

unsigned screen_rows(void)
{
    struct winsize ws;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0)
        return ws.ws_row;
    return 24;
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

/* Moves the cursor by so many lines: UP, a newline or nothing. It stands in one of ours then. */
static void step(const char *text, int by)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    put(text, strlen(text));
    screen.drawn = screen.drawn + by > 1 ? screen.drawn + by : 1;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void to_first_line(void)
{
    while (screen.drawn > 1)
        step(UP, -1);
}

/* The cursor goes back: a ^C that the terminal echoes at the end of a long line would wrap, and
 * we would be a line lower than we know. */
static void draw_line(const char *line)
{
    char text[4096];
    int n = snprintf(text, sizeof text, CLEAR "%s\r", line);
    put(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void screen_draw(const char *const *lines, unsigned n)
{
    int before = screen.drawn;
    to_first_line();
    for (unsigned i = 0; i < n; i++) {
        step(i ? "\n" : "", i > 0);
        draw_line(lines[i]);
    }
    if (before > screen.drawn)
        put(BELOW, sizeof BELOW - 1);
}

void screen_clear(void)
{
    if (!screen.drawn)
        return;
    int saved = errno;
    bool several = screen.drawn > 1;
    to_first_line();
    put(CLEAR, sizeof CLEAR - 1);
    if (several)
        put(BELOW, sizeof BELOW - 1);
    screen.drawn = 0;
    errno = saved;
}
