/* Memory that is cleared: see alloc.h. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void *ferry_zalloc(size_t size)
{
    void *p = malloc(size);
    __asm__("" : "+r"(p)); /* or gcc makes a calloc() of the two */
    return p ? memset(p, 0, size) : NULL;
}
