/* Findings, as text or JSON; see report.h. */
#include "report.h"

#include "json.h"
#include "out.h"

#include <stdarg.h>
#include <stdio.h>

void report_init(struct report *r, bool json)
{
    *r = (struct report){
        .json = json,
        .checks = json_array(),
        .figures = json_object(),
    };
}

void report_done(struct report *r)
{
    json_decref(r->checks);
    json_decref(r->figures);
}

void report_add(struct report *r, enum verdict v, const char *check, const char *fmt,
                ...)
{
    static const char *const word[] = {"ok", "note", "bad"};
    FERRY_AUTO(mem) char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    r->bad += v == BAD;
    if (r->json) {
        json_t *o = json_object();
        json_object_set_new(o, "check", json_string(check));
        json_object_set_new(o, "verdict", json_string(word[v]));
        json_object_set_new(o, "text", json_text(text ? text : ""));
        json_array_append_new(r->checks, o);
        return;
    }
    FILE *out = out_begin();
    fprintf(out, "%-5s %-10s ", word[v], check);
    out_name(out, text ? text : "");
    fputc('\n', out);
}

void report_value(struct report *r, const char *group, const char *name, json_t *value)
{
    json_t *o = json_object_get(r->figures, group);
    if (!o) {
        o = json_object();
        json_object_set_new(r->figures, group, o);
    }
    json_object_set_new(o, name, value);
}

void report_end(struct report *r, bool healthy)
{
    if (!r->json)
        return;
    FERRY_AUTO(json) json_t *doc = json_object();
    json_object_set(doc, "checks", r->checks);
    json_object_update(doc, r->figures);
    json_object_set_new(doc, "healthy", json_boolean(healthy));
    json_print(doc, out_begin(), true);
}
