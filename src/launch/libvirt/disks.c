/* Reading a domain's disks; see disks.h. The XML comes from libvirtd, which may be on
 * another host: no entities, no network, no nesting beyond libxml2's bounds. */
#include "launch/libvirt/disks.h"

#include <errno.h>
#include <libxml/parser.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

/* The first child of that name; NULL: none, or no parent. */
static xmlNode *child(const xmlNode *n, const char *name)
{
    for (xmlNode *c = n ? n->children : NULL; c; c = c->next)
        if (is(c, name))
            return c;
    return NULL;
}

/* An attribute as JSON; `otherwise` if it is not there. */
static json_t *attr(const xmlNode *n, const char *name, const char *otherwise)
{
    xmlChar *value = n ? xmlGetNoNsProp(n, (const xmlChar *)name) : NULL;
    json_t *j = value       ? json_string((const char *)value)
                : otherwise ? json_string(otherwise)
                            : json_null();
    xmlFree(value);
    return j;
}

static bool attr_is(const xmlNode *n, const char *name, const char *want)
{
    json_t *j = attr(n, name, "");
    bool same = j && strcmp(json_string_value(j) ? json_string_value(j) : "", want) == 0;
    json_decref(j);
    return same;
}

/* Why this disk is not one we can open; NULL: it is. */
static const char *why_not(const xmlNode *disk, const xmlNode *source)
{
    if (attr_is(disk, "type", "network"))
        return "is a network disk";
    if (attr_is(disk, "type", "volume"))
        return "is a volume of a storage pool";
    if (!attr_is(disk, "type", "file") && !attr_is(disk, "type", "block"))
        return "is of a type that is not supported";
    if (child(disk, "encryption") || child(source, "encryption"))
        return "is encrypted by qemu";
    if (child(source, "slices"))
        return "is a slice of a file";
    return source ? NULL : "has no medium";
}

static json_t *describe(const xmlNode *disk)
{
    const xmlNode *source = child(disk, "source");
    const char *why = why_not(disk, source);
    const char *path = attr_is(disk, "type", "block") ? "dev" : "file";
    json_t *j = json_object();
    int r = json_object_set_new(j, "target", attr(child(disk, "target"), "dev", "?"));
    if (r == 0)
        r = json_object_set_new(j, "path", attr(source, path, NULL));
    if (r == 0) /* libvirt's default; it does not look into images either */
        r = json_object_set_new(j, "format", attr(child(disk, "driver"), "type", "raw"));
    if (r == 0)
        r = json_object_set_new(j, "readonly", json_boolean(child(disk, "readonly")));
    if (r == 0 && why)
        r = json_object_set_new(j, "why", json_string(why));
    if (r < 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

int ferry_domain_disks(const char *xml, json_t *list)
{
    xmlDoc *doc =
        xmlReadMemory(xml, (int)strlen(xml), "domain.xml", NULL,
                      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!root || !is(root, "domain")) {
        xmlFreeDoc(doc);
        return -EINVAL;
    }
    int r = 0;
    xmlNode *devices = child(root, "devices");
    for (xmlNode *n = devices ? devices->children : NULL; n && r == 0; n = n->next) {
        if (!is(n, "disk") || attr_is(n, "device", "cdrom") ||
            attr_is(n, "device", "floppy"))
            continue;
        json_t *disk = describe(n);
        r = disk && json_array_append_new(list, disk) == 0 ? 0 : -ENOMEM;
    }
    xmlFreeDoc(doc);
    return r;
}
