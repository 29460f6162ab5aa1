/* gferry: the entry. Finds the command, parses its options, shows help, and turns what
 * the command returns into the exit code. Knows nothing of images and appliances. */
#include "command.h"
#include "say.h"
#include "screen.h"
#include "signals.h"

#include <guestferry/version.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &cp_command,   &ls_command,   &cat_command,    &mkdir_command,  &rm_command,
    &stat_command, &info_command, &create_command, &doctor_command, &template_command,
};
#define NCOMMANDS (sizeof commands / sizeof *commands)

static const char about[] = "usage: gferry COMMAND [OPTION]... [OPERAND]...\n"
                            "\n"
                            "Moves files in and out of virtual machine disk images. A "
                            "file in an image is written\n"
                            "IMAGE:PATH, with an absolute path: disk.qcow2:/etc/hosts\n"
                            "\n"
                            "Commands:\n";

static const char examples[] =
    "\n"
    "Examples:\n"
    "  gferry create disk.qcow2 10G --fs ext4      a new image with a file system\n"
    "  gferry cp big.iso disk.qcow2:/root/         a file into it; ^C at any time\n"
    "  gferry cp disk.qcow2:/var/log/messages .    and one out of it\n"
    "  gferry ls -l disk.qcow2:/root\n"
    "\n"
    "'gferry COMMAND --help' has a page on each command. Exit codes: 0 done and "
    "flushed\n"
    "to the image, 1 failure, 2 usage, 3 partly done, 4 not found in the image, 5 the\n"
    "appliance did not start, 130 cancelled by ^C (143, 129: SIGTERM, SIGHUP).\n";

static void print_help(void)
{
    fputs(about, stdout);
    for (size_t i = 0; i < NCOMMANDS; i++)
        printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n%s%s", options_help, examples);
}

static void print_command_help(const struct command *c)
{
    printf("usage: gferry %s [OPTION]... %s\n\n%s\n%s", c->name, c->synopsis, c->help,
           options_help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int print_version(void)
{
    printf("gferry %s\n", FERRY_VERSION);
    if (strcmp(FERRY_VERSION, ferry_version()) != 0)
        printf("libguestferry %s\n", ferry_version());
    return STATUS_OK;
}

/* `gferry help cp` is what people type who know git. */
static int run_help(int argc, char **argv)
{
    const struct command *c = argc > 1 ? find_command(argv[1]) : NULL;
    if (argc > 1 && !c)
        return say_usage("unknown command '%s'", argv[1]);
    if (c)
        print_command_help(c);
    else
        print_help();
    return STATUS_OK;
}

static int run_command(struct options *o, const struct command *c, int argc, char **argv)
{
    int next;
    say_command(c->name);
    int r = options_parse(o, c, argc, argv, &next);
    if (r == OPTIONS_HELP) {
        print_command_help(c);
        return STATUS_OK;
    }
    if (r == OPTIONS_VERSION)
        return print_version();
    if (r != 0)
        return r;

    int n = argc - next;
    if (n < c->min_operands)
        return say_usage("%s is missing", c->missing);
    if (c->max_operands >= 0 && n > c->max_operands)
        return say_usage("'%s' is one operand too many", argv[next + c->max_operands]);

    o->command = c->name;
    if (o->quiet)
        o->progress = PROGRESS_NONE;
    say_quiet(o->quiet);
    return c->run(o, argv + next, n);
}

static int dispatch(struct options *o, int argc, char **argv)
{
    int next;
    int r = options_parse(o, NULL, argc, argv, &next);
    if (r == OPTIONS_HELP) {
        print_help();
        return STATUS_OK;
    }
    if (r == OPTIONS_VERSION)
        return print_version();
    if (r != 0)
        return r;
    if (next == argc)
        return say_usage("a command is missing");

    if (!strcmp(argv[next], "help"))
        return run_help(argc - next, argv + next);
    const struct command *c = find_command(argv[next]);
    if (!c)
        return say_usage("unknown command '%s'", argv[next]);
    return run_command(o, c, argc - next, argv + next);
}

/* What was printed must have got out: a full disk is an error, a reader that left is not
 * worth a word. */
static int flush_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno == EPIPE)
        return status == STATUS_OK ? STATUS_BROKEN_PIPE : status;
    if (status != STATUS_BROKEN_PIPE)
        say_errno("standard output", errno);
    return status == STATUS_OK ? STATUS_FAILED : status;
}

int main(int argc, char **argv)
{
    screen_init();
    int r = signals_init();
    if (r < 0) {
        say_errno("signals", r);
        return STATUS_FAILED;
    }

    struct options o = {.argv = argv, .argc = argc};
    int status = flush_output(dispatch(&o, argc, argv));
    options_done(&o);
    int signo = signals_caught();
    return signo ? 128 + signo : status;
}
