/* Running a helper program (qemu-img, qemu --version) to its end: in a session of its own, so
 * that ^C at the terminal is ours to handle; its output caught; killed when we are told to
 * stop. */
#ifndef GFERRY_PROGRAM_H
#define GFERRY_PROGRAM_H

/* As much of a program's output as is worth keeping. */
#define PROGRAM_OUTPUT 1024

/* Runs argv (argv[0] is looked up in PATH). Returns its exit code; 128 + n if signal n killed
 * it; -errno if it could not be run; -ECANCELED after ^C. output: what it wrote to stdout and
 * stderr, cut at PROGRAM_OUTPUT - 1, without the last newline; always set. */
int program_run(const char *const *argv, char output[PROGRAM_OUTPUT]);

#endif
