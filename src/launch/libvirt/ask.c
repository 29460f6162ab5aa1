/* Questions to libvirt; see ask.h. A thread each: it may hang for as long as it likes, for
 * whoever asked has closed the other end. */
#include "launch/libvirt/ask.h"

#include "launch/libvirt/disks.h"
#include "launch/libvirt/events.h"

#include <errno.h>
#include <guestferry/error.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct question {
    char *uri, *domain;
    int fd;
};

static void free_question(struct question *q)
{
    close(q->fd);
    free(q->uri);
    free(q->domain);
    free(q);
}

static int code_of_error(void)
{
    virErrorPtr e = virGetLastError();
    switch (e ? e->code : 0) {
    case VIR_ERR_NO_DOMAIN: return -FERRY_ENOENT;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED: return -FERRY_EACCES;
    case VIR_ERR_SYSTEM_ERROR:
        return e->int1 == EACCES || e->int1 == EPERM ? -FERRY_EACCES : -FERRY_ELAUNCH;
    default: return -FERRY_ELAUNCH;
    }
}

static json_t *failure(void)
{
    return json_pack("{s:s, s:i}", "error", virGetLastErrorMessage(), "code",
                     code_of_error());
}

static json_t *no_connection(void)
{
    json_t *j = failure();
    if (json_integer_value(json_object_get(j, "code")) == -FERRY_ELAUNCH)
        json_object_set_new(j, "unreachable", json_true());
    return j;
}

/* By name, as `virsh` has it, or by UUID. */
static virDomainPtr look_up(virConnectPtr conn, const char *name)
{
    virDomainPtr domain = virDomainLookupByName(conn, name);
    if (!domain && strlen(name) == VIR_UUID_STRING_BUFLEN - 1)
        domain = virDomainLookupByUUIDString(conn, name);
    return domain;
}

static json_t *add_domain(json_t *answer, virConnectPtr conn, const char *name)
{
    virDomainPtr domain = look_up(conn, name);
    char *xml = domain ? virDomainGetXMLDesc(domain, 0) : NULL; /* live, if it runs */
    int active = xml ? virDomainIsActive(domain) : -1;
    json_t *disks = json_array();
    int r = active < 0 ? -1 : ferry_domain_disks(xml, disks);
    if (r < 0) {
        json_decref(answer);
        answer = active < 0 ? failure()
                            : json_pack("{s:s, s:i}", "error",
                                        "the domain's XML makes no sense", "code",
                                        -FERRY_EPROTO);
    } else {
        json_object_set_new(answer, "running", json_boolean(active));
        json_object_set(answer, "disks", disks);
    }
    json_decref(disks);
    free(xml);
    if (domain)
        virDomainFree(domain);
    return answer;
}

static json_t *answer(const struct question *q)
{
    virConnectPtr conn = virConnectOpenReadOnly(q->uri);
    unsigned long version = 0;
    char *uri = conn ? virConnectGetURI(conn) : NULL;
    json_t *j = NULL;
    if (uri && virConnectGetLibVersion(conn, &version) == 0)
        j = json_pack("{s:I, s:s}", "libvirt", (json_int_t)version, "uri", uri);
    else
        j = conn ? failure() : no_connection();
    if (uri && q->domain && json_object_get(j, "libvirt"))
        j = add_domain(j, conn, q->domain);
    free(uri);
    if (conn)
        virConnectClose(conn);
    return j;
}

static int send_some(const char *text, size_t len, void *data)
{
    const struct question *q = data;
    while (len > 0) {
        ssize_t n = send(q->fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static void *run_question(void *arg)
{
    struct question *q = arg;
    json_t *j = answer(q);
    if (j)
        json_dump_callback(j, send_some, q, JSON_COMPACT);
    json_decref(j);
    free_question(q);
    return NULL;
}

int ferry_ask_start(const char *uri, const char *domain, int fd)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q) {
        close(fd);
        return -ENOMEM;
    }
    q->fd = fd;
    q->uri = uri ? strdup(uri) : NULL;
    q->domain = domain ? strdup(domain) : NULL;
    int r = (uri && !q->uri) || (domain && !q->domain) ? -ENOMEM : ferry_events_start();
    if (r == 0)
        r = ferry_events_thread(run_question, q);
    if (r < 0)
        free_question(q);
    return r;
}
