/* table_rows.h: rows that several option tables have, for table.c and table_keep.c. */
#ifndef LMR_CLI_TABLE_ROWS_H
#define LMR_CLI_TABLE_ROWS_H

#include "cli/table.h"

#define FIELD(name) offsetof(struct request, name)

#define HELP_OPTION                                                                                \
    { .name = "help", .letter = 'h', .kind = OPTION_FLAG, .field = FIELD(help),             \
      .help = "print help on this command" }

/* Where a command that reads looks for jobs. */
#define STATE_DIR_OPTION                                                                           \
    { .name = "state-dir", .kind = OPTION_TEXT, .value = "DIR", .field = FIELD(run.state_dir),     \
      .example = "/var/tmp/lmr",                                                                   \
      .help = "look for jobs in DIR (default: $LMR_STATE_DIR, else $XDG_STATE_HOME/lmr, else "     \
              "~/.local/state/lmr)" }

#endif
