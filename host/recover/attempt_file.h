/* attempt_file.h: whose a file is, by its name: "2.7-map_3.1s.run" was written by the backup 1 of 2.7:map_3. */
#ifndef LMR_RECOVER_ATTEMPT_FILE_H
#define LMR_RECOVER_ATTEMPT_FILE_H

#include "recover/journal.h"

struct attempt_file {
    char task[JOURNAL_TASK_MAX]; /* as the journal has it */
    size_t length;               /* of the attempt's name, in the file's */
    uint32_t attempt;
    bool speculative;
};

/* False: it is no attempt's. */
bool attempt_file_read(const char *name, struct attempt_file *out);

#endif
