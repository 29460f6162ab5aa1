/* Takes the place of syscall(2) in our objects (the linker's --wrap) and knows no pidfds, as
 * on an old kernel, under valgrind 3.19 and in some sandboxes. */
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    if (number == SYS_pidfd_open || number == SYS_pidfd_send_signal) {
        errno = ENOSYS;
        return -1;
    }
    va_list ap;
    va_start(ap, number);
    long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long);
    va_end(ap);
    return __real_syscall(number, a, b, c);
}
