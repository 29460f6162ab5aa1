/* The wire format of one frame: twelve bytes to a struct and back, and every reason to
 * refuse them. Called by the reader, the writer and HELLO; must know neither
 * connections nor loops. What a frame means where it stands (its direction, its
 * stream's state) is receive.c's business. */
#include "proto/frame.h"

#include "base/bytes.h"

#include <guestferry/error.h>

#include <stdbool.h>

/* What can be said of a type without knowing any stream. */
struct rule {
    const char *name;
    uint32_t min, max; /* payload, bytes */
    bool stream;       /* belongs to a stream; otherwise to the connection, stream 0 */
    uint8_t flags;     /* that it may have */
};

static const struct rule rules[FERRY_FRAME_TYPES] = {
    [FERRY_HELLO] = {"HELLO", FERRY_HELLO_MIN, FERRY_HELLO_MAX, false, FERRY_FRAME_AGAIN},
    [FERRY_CALL] = {"CALL", 4, FERRY_FRAME_MAX, true, FERRY_FRAME_LOW | FERRY_FRAME_HIGH},
    [FERRY_REPLY] = {"REPLY", 0, FERRY_FRAME_MAX, true},
    [FERRY_DATA] = {"DATA", 1, FERRY_FRAME_MAX, true,
                    FERRY_FRAME_HOLE | FERRY_FRAME_SLOT},
    [FERRY_END] = {"END", 0, 0, true},
    [FERRY_RESET] = {"RESET", 4, 4, true},
    [FERRY_CREDIT] = {"CREDIT", 4, 4, true},
    [FERRY_PROGRESS] = {"PROGRESS", 16, 16, true},
    [FERRY_LOG] = {"LOG", 0, FERRY_LOG_MAX, false},
    [FERRY_LANE] = {"LANE", FERRY_LANE_PAYLOAD, FERRY_LANE_PAYLOAD, false},
    [FERRY_FREE] = {"FREE", 8, 8, false},
};

void ferry_frame_encode(const ferry_frame *f, uint8_t out[FERRY_FRAME_HEADER])
{
    ferry_put32(out, f->length);
    ferry_put32(out + 4, f->stream);
    out[8] = f->type;
    out[9] = f->flags;
    out[10] = 0;
    out[11] = 0;
}

static ferry_frame unpack(const uint8_t in[FERRY_FRAME_HEADER])
{
    return (ferry_frame){
        .length = ferry_get32(in),
        .stream = ferry_get32(in + 4),
        .type = in[8],
        .flags = in[9],
    };
}

int ferry_frame_decode(const uint8_t in[FERRY_FRAME_HEADER], ferry_frame *ret)
{
    if (ferry_frame_fault(in))
        return -FERRY_EPROTO;
    *ret = unpack(in);
    return 0;
}

const char *ferry_frame_fault(const uint8_t in[FERRY_FRAME_HEADER])
{
    ferry_frame f = unpack(in);
    if (f.type >= FERRY_FRAME_TYPES || !rules[f.type].name)
        return "unknown frame type";
    if (in[10] || in[11])
        return "padding is not zero";

    const struct rule *rule = &rules[f.type];
    if (rule->stream && f.stream == 0)
        return "a stream's frame on stream 0";
    if (!rule->stream && f.stream != 0)
        return "a connection's frame on a stream";

    if (f.flags & ~rule->flags || f.flags & (f.flags - 1))
        return "unknown flag";
    if (f.flags & FERRY_FRAME_HOLE && f.length != 8)
        return "a hole's length is not 8 bytes";
    if (f.flags & FERRY_FRAME_SLOT && f.length != 8)
        return "a slot's description is not 8 bytes";
    if (f.length < rule->min)
        return "payload too short for its type";
    if (f.length > rule->max)
        return "payload too long for its type";
    return NULL;
}

const char *ferry_frame_name(uint8_t type)
{
    if (type >= FERRY_FRAME_TYPES || !rules[type].name)
        return "?";
    return rules[type].name;
}
