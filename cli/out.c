/* Results on stdout; see out.h. */
#include "out.h"

#include "auto.h"
#include "say.h"
#include "screen.h"
#include "text.h"

FILE *out_begin(void)
{
    screen_clear();
    return stdout;
}

void out_name(FILE *out, const char *name)
{
    if (!isatty(fileno(out))) {
        fputs(name, out);
        return;
    }
    FERRY_AUTO(mem) char *safe = text_printable(name);
    fputs(safe ? safe : "?", out);
}

int out_end(FILE *out)
{
    if (fflush(out) == 0 && !ferror(out))
        return STATUS_OK;
    if (errno == EPIPE)
        return STATUS_BROKEN_PIPE;
    say_errno("standard output", errno);
    return STATUS_FAILED;
}
