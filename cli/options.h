/* The command line: what all commands take, and how a command describes what is its own.
 * main.c parses; commands read the result, which does not change any more. */
#ifndef GFERRY_OPTIONS_H
#define GFERRY_OPTIONS_H

#include "progress.h"

#include <guestferry/vm.h>

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -m DEV[:MOUNTPOINT] */
struct mount_option {
    char *device, *mountpoint;
};

/* More -m than anybody has partitions. */
#define OPTIONS_MOUNTS_MAX 64

struct options {
    char **argv; /* as typed, for hints that repeat the command */
    int argc;
    const char *command;

    /* all commands */
    const char *format; /* NULL: by extension */
    struct mount_option mounts[OPTIONS_MOUNTS_MAX];
    size_t nmounts;
    bool ro, json, quiet, verbose;
    ferry_accel accel;
    const char *backend; /* NULL: direct */
    ferry_template_mode templates;
    const char *domain;  /* NULL: operands name an image */
    const char *connect; /* domain: the URI of its libvirt; NULL: libvirt's choice */
    bool force_running;  /* domain: write to one that runs */
    enum progress_mode progress;
    uint32_t timeout_ms; /* for the whole command; 0: none */

    /* single commands */
    bool recursive;         /* cp, rm: -r */
    bool archive;           /* cp: -a */
    bool keep_suid;         /* cp: --keep-suid */
    bool verify;            /* cp: --verify */
    bool keep_partial;      /* cp: --keep-partial, --resume */
    bool resume;            /* cp: --resume */
    uint64_t rate_max;      /* cp: --limit-rate, bytes a second; 0: none */
    bool all, detail;       /* ls: -a, -l */
    bool parents;           /* mkdir: -p */
    bool force;             /* rm, create: -f */
    const char *fs, *label; /* create */
    uint32_t mode; /* mkdir: -m has another meaning here, so --mode; 0: default */
};

struct command {
    const char *name;
    const char *synopsis;       /* operands and own options: "[-r] SRC... DST" */
    const char *summary;        /* one line, for the list of commands */
    const char *help;           /* what follows: description, own options, examples */
    const char *shorts;         /* own short options, as for getopt */
    const struct option *longs; /* own, ends with {0}; NULL: none */
    /* Takes an own option. 0, or a status when it has said what is wrong. */
    int (*option)(struct options *o, int c, const char *value);
    int min_operands, max_operands; /* max -1: any number */
    const char *missing;            /* what to call an operand that is missing */
    int (*run)(const struct options *o, char **operands, int n);
};

/* Parses options up to the command's name (command NULL) or all of a command's. Sets *ret_next
 * to the index of the first operand. Returns 0; a status when it has said what is wrong; or
 * OPTIONS_HELP, OPTIONS_VERSION. */
enum { OPTIONS_HELP = -1, OPTIONS_VERSION = -2 };
int options_parse(struct options *o, const struct command *command, int argc,
                  char **argv, int *ret_next);
void options_done(struct options *o);

/* The block of --help that all commands share. */
extern const char options_help[];

#endif
