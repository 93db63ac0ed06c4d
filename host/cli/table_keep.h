/* table_keep.h: options and help texts of the commands that look after jobs: checkpoints, checkpoint, stop,
 * verify, rm, clean. Rows of the table of commands (table.c), apart only for their length. */
#ifndef LMR_CLI_TABLE_KEEP_H
#define LMR_CLI_TABLE_KEEP_H

#include "cli/table.h"

extern const struct option checkpoints_options[], ask_options[], verify_options[], rm_options[],
    clean_options[];
extern const char checkpoints_text[], checkpoint_text[], stop_text[], verify_text[], rm_text[],
    clean_text[];

#endif
