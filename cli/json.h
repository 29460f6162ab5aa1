/* JSON output: jansson, and what names from an image need before they can be JSON. */
#ifndef GFERRY_JSON_H
#define GFERRY_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

static inline void ferry_auto_json(json_t **o)
{
    json_decref(*o);
}

/* A string, even if it is not UTF-8: bytes that are not become U+FFFD. */
json_t *json_text(const char *s);
/* Sets key to a file name of the image. One that is not UTF-8 gets a second member,
 * KEY_hex, with its bytes, so that nothing is lost. */
void json_set_name(json_t *o, const char *key, const char *name);

/* Prints it, indented or on one line, with a newline. -errno when the stream failed. */
int json_print(const json_t *o, FILE *out, bool indent);

#endif
