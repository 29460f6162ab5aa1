/* The version of the library that runs. */
#include <guestferry/version.h>

const char *ferry_version(void)
{
    return FERRY_VERSION;
}
