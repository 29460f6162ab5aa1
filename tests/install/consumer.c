/* The smallest program of a stranger: built against an installed copy only, by
 * programs_build_against_an_installed_copy.py. Starts the engine and ends it. */
#include <guestferry.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    ferry_error err;
    ferry_ctx *ctx;

    if (ferry_ctx_new(&ctx, &err) < 0) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        return 1;
    }
    ferry_ctx_free(ctx);
    printf("%s\n", ferry_version());
    return strcmp(ferry_version(), FERRY_VERSION) != 0;
}
