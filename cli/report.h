/* What doctor finds: lines as they come, or one JSON document at the end. */
#ifndef GFERRY_REPORT_H
#define GFERRY_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "auto.h"

enum verdict { GOOD, NOTE, BAD };

struct report {
    bool json;
    json_t *checks; /* list of {check, verdict, text} */
    json_t *figures; /* what is a number, by group: {"launch": {"total_ms": 1600, ...}} */
    int bad;
};

void report_init(struct report *r, bool json);
void report_done(struct report *r);

/* A finding: check is the kind of thing it is about, the text is one line. */
void report_add(struct report *r, enum verdict v, const char *check, const char *fmt,
                ...) FERRY_PRINTF(4, 5);
/* A value that programs want; in JSON only, and taken over. */
void report_value(struct report *r, const char *group, const char *name, json_t *value);

/* Prints the JSON document, if that was asked for. healthy: the verdict on the whole. */
void report_end(struct report *r, bool healthy);

#endif
