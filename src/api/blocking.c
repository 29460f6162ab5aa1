/* The blocking layer: start, wait, result, free. It exists because most programs have nothing
 * else to do meanwhile; all the work is in the ops. */
#include "api/call.h"

#include <guestferry/template.h>
#include <guestferry/transfer.h>
#include <guestferry/tree.h>

int ferry_op_await(ferry_op *op, ferry_error *reterr)
{
    int r;
    do
        r = ferry_op_wait(op, -1);
    while (r == -FERRY_EINTR);
    if (r == -FERRY_ESTATE) {
        ferry_op_cancel(op);
        return ferry_fail(reterr, r, op->name,
                          "a blocking call would stop the loop it waits for: use "
                          "ferry_%s_start() on a borrowed loop",
                          op->name);
    }
    return ferry_op_error(op, reterr);
}

/* `r` is what _start returned. */
static int finish(int r, ferry_op *op, ferry_error *reterr)
{
    if (r == 0)
        r = ferry_op_await(op, reterr);
    ferry_op_free(op);
    return r;
}

int ferry_launch(ferry_vm *vm, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_launch_start(vm, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_template_build(ferry_vm *vm, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_template_build_start(vm, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_shutdown(ferry_vm *vm, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_shutdown_start(vm, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_add_domain(ferry_vm *vm, const char *name, const ferry_domain_opts *opts,
                     ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_add_domain_start(vm, name, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_check_libvirt(ferry_vm *vm, const char *uri, ferry_libvirt_info *ret_info,
                        ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_check_libvirt_start(vm, uri, &op, reterr);
    if (r == 0)
        r = ferry_op_await(op, reterr);
    if (r == 0)
        r = ferry_check_libvirt_result(op, ret_info, reterr);
    ferry_op_free(op);
    return r;
}

static int finish_plug(int r, ferry_op *op, char **ret_device, ferry_error *reterr)
{
    if (r == 0)
        r = ferry_op_await(op, reterr);
    if (r == 0)
        r = ferry_plug_drive_result(op, ret_device, reterr);
    ferry_op_free(op);
    return r;
}

int ferry_plug_drive(ferry_vm *vm, const char *path, const ferry_drive_opts *opts,
                     char **ret_device, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_plug_drive_start(vm, path, opts, &op, reterr);
    return finish_plug(r, op, ret_device, reterr);
}

int ferry_plug_scratch(ferry_vm *vm, uint64_t bytes, const char *label,
                       char **ret_device, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_plug_scratch_start(vm, bytes, label, &op, reterr);
    return finish_plug(r, op, ret_device, reterr);
}

int ferry_remove_drive(ferry_vm *vm, const char *device, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_remove_drive_start(vm, device, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_upload(ferry_vm *vm, const char *src, const char *dst,
                 const ferry_upload_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_upload_start(vm, src, dst, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_upload_fd(ferry_vm *vm, int fd, const char *dst,
                    const ferry_upload_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_upload_fd_start(vm, fd, dst, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_upload_mem(ferry_vm *vm, const void *data, size_t len, const char *dst,
                     const ferry_upload_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_upload_mem_start(vm, data, len, dst, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_download(ferry_vm *vm, const char *src, const char *dst,
                   const ferry_download_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_download_start(vm, src, dst, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_download_fd(ferry_vm *vm, const char *src, int fd,
                      const ferry_download_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_download_fd_start(vm, src, fd, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_download_mem(ferry_vm *vm, const char *src, const ferry_download_opts *opts,
                       void **ret_data, size_t *ret_len, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_download_mem_start(vm, src, opts, &op, reterr);
    if (r == 0)
        r = ferry_op_await(op, reterr);
    if (r == 0)
        r = ferry_download_mem_result(op, ret_data, ret_len, reterr);
    ferry_op_free(op);
    return r;
}

int ferry_copy_in(ferry_vm *vm, const char *localpath, const char *remotedir,
                  const ferry_copy_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_copy_in_start(vm, localpath, remotedir, opts, &op, reterr);
    return finish(r, op, reterr);
}

int ferry_copy_out(ferry_vm *vm, const char *remotepath, const char *localdir,
                   const ferry_copy_opts *opts, ferry_error *reterr)
{
    ferry_op *op = NULL;
    int r = ferry_copy_out_start(vm, remotepath, localdir, opts, &op, reterr);
    return finish(r, op, reterr);
}
