/* Bar, plain lines, JSON lines; see progress.h. */
#include "progress.h"

#include "auto.h"
#include "bar.h"
#include "json.h"
#include "say.h"
#include "screen.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t progress_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void progress_init(struct progress *p, enum progress_mode mode, const char *command)
{
    memset(p, 0, sizeof *p);
    if (mode == PROGRESS_AUTO)
        mode = screen_is_tty() ? PROGRESS_BAR : PROGRESS_PLAIN;
    p->mode = mode;
    p->command = command;
}

void progress_done(struct progress *p)
{
    screen_clear();
    free(p->label);
    p->label = NULL;
}

static void begin(struct progress *p, bool spinner, const char *label,
                  progress_sampler *sampler, void *user)
{
    free(p->label);
    p->label = label ? text_printable(label) : NULL;
    p->sampler = sampler;
    p->user = user;
    p->rows = NULL;
    p->spinner = spinner;
    p->active = true;
    p->started_ms = p->drawn_ms = progress_now_ms();
    p->last_phase = NULL;
    meter_init(&p->meter, p->started_ms);
}

void progress_begin(struct progress *p, const char *label, progress_sampler *sampler,
                    void *user)
{
    begin(p, false, label, sampler, user);
    progress_tick(p, true);
}

void progress_begin_phase(struct progress *p, progress_sampler *sampler, void *user)
{
    begin(p, true, NULL, sampler, user);
    progress_tick(p, p->mode == PROGRESS_JSON);
}

void progress_split(struct progress *p, progress_rows *rows)
{
    p->rows = rows;
}

/* ---- the three ways to show it ----------------------------------------------------- */

/* As many as leave half of the terminal to what was there. */
static unsigned rows_shown(unsigned n)
{
    unsigned room = screen_rows() / 2;
    return n < room ? n : room > 1 ? room - 1 : 0;
}

static void render_row(const struct progress_row *row, unsigned columns,
                       char line[BAR_LINE])
{
    FERRY_AUTO(mem) char *label = text_printable(row->label);
    struct bar bar = {
        .label = label,
        .bytes = row->bytes,
        .total = row->total,
        .rate = row->rate,
        .eta_ms = row->eta_ms,
        .elapsed_ms = row->elapsed_ms,
        .utf8 = screen_utf8(),
        .colour = screen_colour(),
    };
    bar_render(&bar, columns, line);
}

static void draw_bars(struct progress *p, const struct progress_sample *s, uint64_t now,
                      const struct progress_row *rows, unsigned n)
{
    char text[PROGRESS_ROWS + 1][BAR_LINE];
    const char *lines[PROGRESS_ROWS + 1];
    unsigned columns = screen_columns();
    n = rows_shown(n);
    for (unsigned i = 0; i < n; i++)
        render_row(&rows[i], columns, text[i]);
    struct bar bar = {
        .label = p->label,
        .phase = p->spinner ? s->phase : NULL,
        .bytes = s->bytes,
        .total = s->total,
        .files = s->files,
        .files_total = s->files_total,
        .rate = meter_rate(&p->meter),
        .eta_ms = meter_eta_ms(&p->meter, s->total),
        .elapsed_ms = now - p->started_ms,
        .utf8 = screen_utf8(),
        .colour = screen_colour(),
    };
    bar_render(&bar, columns, text[n]);
    for (unsigned i = 0; i <= n; i++)
        lines[i] = text[i];
    screen_draw(lines, n + 1);
}

static void print_plain(struct progress *p, const struct progress_sample *s,
                        uint64_t now)
{
    char done[TEXT_MAX], total[TEXT_MAX], rate[TEXT_MAX], time[TEXT_MAX];
    text_duration(now - p->started_ms, time);
    if (p->spinner) {
        say("%s, %s", s->phase, time);
        return;
    }

    const char *label = p->label ? p->label : p->command;
    uint64_t bytes_per_second = meter_rate(&p->meter);
    int64_t eta = meter_eta_ms(&p->meter, s->total);
    text_bytes(s->bytes, done);
    text_rate(bytes_per_second, rate);
    if (!s->total) {
        say("%s: %s, %s, %s", label, done, rate, time);
        return;
    }
    text_bytes(s->total, total);
    char left[TEXT_MAX] = "unknown";
    if (eta >= 0)
        text_duration((uint64_t)eta, left);
    double part = (double)s->bytes * 100 / (double)s->total;
    say("%s: %s of %s (%d%%), %s, eta %s", label, done, total,
        (int)(part > 100 ? 100 : part), rate, left);
}

