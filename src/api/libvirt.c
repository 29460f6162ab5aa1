/* Asking a libvirt who it is. See guestferry/vm.h. */
#include "launch/libvirt.h"

#include "api/internal.h"
#include "base/auto.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    char *uri; /* NULL: libvirt's own choice */
    ferry_libvirt_info info;
};

static void check_free(void *arg)
{
    struct check *c = arg;
    free(c->uri);
    free(c);
}

static FERRY_CO int run_check(ferry_op *op, ferry_error *e)
{
    struct check *c = op->body;
    FERRY_AUTO(json) json_t *answer = NULL;
    ferry_op_phase(op, "asking libvirt");
    int r = ferry_libvirt_ask(c->uri, NULL, &answer, e);
    if (r < 0)
        return r;
    const char *uri = json_string_value(json_object_get(answer, "uri"));
    c->info.version = (uint32_t)json_integer_value(json_object_get(answer, "libvirt"));
    snprintf(c->info.uri, sizeof c->info.uri, "%s", uri ? uri : "");
    return 0;
}

int ferry_check_libvirt_start(ferry_vm *vm, const char *uri, ferry_op **ret_op,
                              ferry_error *reterr)
{
    struct check *c = calloc(1, sizeof *c);
    if (c && uri)
        c->uri = strdup(uri);
    if (!c || (uri && !c->uri)) {
        free(c);
        return ferry_fail(reterr, -FERRY_ENOMEM, "check_libvirt", "out of memory");
    }
    ferry_op *op = NULL;
    int r = ferry_op_new(vm, "check_libvirt", run_check, c, check_free, &op, reterr);
    return r < 0 ? r : ferry_op_submit(op, ret_op, reterr);
}

int ferry_check_libvirt_result(ferry_op *op, ferry_libvirt_info *ret_info,
                               ferry_error *reterr)
{
    if (op->run != run_check)
        return ferry_fail(reterr, -FERRY_EINVAL, "check_libvirt",
                          "the op is of another call: %s", op->name);
    int r = ferry_op_error(op, reterr);
    if (r == 0)
        *ret_info = ((struct check *)op->body)->info;
    return r;
}
