/* cli.h: the cli room's door: from the words of a command line to an exit code.
 *
 * Every command is one row of the command table (table.h), whose options are rows of its option
 * table; parsing, help, the man page and the shell's completion all come from these tables. */
#ifndef LMR_CLI_CLI_H
#define LMR_CLI_CLI_H

#include "schedule/job.h" /* exit codes */

/* Carries out the command that argv names; returns the exit code. Messages go to standard error. */
int cli_main(int argc, char **argv);

#endif