static json_t *json_rows(const struct progress_row *rows, unsigned n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "file", json_text(rows[i].label));
        json_object_set_new(o, "bytes", json_integer((json_int_t)rows[i].bytes));
        json_object_set_new(o, "total", json_integer((json_int_t)rows[i].total));
        json_object_set_new(o, "rate", json_integer((json_int_t)rows[i].rate));
        json_array_append_new(list, o);
    }
    return list;
}

static void print_json(struct progress *p, const struct progress_sample *s, uint64_t now,
                       const char *state, const struct progress_row *rows, unsigned n)
{
    FERRY_AUTO(json) json_t *o = json_object();
    json_object_set_new(o, "op", json_string(p->command));
    json_object_set_new(o, "phase", json_string(s->phase ? s->phase : ""));
    json_object_set_new(o, "state", json_string(state));
    json_object_set_new(o, "elapsed_ms",
                        json_integer((json_int_t)(now - p->started_ms)));
    if (!p->spinner) {
        if (p->label)
            json_object_set_new(o, "file", json_text(p->label));
        json_object_set_new(o, "bytes", json_integer((json_int_t)s->bytes));
        json_object_set_new(o, "total", json_integer((json_int_t)s->total));
        json_object_set_new(o, "rate", json_integer((json_int_t)meter_rate(&p->meter)));
        if (s->files_total) {
            json_object_set_new(o, "files", json_integer((json_int_t)s->files));
            json_object_set_new(o, "files_total",
                                json_integer((json_int_t)s->files_total));
        }
        if (p->rows)
            json_object_set_new(o, "transfers", json_rows(rows, n));
    }
    json_print(o, stderr, false);
}

/* ---- time -------------------------------------------------------------------------- */

static uint64_t interval_ms(const struct progress *p)
{
    switch (p->mode) {
    case PROGRESS_BAR: return PROGRESS_REDRAW_MS;
    case PROGRESS_JSON: return PROGRESS_JSON_MS;
    default: return PROGRESS_PLAIN_MS;
    }
}

static bool shows(const struct progress *p)
{
    return p->active && p->mode != PROGRESS_NONE;
}

void progress_tick(struct progress *p, bool force)
{
    if (!shows(p))
        return;
    uint64_t now = progress_now_ms();
    struct progress_sample s = {.phase = ""};
    struct progress_row rows[PROGRESS_ROWS];
    p->sampler(p->user, &s);
    meter_add(&p->meter, now, s.bytes);
    unsigned n = p->rows ? p->rows(p->user, now, rows) : 0;

    bool due = now - p->drawn_ms >= interval_ms(p);
    if (p->mode == PROGRESS_JSON && p->last_phase != s.phase)
        due = true;
    if (!due && !(force && p->mode != PROGRESS_PLAIN))
        return;
    if (p->mode == PROGRESS_BAR && p->spinner &&
        now - p->started_ms < PROGRESS_SPINNER_MS)
        return;
    p->drawn_ms = now;
    p->last_phase = s.phase;

    if (p->mode == PROGRESS_BAR)
        draw_bars(p, &s, now, rows, n);
    else if (p->mode == PROGRESS_PLAIN)
        print_plain(p, &s, now);
    else
        print_json(p, &s, now, "running", rows, n);
}

int progress_due_ms(const struct progress *p)
{
    if (!shows(p))
        return -1;
    uint64_t next = p->drawn_ms + interval_ms(p), now = progress_now_ms();
    /* The meter wants its samples, and JSON its phases, between the lines. */
    if (p->mode != PROGRESS_BAR && next > now + METER_SPACING_MS)
        return METER_SPACING_MS;
    return next > now ? (int)(next - now) : 0;
}

void progress_end(struct progress *p, const char *state)
{
    if (shows(p) && p->mode == PROGRESS_JSON) {
        struct progress_sample s = {.phase = ""};
        uint64_t now = progress_now_ms();
        p->sampler(p->user, &s);
        meter_add(&p->meter, now, s.bytes);
        print_json(p, &s, now, state, NULL, 0);
    }
    p->active = false;
    screen_clear();
}

void progress_summary(struct progress *p, const char *label, uint64_t files,
                      uint64_t bytes, uint64_t ms)
{
    if (p->mode != PROGRESS_BAR && p->mode != PROGRESS_PLAIN)
        return;
    char size[TEXT_MAX], time[TEXT_MAX], rate[TEXT_MAX];
    text_bytes(bytes, size);
    text_duration(ms, time);
    text_rate(ms ? (uint64_t)((double)bytes * 1000 / (double)ms) : bytes, rate);

    FERRY_AUTO(mem) char *name = text_printable(label);
    screen_clear();
    if (files)
        fprintf(stderr, "%s  %llu files, %s in %s (%s)\n", name ? name : "",
                (unsigned long long)files, size, time, rate);
    else
        fprintf(stderr, "%s  %s in %s (%s)\n", name ? name : "", size, time, rate);
}
