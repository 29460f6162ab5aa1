/* Making a template beside a VM that is up; see guestferry/template.h. */
#ifndef FERRY_API_TEMPLATE_H
#define FERRY_API_TEMPLATE_H

#include "api/internal.h"

/* A task in the VM's scope, which ends it with the VM. A failure is a warning. */
FERRY_CO int ferry_template_make(void *arg); /* the VM */

#endif
