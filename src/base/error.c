/* ferry_error: filling it, and the table of codes. Knows nothing but the public header. */
#include "base/error.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* First code that is not an errno. */
#define OWN_CODES 1001

static const struct {
    int code;
    const char *name;
    const char *text; /* NULL: the system's words */
} codes[] = {
    {FERRY_OK, "FERRY_OK", "success"},
    {FERRY_EPERM, "FERRY_EPERM", "operation not permitted"},
    {FERRY_ENOENT, "FERRY_ENOENT", "no such file or directory"},
    {FERRY_EINTR, "FERRY_EINTR", "interrupted by a signal"},
    {FERRY_EIO, "FERRY_EIO", "input/output error"},
    {FERRY_EAGAIN, "FERRY_EAGAIN", "still pending"},
    {FERRY_ENOMEM, "FERRY_ENOMEM", "out of memory"},
    {FERRY_EACCES, "FERRY_EACCES", "permission denied"},
    {FERRY_EBUSY, "FERRY_EBUSY", "in use"},
    {FERRY_EEXIST, "FERRY_EEXIST", "exists already"},
    {FERRY_EXDEV, "FERRY_EXDEV", "on another file system"},
    {FERRY_ENODEV, "FERRY_ENODEV", "no such device"},
    {FERRY_ENOTDIR, "FERRY_ENOTDIR", "not a directory"},
    {FERRY_EISDIR, "FERRY_EISDIR", "is a directory"},
    {FERRY_EINVAL, "FERRY_EINVAL", "invalid argument"},
    {FERRY_ENFILE, "FERRY_ENFILE", "too many open files on this machine"},
    {FERRY_EMFILE, "FERRY_EMFILE", "too many open files (ulimit -n)"},
    {FERRY_EFBIG, "FERRY_EFBIG", "too large"},
    {FERRY_ENOSPC, "FERRY_ENOSPC", "no space left"},
    {FERRY_EROFS, "FERRY_EROFS", "read-only"},
    {FERRY_EPIPE, "FERRY_EPIPE", "the other end was closed"},
    {FERRY_ENAMETOOLONG, "FERRY_ENAMETOOLONG", "name too long"},
    {FERRY_ENOSYS, "FERRY_ENOSYS", "not implemented"},
    {FERRY_ENOTEMPTY, "FERRY_ENOTEMPTY", "directory not empty"},
    {FERRY_ELOOP, "FERRY_ELOOP", "too many symbolic links"},
    {FERRY_EPROTO, "FERRY_EPROTO", "protocol error"},
    {FERRY_ENOTSUP, "FERRY_ENOTSUP", "not supported"},
    {FERRY_ETIMEDOUT, "FERRY_ETIMEDOUT", "timed out"},
    {FERRY_ECANCELED, "FERRY_ECANCELED", "cancelled"},
    {FERRY_ELAUNCH, "FERRY_ELAUNCH", "the appliance did not start"},
    {FERRY_EDEAD, "FERRY_EDEAD", "the appliance died"},
    {FERRY_ESTATE, "FERRY_ESTATE", "not allowed in this state"},
    {FERRY_EMISMATCH, "FERRY_EMISMATCH", "library and daemon are of different builds"},
    {FERRY_ECHANGED, "FERRY_ECHANGED", "the source changed while it was read"},
    {FERRY_EFORMAT, "FERRY_EFORMAT", "not an image of this format"},
    {FERRY_ENPROC, "FERRY_ENPROC",
     "no more threads or processes can be had (ulimit -u, pids.max, memory)"},
};

/* Either sign gives the positive code; INT_MIN, which has none, becomes no code at all. */
static int positive(int code)
{
    return code >= 0 ? code : code == INT_MIN ? INT_MAX : -code;
}

static int find(int code)
{
    code = positive(code);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code)
            return (int)i;
    return -1;
}

const char *ferry_strerror(int code)
{
    int i = find(code);
    if (i >= 0)
        return codes[i].text;
    /* strerrordesc_np: static text, unlike strerror(). */
    const char *text = strerrordesc_np(positive(code));
    return text ? text : "unknown error";
}

const char *ferry_code_name(int code)
{
    int i = find(code);
    return i >= 0 ? codes[i].name : NULL;
}

/* Takes back a UTF-8 sequence that vsnprintf cut in two. */
static void mend_cut(char *s, size_t size)
{
    size_t n = strlen(s);
    if (n + 1 < size)
        return;
    while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
        n--;
    if (n > 0 && ((unsigned char)s[n - 1] & 0x80))
        s[n - 1] = '\0';
}

/* By way of a copy: the arguments may be texts of *e itself. */
static int fill(ferry_error *e, int code, int os_errno, const char *where,
                const char *fmt, va_list ap)
{
    if (!e)
        return code;
    ferry_error made = {.code = code, .os_errno = os_errno};
    snprintf(made.where, sizeof made.where, "%s", where);
    vsnprintf(made.msg, sizeof made.msg, fmt, ap);
    mend_cut(made.msg, sizeof made.msg);
    *e = made;
    return code;
}

int ferry_fail(ferry_error *e, int code, const char *where, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, -code < OWN_CODES ? -code : 0, where, fmt, ap);
    va_end(ap);
    return code;
}

int ferry_fail_os(ferry_error *e, int code, int os_errno, const char *where,
                  const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, os_errno, where, fmt, ap);
    va_end(ap);
    return code;
}

int ferry_error_prefix(ferry_error *e, const char *fmt, ...)
{
    if (!e)
        return 0;
    char made[2 * sizeof e->msg] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(made, sizeof e->msg, fmt, ap);
    va_end(ap);

    size_t n = strlen(made);
    snprintf(made + n, sizeof made - n, ": %s", e->msg);
    memcpy(e->msg, made, sizeof e->msg - 1);
    e->msg[sizeof e->msg - 1] = '\0';
    mend_cut(e->msg, sizeof e->msg);
    return e->code;
}
