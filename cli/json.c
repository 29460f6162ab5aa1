/* JSON output; see json.h. */
#include "json.h"

#include "auto.h"
#include "screen.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at s (n bytes are there), 0 if there is none. Overlong forms,
 * surrogates and what is beyond U+10FFFF are none, as RFC 3629 has it. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

json_t *json_text(const char *s)
{
    json_t *as_is = json_string(s);
    if (as_is)
        return as_is;

    size_t n = strlen(s);
    FERRY_AUTO(mem) char *clean = malloc(n * 3 + 1);
    if (!clean)
        return NULL;
    char *o = clean;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence((const unsigned char *)s + i, n - i);
        if (len) {
            memcpy(o, s + i, len);
            o += len;
            i += len;
        } else {
            o = stpcpy(o, "\xef\xbf\xbd"); /* U+FFFD */
            i++;
        }
    }
    *o = 0;
    return json_string(clean);
}

void json_set_name(json_t *o, const char *key, const char *name)
{
    json_t *as_is = json_string(name);
    if (as_is) {
        json_object_set_new(o, key, as_is);
        return;
    }

    json_object_set_new(o, key, json_text(name));
    size_t n = strlen(name);
    FERRY_AUTO(mem) char *hex = malloc(n * 2 + 1);
    FERRY_AUTO(mem) char *hex_key = malloc(strlen(key) + sizeof "_hex");
    if (!hex || !hex_key)
        return;
    for (size_t i = 0; i < n; i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)name[i]);
    stpcpy(stpcpy(hex_key, key), "_hex");
    json_object_set_new(o, hex_key, json_string(hex));
}

int json_print(const json_t *o, FILE *out, bool indent)
{
    size_t flags = indent ? JSON_INDENT(2) : JSON_COMPACT;
    FERRY_AUTO(mem) char *text = json_dumps(o, flags | JSON_ENCODE_ANY);
    if (!text)
        return -ENOMEM;
    screen_clear();
    if (fprintf(out, "%s\n", text) < 0 || fflush(out) != 0)
        return -errno;
    return 0;
}
