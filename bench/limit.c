/* The limit: what the guest itself can do with its disk, with the system calls that `dd` makes. It
 * is /init of an appliance that is otherwise the usual one (bench/limit.py), so it has the same
 * qemu, kernel, disk and file system as what it is the limit of:
 *
 *      /init (this) --fork--> child: waits for /sysroot/limit.do, does what it says, and
 *            `--exec--> /ferryd          leaves its seconds in /sysroot/limit.done
 *
 * limit.do is one line: WRITE|FLUSH|READ PATH MIB. WRITE: a new file, preallocated, O_DIRECT, from
 * memory; FLUSH: and fsync; READ: O_DIRECT into memory. From memory and not from /dev/zero, as dd
 * would: clearing pages is slow under TCG, and no part of a transfer. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define ASK "/sysroot/limit.do"
#define ANSWER "/sysroot/limit.done"
#define REQUEST (2 << 20) /* as large as a slot of the lane */
#define LOOK_MS 20

struct work {
    char kind[8], path[256];
    int mib;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int move(int fd, const struct work *w, char *memory)
{
    int reads = strcmp(w->kind, "READ") == 0;
    off_t end = (off_t)w->mib << 20;
    if (!reads)
        (void)!fallocate(fd, 0, 0, end); /* vfat and others cannot */
    for (off_t at = 0; at < end;) {
        size_t want = end - at < REQUEST ? (size_t)(end - at) : REQUEST;
        ssize_t n = reads ? pread(fd, memory, want, at) : pwrite(fd, memory, want, at);
        if (n <= 0)
            return -1;
        at += n;
    }
    return strcmp(w->kind, "FLUSH") == 0 ? fsync(fd) : 0;
}

/* No zeroes: qemu makes holes of them (detect-zeroes), and writes nothing. */
static void fill(char *memory)
{
    for (size_t done = 0; done < REQUEST;) {
        ssize_t n = getrandom(memory + done, REQUEST - done, 0);
        done += n > 0 ? (size_t)n : 0;
    }
}

/* Seconds, or -1. */
static double measure(const struct work *w)
{
    int flags = strcmp(w->kind, "READ") == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
    char *memory = mmap(NULL, REQUEST, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    fill(memory);

    double start = now();
    int fd = open(w->path, flags | O_DIRECT | O_CLOEXEC, 0600);
    int r = fd < 0 ? -1 : move(fd, w, memory);
    double took = now() - start;
    close(fd);
    munmap(memory, REQUEST);
    return r < 0 ? -1 : took;
}

/* False: nobody asks for anything yet. */
static int asked(struct work *ret)
{
    FILE *f = fopen(ASK, "re");
    if (!f)
        return 0;
    int n = fscanf(f, "%7s %255s %d", ret->kind, ret->path, &ret->mib);
    fclose(f);
    unlink(ASK);
    return n == 3;
}

/* Whoever looks sees all of it or nothing. */
static void answer(double took)
{
    FILE *f = fopen(ANSWER ".new", "we");
    if (!f)
        return;
    fprintf(f, "%.6f\n", took);
    fclose(f);
    rename(ANSWER ".new", ANSWER);
}

static _Noreturn void serve(void)
{
    const struct timespec pause = {0, LOOK_MS * 1000000L};
    struct work w;
    for (;; nanosleep(&pause, NULL))
        if (asked(&w))
            answer(measure(&w));
}

int main(int argc, char **argv)
{
    (void)argc;
    if (fork() == 0)
        serve();
    execv("/ferryd", argv);
    return 1;
}
