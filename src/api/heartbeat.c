/* The heartbeat: see heartbeat.h. */
#include "api/heartbeat.h"

#include "api/call.h"
#include "base/auto.h"
#include "base/trace.h"

#include "api_calls.h"

static bool somebody_waits(const ferry_vm *vm)
{
    ferry_list_each (ferry_op, op, &vm->ctx->ops, link)
        if (op->vm == vm)
            return true;
    return false;
}

/* 0: it answered, or said anything else meanwhile. */
static FERRY_CO int ping(ferry_vm *vm)
{
    FERRY_AUTO(stream) ferry_stream *st = NULL;
    FERRY_AUTO(slice) ferry_slice reply = {0};
    uint64_t before = ferry_conn_heard(vm->conn);
    ferry_scope s;

    FERRY_TRACE(api, "no sign of life: ping");
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, vm->heartbeat_ms);
    int r = ferry_stream_call(vm->conn, ferry_desc_ping.proc, NULL, &st);
    if (r == 0)
        r = ferry_stream_wait_reply(st, &reply);
    ferry_scope_join(&s);
    return r == -FERRY_ETIMEDOUT && ferry_conn_heard(vm->conn) != before ? 0 : r;
}

int ferry_heartbeat(void *arg)
{
    ferry_vm *vm = arg;
    if (vm->heartbeat_ms == UINT32_MAX)
        return 0;
    for (uint64_t heard = 0;;) {
        int r = ferry_sleep(vm->heartbeat_ms);
        if (r < 0)
            return r;
        uint64_t now = ferry_conn_heard(vm->conn);
        if (now == heard && somebody_waits(vm)) {
            r = ping(vm);
            if (r == -FERRY_ETIMEDOUT)
                ferry_vm_condemn(vm, "the appliance does not answer any more; launch a "
                                     "new one");
            if (r < 0)
                return r;
        }
        heard = ferry_conn_heard(vm->conn);
    }
}
