/* Files, tools and processes of the host: see host.h. */
#include "harness/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX (64 * 1024)

/* ---- scratch -------------------------------------------------------------------- */

static char directory[PATH_MAX - NAME_MAX];

void scratch_make(void)
{
    const char *build = getenv("FERRY_BUILD_DIR");
    umask(022); /* modes are compared; whoever started us may have another */
    snprintf(directory, sizeof directory, "%s/ferry-e2e-XXXXXX",
             build ? build : "/var/tmp");
    if (!mkdtemp(directory))
        fail_msg("%s: %s", directory, strerror(errno));
}

/* Every path that was asked for, until the end. */
static struct path {
    struct path *next;
    char name[];
} * paths;

void scratch_remove(void)
{
    if (directory[0])
        host("rm -rf '%s'", directory);
    directory[0] = '\0';
    while (paths) {
        struct path *p = paths;
        paths = p->next;
        free(p);
    }
}

int scratch_setup(void **state)
{
    (void)state;
    scratch_make();
    return 0;
}

int scratch_teardown(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

const char *scratch(const char *fmt, ...)
{
    char name[NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);

    size_t size = strlen(directory) + strlen(name) + 2;
    struct path *p = malloc(sizeof *p + size);
    assert_non_null(p);
    snprintf(p->name, size, "%s/%s", directory, name);
    p->next = paths;
    paths = p;
    return p->name;
}

/* ---- content -------------------------------------------------------------------- */

/* splitmix64 over the position: any part can be made without what is before it. */
static uint64_t word_at(uint64_t index, unsigned seed)
{
    uint64_t z = (index + ((uint64_t)seed << 40)) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void fill(void *data, size_t len, unsigned seed)
{
    uint8_t *p = data;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t w = word_at(i / 8, seed);
        memcpy(p + i, &w, len - i < 8 ? len - i : 8);
    }
}

void *filled(size_t len, unsigned seed)
{
    void *data = malloc(len ? len : 1);
    assert_non_null(data);
    fill(data, len, seed);
    return data;
}

static int open_file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return fd;
}

void put_bytes(const char *path, uint64_t offset, size_t len, unsigned seed)
{
    int fd = open_file(path, O_RDWR | O_CREAT);
    char *data = filled(len, seed);
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, data + done, len - done, (off_t)(offset + done));
        if (n <= 0)
            fail_msg("write %s: %s", path, strerror(errno));
        done += (size_t)n;
    }
    free(data);
    close(fd);
}

void make_file(const char *path, uint64_t len, unsigned seed)
{
    int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    close(fd);
    put_bytes(path, 0, (size_t)len, seed);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

uint64_t file_size(const char *path)
{
    return (uint64_t)stat_of(path).st_size;
}

uint64_t file_allocated(const char *path)
{
    return (uint64_t)stat_of(path).st_blocks * 512;
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i = 0;
    while (i < len && a[i] == b[i])
        i++;
    return i;
}

void assert_file_is(const char *path, const void *data, size_t len)
{
    if (file_size(path) != len)
        fail_msg("%s: %llu bytes, not %zu", path, (unsigned long long)file_size(path),
                 len);
    if (len == 0)
        return;
    int fd = open_file(path, O_RDONLY);
    uint8_t *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    if (memcmp(map, data, len) != 0) {
        size_t i = first_difference(map, data, len);
        fail_msg("%s: byte %zu of %zu is %02x, not %02x", path, i, len, map[i],
                 ((const uint8_t *)data)[i]);
    }
    munmap(map, len);
    close(fd);
}

void assert_same_file(const char *a, const char *b)
{
    const char *said;
    if (host_status(&said, "cmp '%s' '%s'", a, b) != 0)
        fail_msg("%s", said);
}

/* The next change between data and hole at or behind `at`. */
static off_t edge(int fd, off_t at, int whence, off_t end)
{
    off_t r = lseek(fd, at, whence);
    return r < 0 || r > end ? end : r;
}

void assert_same_holes(const char *a, const char *b)
{
    int fa = open_file(a, O_RDONLY), fb = open_file(b, O_RDONLY);
    off_t end = (off_t)file_size(a);
    assert_int_equal(end, file_size(b));
    for (off_t at = 0; at < end;) {
        off_t data_a = edge(fa, at, SEEK_DATA, end),
              data_b = edge(fb, at, SEEK_DATA, end);
        off_t hole_a = edge(fa, data_a, SEEK_HOLE, end);
        off_t hole_b = edge(fb, data_b, SEEK_HOLE, end);
        if (llabs(data_a - data_b) > 4096 || llabs(hole_a - hole_b) > 4096)
            fail_msg("data from %lld to %lld in %s, from %lld to %lld in %s",
                     (long long)data_a, (long long)hole_a, a, (long long)data_b,
                     (long long)hole_b, b);
        at = hole_a > hole_b ? hole_a : hole_b;
    }
    close(fa);
    close(fb);
}

/* ---- tools ---------------------------------------------------------------------- */

static int run(const char *command, const char **ret_output)
{
    static char output[OUTPUT_MAX];
    FILE *f = popen(command, "re");
    assert_non_null(f);
    size_t n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    char rest[4096];
    while (fread(rest, 1, sizeof rest, f) > 0)
        ;
    int status = pclose(f);
    *ret_output = output;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *command_line(const char *fmt, va_list ap)
{
    char *words = NULL, *command = NULL;
    assert_true(vasprintf(&words, fmt, ap) >= 0);
    assert_true(asprintf(&command, "{ %s\n} 2>&1 </dev/null", words) >= 0);
    free(words);
    return command;
}

int host_status(const char **ret_output, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *command = command_line(fmt, ap);
    va_end(ap);
    int status = run(command, ret_output);
    free(command);
    return status;
}

const char *host(const char *fmt, ...)
{
    va_list ap;
    const char *output;
    va_start(ap, fmt);
    char *command = command_line(fmt, ap);
    va_end(ap);
    int status = run(command, &output);
    if (status != 0)
        fail_msg("exit %d of %s:\n%s", status, command, output);
    free(command);
    return output;
}

void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

void skip_all(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "SKIPPED: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    scratch_remove();
    exit(77);
}

/* ---- what we have --------------------------------------------------------------- */

/* Is link one of the n before it? */
static bool is_known(char (*links)[64], int n, const char *link)
{
    for (int i = 0; i < n; i++)
        if (strcmp(links[i], link) == 0)
            return true;
    return false;
}

/* A connection gets its second descriptor of the same socket when it first has to
 * wait for room to write; that one is no leak, so a socket counts once. */
int count_fds(void)
{
    static char sockets[1024][64];
    int n = 0, nsockets = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char link[64] = "";
        if (e->d_name[0] == '.' ||
            readlinkat(dirfd(d), e->d_name, link, sizeof link - 1) < 0)
            continue;
        bool socket = strncmp(link, "socket:", 7) == 0;
        if (socket && is_known(sockets, nsockets, link))
            continue;
        if (socket && nsockets < 1024)
            strcpy(sockets[nsockets++], link);
        n++;
    }
    closedir(d);
    return n - 1; /* the directory itself */
}

static int children(pid_t parent, pid_t *ret_pid)
{
    DIR *d = opendir("/proc");
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[512] = "";
        int ppid = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        char *end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        fclose(f);
        if (end && sscanf(end, ") %*c %d", &ppid) == 1 && ppid == parent) {
            *ret_pid = atoi(e->d_name);
            n++;
        }
    }
    closedir(d);
    return n;
}

