/* options.h: parses the words after a command's name by the command's option table. */
#ifndef LMR_CLI_OPTIONS_H
#define LMR_CLI_OPTIONS_H

#include "cli/table.h"

/* Forms understood: --name VALUE, --name=VALUE, -o VALUE, -oVALUE, flags together (-nq), "-" as
 * a word, "--" as the end of options. The last of several values wins (but for settings). `argv`
 * is what follows the command's name. On ST_USAGE `e` says which option, what is wrong and what
 * to do. The request is ready for request_free in any case. */
enum status options_parse(const struct command *command, int argc, char *const *argv,
                          struct request *request, struct err *e);
void request_free(struct request *request);

/* "--output, -o" → the option of that word, or NULL: for specs of the tables and for "is this a
 * forgotten value?". */
const struct option *option_find(const struct option *options, const char *name, size_t length);

#endif
