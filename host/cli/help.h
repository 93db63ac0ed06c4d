/* help.h: what the tables and topics look like: on a terminal, as a man page, as a completion
 * script. */
#ifndef LMR_CLI_HELP_H
#define LMR_CLI_HELP_H

#include "cli/print.h"
#include "cli/table.h"

/* The list of commands and topics, to a descriptor. Returns the exit code. */
int help_print_overview(int fd);
/* Help on one command, to standard output. Returns the exit code. */
int help_print_command(const struct command *command);

/* "-o, --output DIR" */
enum { OPTION_HEAD_MAX = 80 };
void help_option_head(const struct option *option, char out[OPTION_HEAD_MAX]);

/* The man page, in roff. */
void manual_write(struct text *t);
/* A completion script for bash. */
void completion_write(struct text *t);

#endif