int count_children(pid_t *ret_pid)
{
    pid_t pid = 0;
    int n = children(getpid(), &pid);
    if (ret_pid)
        *ret_pid = pid;
    return n;
}

pid_t child_of(pid_t parent)
{
    pid_t pid = 0;
    children(parent, &pid);
    return pid;
}

const char *process_name(pid_t pid)
{
    static char name[64];
    char path[64];
    name[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fgets(name, sizeof name, f))
            name[strcspn(name, "\n")] = '\0';
        fclose(f);
    }
    return name;
}

/* The letter of a process or thread in /proc's stat: 'S' sleeps, 'T' is stopped; 0: gone. */
static char state_of(pid_t pid, pid_t tid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return '\0';
    char *end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    return end ? end[2] : '\0';
}

bool process_has_ended(void *pid)
{
    char state = state_of(*(pid_t *)pid, *(pid_t *)pid);
    return !state || state == 'Z' || state == 'X';
}

bool eventually(bool (*cond)(void *arg), void *arg)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    while (!cond(arg)) {
        if (now_ms() > end)
            return false;
        poll(NULL, 0, 2);
    }
    return true;
}

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- standing still ------------------------------------------------------------- */

static bool stands_still(void *arg)
{
    char path[64];
    pid_t pid = *(pid_t *)arg;
    bool all = true;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; all && (e = readdir(d));)
        if (e->d_name[0] != '.')
            all = state_of(pid, (pid_t)atoi(e->d_name)) == 'T';
    closedir(d);
    return all;
}

void stop_process(pid_t pid)
{
    assert_true(pid > 1); /* 0 would be all of us */
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_true(eventually(stands_still, &pid));
}

static struct {
    pthread_t thread, who;
    pid_t tid;
    int sig;
} waker;

static void *wake_when_asleep(void *arg)
{
    (void)arg;
    while (state_of(getpid(), waker.tid) != 'S')
        sched_yield();
    pthread_kill(waker.who, waker.sig);
    return NULL;
}

void signal_asleep(int sig)
{
    sigset_t all, before;
    waker.who = pthread_self();
    waker.tid = gettid();
    waker.sig = sig;
    sigfillset(&all); /* the waker's own signals would be ours */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(pthread_create(&waker.thread, NULL, wake_when_asleep, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void signalled_asleep(void)
{
    pthread_join(waker.thread, NULL);
}

/* ---- chance --------------------------------------------------------------------- */

unsigned from_env(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);
    return value ? (unsigned)strtoul(value, NULL, 0) : otherwise;
}

unsigned seed_for_chance(void)
{
    unsigned seed = from_env("FERRY_SEED", (unsigned)getpid());
    print_message("FERRY_SEED=%u\n", seed);
    return seed;
}
