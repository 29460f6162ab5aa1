/* What a template is of; see attempt.h and template.h. */
#include "base/auto.h"
#include "launch/attempt.h"
#include "launch/cache.h"
#include "launch/ticks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

int ferry_template_source_init(ferry_template_source *s, const ferry_machine *m)
{
    ferry_argv_in in = ferry_attempt_argv(m);
    in.ram = FERRY_RAM_SHARED;
    in.ticks_khz = 0; /* never twice exactly the same */
    in.drives = NULL;
    in.ndrives = 0;
    *s = (ferry_template_source){
        .kvm = m->accel == FERRY_ACCEL_KVM,
        .ticks_khz = m->found.ticks_khz,
    };
    s->qemu = strdup(m->found.qemu);
    s->build = strdup(m->spec.build ? m->spec.build : "");
    int r = ferry_argv_build(&in, &s->argv);
    if (r == 0)
        r = ferry_appliance_copy(&m->found.appliance, &s->appliance);
    if (r == 0 && (!s->qemu || !s->build))
        r = -ENOMEM;
    if (r < 0)
        ferry_template_source_done(s);
    return r;
}

void ferry_template_source_done(ferry_template_source *s)
{
    ferry_appliance_done(&s->appliance);
    ferry_auto_strv(&s->argv);
    free(s->qemu);
    free(s->build);
    *s = (ferry_template_source){0};
}

struct text {
    char *buf; /* of FERRY_TEMPLATE_KEY */
    size_t len;
    int r;
};

static void add(struct text *t, const char *name, const char *value)
{
    int n =
        snprintf(t->buf + t->len, FERRY_TEMPLATE_KEY - t->len, "%s %s\n", name, value);
    if (n < 0 || t->len + (size_t)n >= FERRY_TEMPLATE_KEY)
        t->r = -FERRY_ENAMETOOLONG;
    else
        t->len += (size_t)n;
}

static void add_file(struct text *t, const char *name, const char *path)
{
    char id[FERRY_FILE_ID];
    if (!ferry_file_id(path, id))
        t->r = -FERRY_ENOENT;
    else
        add(t, name, id);
}

/* A guest on kvm has the host's CPU, and a directory of the user's may be seen by several
 * hosts: model, stepping, microcode and flags of the first CPU. */
static void add_host(struct text *t)
{
    struct utsname u;
    char line[4096];
    if (uname(&u) == 0)
        add(t, "host", u.release);
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f) && line[0] != '\n') {
        line[strcspn(line, "\n")] = '\0';
        if (!strstr(line, "MHz"))
            add(t, "cpu", line);
    }
    if (f)
        fclose(f);
}

/* The guest goes on counting at the speed it was told. */
static void add_ticks(struct text *t, uint32_t khz)
{
    char class[16];
    snprintf(class, sizeof class, "%" PRIu32, ferry_ticks_class(khz));
    add(t, "ticks", class);
}

int ferry_template_key(const ferry_template_source *s, char key[FERRY_TEMPLATE_KEY])
{
    struct text t = {.buf = key};
    key[0] = '\0';
    add(&t, "library", s->build);
    add_file(&t, "qemu", s->qemu);
    add_file(&t, "kernel", s->appliance.kernel);
    add_file(&t, "initramfs", s->appliance.initramfs);
    add_file(&t, "usr", s->appliance.usr);
    if (s->appliance.bios)
        add_file(&t, "bios", s->appliance.bios);
    for (char **arg = s->argv; *arg; arg++)
        add(&t, "arg", *arg);
    if (s->kvm)
        add_host(&t);
    else
        add_ticks(&t, s->ticks_khz);
    return t.r;
}
