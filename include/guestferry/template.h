/* guestferry/template.h - launches in a blink.
 *
 * A template is an appliance that has booted and has never seen a drive, kept on disk: its memory,
 * which launches map copy-on-write, and the state of its devices. A launch that goes on
 * from one takes a fraction of the time of a boot, and VMs of one template share the pages that
 * they have not changed. Each gets a clock, randomness and a boot id of its own before its
 * first call.
 *
 *      ferry_vm_opts.templates    use them or not (vm.h)
 *      ferry_template_build()     makes the one that fits a VM's options
 *
 * They are in the user's cache ($XDG_CACHE_HOME/guestferry/templates, or below ~/.cache), about 60 MB
 * each; one for every combination of qemu, appliance, library, accelerator, memory and CPUs
 * that was asked for, the newest four. Before one is loaded it is compared with the digest
 * that was taken when it was made; one that is damaged, another user's or of something else is never
 * loaded: the launch is a cold boot, with a warning (ferry_ctx_on_warning()).
 */
#ifndef GUESTFERRY_TEMPLATE_H
#define GUESTFERRY_TEMPLATE_H

#include <guestferry/op.h>
#include <guestferry/vm.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Boots an appliance without drives, as this VM's options say, and keeps it as the template for
 * launches with the same options. The VM itself is not touched, whatever its state. Where
 * there is one already, and it is whole, there is nothing to do: FERRY_EEXIST.
 * Errors: FERRY_EEXIST; FERRY_EBUSY (another process is making it); FERRY_ENOSPC, FERRY_EROFS and others
 * when the cache cannot keep it; as ferry_launch(). Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_template_build_start(ferry_vm *vm, ferry_op **ret_op,
                                            ferry_error *reterr);
FERRY_EXPORT int ferry_template_build(ferry_vm *vm, ferry_error *reterr);

/* One template, for a person. */
typedef struct ferry_template_info {
    char name[40];       /* of its directory */
    int64_t made;        /* seconds since 1970 */
    uint64_t disk_bytes; /* that it takes */
    char what[96];       /* "tcg, 512 MiB, 1 CPU"; "" if that cannot be told */
    uint64_t reserved[4];
} ferry_template_info;

/* What there is, *ret_len of them; *ret_list is the caller's (free). Reads files, blocks briefly.
 * Errors: FERRY_ENOMEM. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_template_list(ferry_template_info **ret_list, size_t *ret_len,
                                     ferry_error *reterr);

/* Removes all templates. VMs that run are not disturbed. ret_removed may be NULL.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_templates_clear(size_t *ret_removed, ferry_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
