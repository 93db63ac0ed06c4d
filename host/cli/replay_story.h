/* replay_story.h: what `lmr replay` tells of what it ran, for a reader or as JSON. Each function
 * prints and returns the exit code: 0 when all holds, 1 when something fails, 2 when the job does
 * not load, 128 + the signal that stopped it. */
#ifndef LMR_CLI_REPLAY_STORY_H
#define LMR_CLI_REPLAY_STORY_H

#include "cli/print.h"
#include "cli/replay.h"

/* "record" or "group": what an assignment's task is about; how many of them a result tells of. */
const char *story_unit(struct slice assignment);
int64_t story_units(struct slice result);

/* Before a whole attempt: what it had failed of, from its row of the journal. */
void story_begin_attempt(const char *name, struct slice row);
int story_attempt(const struct replay_end *end);
int story_attempt_json(const char *job, const char *name, const struct replay_end *end);

/* One record or group, tried alone. */
int story_record(struct slice assignment, const struct replay_record *record,
                 const struct replay_end *end);
int story_record_json(const char *job, const char *name, struct slice assignment,
                      const struct replay_record *record, const struct replay_end *end);

/* All that a job put aside, task by task. */
struct story {
    const char *job;
    bool json;
    struct text text;
    uint64_t held, failed, untried;
    const char *unit; /* of all of them, or "record" where there are both */
};

void story_open(struct story *s, const char *job, bool json);
void story_add_task(struct story *s, const char *task, struct slice assignment,
                    const struct replay_record *records, size_t count);
/* Prints the end, and frees. `mended`: they were tried with another job file. */
int story_end(struct story *s, const struct replay_end *end, bool mended);

#endif
