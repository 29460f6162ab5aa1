/* Reading qemu's words; see blame.h. */
#include "launch/blame.h"

#include "async/process.h"
#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- words ----------------------------------------------------------------------- */

/* "qemu-system-x86_64: -blockdev {...}: Could not ..." -> "Could not ...". Other options
 * than those of a drive stay: their name is what the reader needs. */
static const char *without_prefix(const char *line)
{
    const char *colon = strstr(line, ": ");
    if (strncmp(line, "qemu", 4) == 0 && colon &&
        !memchr(line, ' ', (size_t)(colon - line)))
        line = colon + 2;
    if (strncmp(line, "-blockdev {", 11) == 0 || strncmp(line, "-device {", 9) == 0) {
        const char *end = strstr(line, "}: ");
        for (const char *next = end; next; next = strstr(next + 1, "}: "))
            end = next;
        line = end ? end + 3 : line;
    }
    if (strncmp(line, "error: ", 7) == 0)
        line += 7;
    return line;
}

void ferry_words(const char *words, char *buf, size_t size)
{
    char line[1024]; /* the JSON of a long path, and the words behind it */
    buf[0] = '\0';
    while (*words) {
        size_t len = strcspn(words, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, words);
        words += len + (words[len] == '\n');
        if (line[0] && !strstr(line, "warning: ")) {
            snprintf(buf, size, "%s", without_prefix(line));
            return;
        }
    }
}

static bool says_any(const char *words, const char *const *phrases)
{
    for (; *phrases; phrases++)
        if (strcasestr(words, *phrases))
            return true;
    return false;
}

static const char *const format_phrases[] = {
    "Image is not in", /* qcow2 */
    "Image not in",    /* vdi, vmdk: "... format" */
    "invalid VMDK image descriptor",
    "Unsupported VDI",
    "unsupported VDI",
    "Unsupported qcow2 version",
    "qcow2 header",
    "L1 table is too",
    NULL,
};

static const char *const too_old_phrases[] = {
    "invalid option",
    "Invalid parameter",
    "is unexpected",
    "is not a valid device model name",
    "unsupported machine type",
    "invalid accelerator",
    "Property '",
    "No machine specified",
    NULL,
};

/* The drive that the words are about: our own node names come back in them, before any
 * file name. */
static const ferry_drive *accused(const ferry_evidence *ev)
{
    static const char *const marks[] = {"\"node-name\":\"drive", "\"drive\":\"drive"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(ev->words, marks[i]);
        unsigned long n = at ? strtoul(at + strlen(marks[i]), NULL, 10) : 0;
        for (unsigned d = 0; at && d < ev->spec->ndrives; d++)
            if (ev->spec->drives[d].target == n)
                return &ev->spec->drives[d];
    }
    return NULL;
}

/* ---- qemu gave up ---------------------------------------------------------------- */

static int code_of_words(const char *words, int otherwise)
{
    if (strstr(words, "No such file or directory"))
        return -FERRY_ENOENT;
    if (strstr(words, "Permission denied"))
        return -FERRY_EACCES;
    if (strstr(words, "Read-only file system"))
        return -FERRY_EROFS;
    return otherwise;
}

int ferry_blame_drive(const ferry_drive *d, const char *said, int code, ferry_error *e)
{
    const char *path = d->path ? d->path : "scratch disk";
    if (strstr(said, "\" lock"))
        return ferry_fail(e, -FERRY_EBUSY, "launch",
                          "%s is in use by another process (qemu says: %s)", path, said);
    if (strstr(said, "backing file") || strstr(said, "backing image"))
        return ferry_fail(e, code_of_words(said, code), "launch",
                          "%s: its backing file: %s", path, said);
    if (says_any(said, format_phrases))
        return ferry_fail(e, -FERRY_EFORMAT, "launch",
                          "%s: not a %s image (qemu says: %s); say which it is "
                          "(--format raw, qcow2, vmdk or vdi)",
                          path, d->format, said);
    return ferry_fail(e, code_of_words(said, code), "launch", "%s: qemu says: %s", path,
                      said);
}

