/* ^C that works: the handler cancels whatever the VM is doing, be it the launch or the last
 * byte, and the program ends in good order.
 *
 *     cancel_on_sigint disk.qcow2 big.iso /root/big.iso
 *
 * Exit code: 0 done; 130 cancelled, the image as it was; 1 failed.
 *
 * Two things make it simple. ferry_vm_cancel_all() may be called from a signal handler. And
 * no signal is delivered to the library's own thread, so the handler always runs here. */
#include <guestferry.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic(ferry_vm *) the_vm;
static volatile sig_atomic_t interrupted;

static void on_sigint(int signo)
{
    (void)signo;
    interrupted = 1;
    ferry_vm *vm = atomic_load(&the_vm);
    if (vm)
        ferry_vm_cancel_all(vm);
}

/* One step of the work. cancel_all() reaches what runs when the signal comes; the flag catches
 * a signal between two steps. */
#define STEP(call) (!interrupted && (call) == 0)

static int ferry_one_file(ferry_vm *vm, char **argv, ferry_error *e)
{
    return STEP(ferry_add_drive(vm, argv[1], NULL, e)) && STEP(ferry_launch(vm, e)) &&
           STEP(ferry_mount(vm, "/dev/sda1", "/", e)) &&
           STEP(ferry_upload(vm, argv[2], argv[3], NULL, e));
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s IMAGE FILE PATH-IN-IMAGE\n", argv[0]);
        return 2;
    }
    ferry_ctx *ctx = NULL;
    ferry_vm *vm = NULL;
    ferry_error e = {0};
    struct sigaction sa = {.sa_handler = on_sigint};
    sigaction(SIGINT, &sa, NULL);

    int done = 0, closed = 0;
    if (ferry_ctx_new(&ctx, &e) == 0 && ferry_vm_new(ctx, NULL, &vm, &e) == 0) {
        atomic_store(&the_vm, vm);
        done = ferry_one_file(vm, argv, &e);
        /* From here on ^C waits: the image is being unmounted. */
        atomic_store(&the_vm, NULL);
        if (ferry_vm_get_state(vm) == FERRY_VM_UP)
            closed = ferry_shutdown(vm, done ? &e : NULL) == 0;
    }
    if (interrupted)
        fprintf(stderr, "cancelled\n");
    else if (!done || !closed)
        fprintf(stderr, "%s: %s\n", argv[0], e.msg);

    ferry_vm_free(vm);
    ferry_ctx_free(ctx);
    return interrupted ? 130 : done && closed ? 0 : 1;
}
