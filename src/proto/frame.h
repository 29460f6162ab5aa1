/* The wire format of one frame. Pure: bytes in, struct out.
 *
 *      0        4        8      9      10     12
 *      | length | stream | type | flags | 0 0 | payload: `length` bytes
 *
 * All integers big-endian. Stream 0 is the connection itself. See docs/protocol.md. */
#ifndef FERRY_PROTO_FRAME_H
#define FERRY_PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FERRY_FRAME_HEADER 12

/* Longest payload. Large enough that per-frame work vanishes beside the copying, small
 * enough that a control frame never waits long behind one (at 200 MB/s: 1.3 ms). */
#define FERRY_FRAME_MAX (256 * 1024)

/* HELLO: magic, version, an API hash of at most 64 characters, a build text of 128. */
#define FERRY_HELLO_MIN 8
#define FERRY_HELLO_MAX 256

/* One line of text; longer ones are cut by the sender. */
#define FERRY_LOG_MAX 1024

enum ferry_frame_type {
    FERRY_HELLO = 1, /* stream 0, first in each direction: magic, version, API hash */
    FERRY_CALL,  /* host to daemon, opens the stream: procedure number, XDR arguments */
    FERRY_REPLY, /* daemon to host, ends the stream: status, XDR result */
    FERRY_DATA,  /* bulk bytes, or with a flag where they are, or that there are none */
    FERRY_END,   /* no more DATA from this side; the stream goes on until REPLY */
    FERRY_RESET, /* i32 code. Host: cancel, a REPLY still comes. Daemon: never sent */
    FERRY_CREDIT,   /* u32 bytes more that the receiver of it may send on this stream */
    FERRY_PROGRESS, /* daemon to host: u64 done, u64 total of a long call */
    FERRY_LOG,      /* daemon to host, stream 0: text for traces and error messages */
    FERRY_LANE, /* stream 0: u32 bytes of a slot, u32 slots up, u32 slots down (lane.h) */
    FERRY_FREE, /* stream 0: u64 set of the slots that the sender of it is done with */
    FERRY_FRAME_TYPES
};

/* DATA's flags, at most one of them. */
#define FERRY_FRAME_HOLE                                                               \
    0x01 /* payload is a u64 count of zeroes, nothing else is sent */
#define FERRY_FRAME_SLOT 0x02 /* payload is u32 slot, u32 bytes: they are in the lane */

/* CALL's flags, at most one of them: how the stream's data is to be treated beside that of others
 * (conn.h). */
#define FERRY_FRAME_LOW 0x08
#define FERRY_FRAME_HIGH 0x10

/* The host's HELLO: the daemon's went to somebody else, and is to come again. */
#define FERRY_FRAME_AGAIN 0x04

#define FERRY_LANE_PAYLOAD 12

typedef struct ferry_frame {
    uint32_t length;
    uint32_t stream;
    uint8_t type;
    uint8_t flags;
} ferry_frame;

void ferry_frame_encode(const ferry_frame *f, uint8_t out[FERRY_FRAME_HEADER]);

/* 0, or -FERRY_EPROTO for a header no peer of ours can have sent: unknown type or flag,
 * length over FERRY_FRAME_MAX or wrong for its type, non-zero padding, a stream id
 * where 0 belongs or the reverse. */
int ferry_frame_decode(const uint8_t in[FERRY_FRAME_HEADER], ferry_frame *ret);

/* What is wrong with a header that ferry_frame_decode() refuses, in a few words; NULL
 * when nothing is. */
const char *ferry_frame_fault(const uint8_t in[FERRY_FRAME_HEADER]);

const char *ferry_frame_name(uint8_t type); /* "DATA"; "?" */

#endif
