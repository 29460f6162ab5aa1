/* The progress line.
 *
 *     big.iso  [=========>          ]  43%  512 MiB/1.2 GiB  301 MiB/s  eta 2.3 s
 *     label    gauge                 percent amount          rate       eta
 *
 * What does not fit is left out whole, least telling part first, then the gauge and the
 * label shrink. */
#include "bar.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

#define GAUGE_MIN 8 /* cells; a smaller gauge tells less than the percentage */
#define GAUGE_MAX 40
#define LABEL_MIN 8
#define SPINNER_MS 100 /* a step of the spinner: the redraw rate */

enum part { PERCENT, FILES, AMOUNT, RATE, ETA, NPARTS };

/* The order in which parts give way on a narrow terminal. The amount is all there is to say
 * when the total is unknown; else the percentage says it shorter. */
static const enum part gives_way[2][NPARTS] = {
    {FILES, ETA, RATE, PERCENT, AMOUNT},
    {FILES, AMOUNT, ETA, RATE, PERCENT},
};

struct parts {
    char text[NPARTS][TEXT_MAX * 3];
};

static const char *spinner(const struct bar *b)
{
    static const char *const braille[] = {"⠋", "⠙", "⠹", "⠸", "⠼",
                                          "⠴", "⠦", "⠧", "⠇", "⠏"};
    static const char *const ascii[] = {"|", "/", "-", "\\"};
    uint64_t step = b->elapsed_ms / SPINNER_MS;
    return b->utf8 ? braille[step % 10] : ascii[step % 4];
}

/* bytes/total in [0, 1], also when a source grew past what it said. */
static double fraction(const struct bar *b)
{
    if (b->total == 0)
        return 0;
    double f = (double)b->bytes / (double)b->total;
    return f > 1 ? 1 : f;
}

static void fill_parts(const struct bar *b, struct parts *p)
{
    char one[TEXT_MAX], two[TEXT_MAX];
    memset(p, 0, sizeof *p);

    text_bytes(b->bytes, one);
    if (b->total) {
        /* Rounded down: 100% is only written when all of it is there. */
        snprintf(p->text[PERCENT], sizeof p->text[0], "%3d%%", (int)(fraction(b) * 100));
        text_bytes(b->total, two);
        snprintf(p->text[AMOUNT], sizeof p->text[0], "%s/%s", one, two);
    } else {
        snprintf(p->text[AMOUNT], sizeof p->text[0], "%s", one);
    }
    if (b->files_total)
        snprintf(p->text[FILES], sizeof p->text[0], "%llu/%llu files",
                 (unsigned long long)b->files, (unsigned long long)b->files_total);
    if (b->rate) {
        text_rate(b->rate, one);
        snprintf(p->text[RATE], sizeof p->text[0], "%s", one);
    }
    if (b->total && b->eta_ms >= 0) {
        text_duration((uint64_t)b->eta_ms, one);
        snprintf(p->text[ETA], sizeof p->text[0], "eta %s", one);
    } else if (!b->total) {
        text_duration(b->elapsed_ms, one);
        snprintf(p->text[ETA], sizeof p->text[0], "%s", one);
    }
}

/* Columns of the parts, each with two spaces before it. All are ASCII. */
static size_t parts_width(const struct parts *p)
{
    size_t w = 0;
    for (int i = 0; i < NPARTS; i++)
        if (p->text[i][0])
            w += 2 + strlen(p->text[i]);
    return w;
}

