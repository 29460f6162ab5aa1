/* libjansson's values, as FERRY_AUTO knows them. */
#ifndef FERRY_LAUNCH_JSON_H
#define FERRY_LAUNCH_JSON_H

#include <jansson.h>

static inline void ferry_auto_json(json_t **j)
{
    json_decref(*j);
}

#endif
