/* A file into a disk image, in the plainest way: one call after the other, each waits.
 *
 *     blocking disk.qcow2 hello.txt /root/hello.txt
 *
 * The image must hold one partition with a file system (`gferry create disk.qcow2 1G --fs
 * ext4` makes such a one). Exit code: 0, or 1 with a line on stderr. */
#include <guestferry.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s IMAGE FILE PATH-IN-IMAGE\n", argv[0]);
        return 2;
    }

    ferry_ctx *ctx = NULL; /* a loop, on a thread of its own */
    ferry_vm *vm = NULL;   /* one appliance: a qemu with the image in it */
    ferry_error e = {0};   /* filled by the call that fails */

    /* Every call returns 0 or a negative code, so they chain. The shutdown is part of the
     * work: before it the file may still be in the appliance's memory. */
    int bad = ferry_ctx_new(&ctx, &e) < 0 || ferry_vm_new(ctx, NULL, &vm, &e) < 0 ||
              ferry_add_drive(vm, argv[1], NULL, &e) < 0 || ferry_launch(vm, &e) < 0 ||
              ferry_mount(vm, "/dev/sda1", "/", &e) < 0 ||
              ferry_upload(vm, argv[2], argv[3], NULL, &e) < 0 ||
              ferry_shutdown(vm, &e) < 0;
    if (bad)
        fprintf(stderr, "%s: %s: %s\n", argv[0], e.where, e.msg);

    ferry_vm_free(vm); /* NULL is fine; a qemu that still runs is killed */
    ferry_ctx_free(ctx);
    return bad;
}