static int blame_exit(const ferry_evidence *ev, int code, ferry_error *e)
{
    char said[200];
    ferry_words(ev->words, said, sizeof said);
    const ferry_drive *d = accused(ev);

    if (says_any(said, too_old_phrases))
        return ferry_fail(
            e, code, "launch",
            "%s is too old, or built without something that is needed: %s", ev->qemu,
            said);
    if (d)
        return ferry_blame_drive(d, said, code, e);
    if (strstr(said, "cannot set up guest memory"))
        return ferry_fail(e, -FERRY_ENOMEM, "launch",
                          "the host has no memory for the appliance: %s", said);
    return ferry_fail(e, code, "launch", "qemu exited with status %d%s%s",
                      WEXITSTATUS(ev->status), *said ? ": " : "", said);
}

/* ---- any end --------------------------------------------------------------------- */

static int blame_signal(const ferry_evidence *ev, int code, ferry_error *e)
{
    char how[64], said[160];
    ferry_process_describe(ev->status, how, sizeof how);
    said[0] = '\0';
    /* A crash explains itself in its last words; a kill from outside does not. */
    if (WTERMSIG(ev->status) != SIGKILL)
        ferry_words(ev->words, said, sizeof said);
    return ferry_fail(e, code, "launch", "appliance %s%s%s", how, *said ? ": " : "",
                      said);
}

int ferry_blame(const ferry_evidence *ev, int code, ferry_error *e)
{
    if (ev->exec_errno)
        return ferry_fail_os(e, code, ev->exec_errno, "launch", "%s cannot be run: %s",
                             ev->qemu, ferry_strerror(ev->exec_errno));
    if (ev->status == -1)
        return ferry_fail(e, code, "launch",
                          "appliance killed: its guard process was killed");
    if (WIFSIGNALED(ev->status))
        return blame_signal(ev, code, e);
    if (WEXITSTATUS(ev->status) != 0)
        return blame_exit(ev, code, e);

    /* Somebody's SIGTERM: qemu ends in good order and names the sender. */
    const char *term = strstr(ev->words, "terminating on signal");
    if (term)
        return ferry_fail(e, code, "launch", "qemu was ended: %.*s",
                          (int)strcspn(term, "\n"), term);

    return ferry_blame_guest(ev, code, e);
}

int ferry_blame_guest(const ferry_evidence *ev, int code, ferry_error *e)
{
    if (*ev->oom)
        return ferry_fail(e, code, "launch",
                          "appliance ran out of memory (give it more: memory_mib): %s",
                          ev->oom);
    if (*ev->panic)
        return ferry_fail(e, code, "launch", "appliance panicked: %s", ev->panic);
    return ferry_fail(e, code, "launch", "the appliance switched itself off%s%s",
                      *ev->last ? "; its last line: " : "", ev->last);
}

enum ferry_suspect ferry_suspect(const ferry_evidence *ev)
{
    if (ev->exec_errno || ev->status == -1)
        return FERRY_SUSPECT_OTHER;
    if (WIFSIGNALED(ev->status)) {
        /* Crashes are qemu's own; other signals came from somebody. */
        switch (WTERMSIG(ev->status)) {
        case SIGABRT:
        case SIGSEGV:
        case SIGBUS:
        case SIGILL:
        case SIGTRAP: return FERRY_SUSPECT_BOOT;
        default: return FERRY_SUSPECT_OTHER;
        }
    }
    if (WEXITSTATUS(ev->status) == 0)
        return FERRY_SUSPECT_BOOT;

    char said[200];
    ferry_words(ev->words, said, sizeof said);
    if (strcasestr(said, "sandbox") || strcasestr(said, "seccomp"))
        return FERRY_SUSPECT_SANDBOX;
    if (!accused(ev) && (strstr(said, "virtio-pmem") || strstr(said, "maxmem") ||
                         strstr(said, "memory-backend-file")))
        return FERRY_SUSPECT_LANE;
    if (!accused(ev) && (strcasestr(said, "kvm") || strcasestr(said, "accel")))
        return FERRY_SUSPECT_ACCEL;
    return FERRY_SUSPECT_OTHER;
}
