/* The last lines of the terminal on stderr: the one thing that is drawn over, and so the one
 * thing that must be out of the way before anything else is written there. progress.c
 * draws them; say.c, out.c and the signal handlers clear them. There is one terminal, so there
 * is one screen, and no handle. */
#ifndef GFERRY_SCREEN_H
#define GFERRY_SCREEN_H

#include <stdbool.h>

/* Looks at the locale, the terminal and the environment. Once, at the start. */
void screen_init(void);

bool screen_is_tty(void);      /* stderr is a terminal that can redraw a line */
bool screen_utf8(void);        /* its locale can show more than ASCII */
bool screen_colour(void);      /* it is a tty, NO_COLOR is unset, TERM is not dumb */
unsigned screen_columns(void); /* now; 80 when it will not tell */
unsigned screen_rows(void);    /* now; 24 when it will not tell */

/* Puts n >= 1 lines (no newlines in them) in place of what is drawn. */
void screen_draw(const char *const *lines, unsigned n);
/* Takes the lines away. Signal-safe: yes. */
void screen_clear(void);
/* Writes a note as it is. Signal-safe: yes. */
void screen_note(const char *text);

#endif