static char *draw_gauge(const struct bar *b, size_t cells, char *o)
{
    static const char *const eighth[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    size_t steps = b->utf8 ? 8 : 1;
    size_t filled = (size_t)(fraction(b) * (double)(cells * steps));
    size_t full = filled / steps, drawn = full;

    o = stpcpy(o, "[");
    o = stpcpy(o, b->colour ? "\033[32m" : "");
    for (size_t i = 0; i < full; i++)
        o = stpcpy(o, b->utf8 ? "█" : i + 1 == full && full < cells ? ">" : "=");
    if (b->utf8 && filled % 8) {
        o = stpcpy(o, eighth[filled % 8]);
        drawn++;
    }
    o = stpcpy(o, b->colour ? "\033[0m" : "");
    for (; drawn < cells; drawn++)
        *o++ = ' ';
    return stpcpy(o, "]");
}

static void render_phase(const struct bar *b, size_t columns, char *line)
{
    char time[TEXT_MAX], text[256];
    text_duration(b->elapsed_ms, time);
    snprintf(text, sizeof text, "%s %s", b->phase, time);
    size_t room = columns > 2 ? columns - 2 : 0;
    char fitted[sizeof text + 8];
    text_ellipsize(text, room, b->utf8 ? "…" : "~", fitted);
    snprintf(line, BAR_LINE, "%s %s", spinner(b), fitted);
}

/* What a line has room for. */
struct layout {
    size_t label, middle; /* columns; middle: the smallest gauge, or the spinner, or 0 */
    size_t spare;         /* what is left over for the gauge */
};

/* Takes parts away until the rest fits, then gives the label what is left. */
static struct layout fit(const struct bar *b, size_t width, size_t label,
                         struct parts *parts)
{
    size_t least = label < LABEL_MIN ? label : LABEL_MIN;
    size_t middle = b->total ? 2 + 2 + GAUGE_MIN : 2 + 1;
    const enum part *weakest = gives_way[b->total != 0];
    for (size_t i = 0; i < NPARTS; i++) {
        if (least + middle + parts_width(parts) <= width)
            break;
        /* The gauge goes before the rate and the percentage, which tell more. */
        if (weakest[i] == PERCENT || (weakest[i] == RATE && b->total))
            middle = 0;
        if (least + middle + parts_width(parts) <= width)
            break;
        if (i + 1 < NPARTS)
            parts->text[weakest[i]][0] = 0;
    }

    struct layout l = {.label = label, .middle = middle};
    size_t used = middle + parts_width(parts);
    size_t room = width > used ? width - used : 0;
    /* Half the line is enough for a name as long as there is a gauge to show. */
    if (middle && b->total && l.label > width / 2)
        l.label = width / 2;
    if (l.label > room)
        l.label = room;
    l.spare = room - l.label;
    return l;
}

/* A name that is longer than any name can be is cut first, so that the buffer holds it. */
static char *draw_label(const struct bar *b, size_t columns, char *o)
{
    const char *label = b->label ? b->label : "";
    char fitted[BAR_LINE];
    if (strlen(label) + sizeof "…" > sizeof fitted)
        return o;
    text_ellipsize(label, columns, b->utf8 ? "…" : "~", fitted);
    return stpcpy(o, fitted);
}

void bar_render(const struct bar *b, unsigned columns, char line[BAR_LINE])
{
    size_t width = columns > BAR_MAX_COLUMNS ? BAR_MAX_COLUMNS : columns;
    width = width > 1 ? width - 1 : 0;
    if (b->phase) {
        render_phase(b, width, line);
        return;
    }

    struct parts parts;
    fill_parts(b, &parts);
    struct layout l = fit(b, width, b->label ? text_width(b->label) : 0, &parts);
    char *o = draw_label(b, l.label, line);
    *o = 0;
    if (l.middle && b->total) {
        size_t cells = GAUGE_MIN + l.spare;
        o = stpcpy(o, o == line ? "" : "  ");
        o = draw_gauge(b, cells > GAUGE_MAX ? GAUGE_MAX : cells, o);
    } else if (l.middle) {
        o = stpcpy(o, o == line ? "" : "  ");
        o = stpcpy(o, spinner(b));
    }
    for (int i = 0; i < NPARTS; i++)
        if (parts.text[i][0])
            o += sprintf(o, "%s%s", o == line ? "" : "  ", parts.text[i]);
}
