/* cli.h: the cli room's door: from the words of a command line to an exit code.
 *
 * Every command is one row of the command table (table.h), whose options are rows of its option
 * table; parsing, help, the man page and the shell's completion all come from these tables. */
#ifndef LMR_CLI_CLI_H
#define LMR_CLI_CLI_H

/* Exit codes (design: "Command line"). */
enum { EXIT_COMPLETE = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 2 };

/* Carries out the command that argv names; returns the exit code. Messages go to standard error. */
int cli_main(int argc, char **argv);

#endif
