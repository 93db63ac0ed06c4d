#include "cli/table_keep.h"

#include "cli/table_rows.h"

#define JSON_OPTION                                                                                \
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),                                   \
      .help = "print one line of JSON" }

#define JSON_LINES_OPTION                                                                          \
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),                                   \
      .help = "print a line of JSON for each job" }

#define DRY_RUN_OPTION                                                                             \
    { .name = "dry-run", .letter = 'n', .kind = OPTION_FLAG, .field = FIELD(run.dry_run),          \
      .help = "print what would be removed and how much that is, and remove nothing" }

const struct option checkpoints_options[] = {
    JSON_OPTION,
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

const struct option ask_options[] = {
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

const struct option verify_options[] = {
    JSON_OPTION,
    { .name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .field = FIELD(quiet),
      .help = "print nothing when all is whole, and no progress" },
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

const struct option rm_options[] = {
    DRY_RUN_OPTION,
    JSON_LINES_OPTION,
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

const struct option clean_options[] = {
    { .name = "older-than", .kind = OPTION_TEXT, .value = "TIME", .field = FIELD(older_than),
      .example = "7d",
      .help = "jobs that ended longer ago than TIME: a number with s, m, h or d behind it" },
    { .name = "all", .letter = 'a', .kind = OPTION_FLAG, .field = FIELD(all),
      .help = "also jobs that have failed, were stopped or lost their driver; lmr resume cannot go "
              "on with them any more" },
    DRY_RUN_OPTION,
    JSON_LINES_OPTION,
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

const char checkpoints_text[] =
    "Lists the checkpoints that are kept of a job: copies of its journal, from each of which the job "
    "can go on. They are made while it runs, in the interval that its profile sets, at the end of a phase, "
    "when it is stopped, and by lmr checkpoint; the profile says how many are kept, and where.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr checkpoints\n"
    "    lmr checkpoints word_count-3 --json | jq .checkpoints\n"
    "    lmr resume word_count-3 --from 7\n";

const char checkpoint_text[] =
    "Has the driver of a running job make a checkpoint now, and prints its number and file. The job "
    "goes on meanwhile.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr checkpoint word_count\n";

const char stop_text[] =
    "Stops a running job: nothing more is handed out, what runs is put down as far as it has come, a "
    "checkpoint is made, and the job ends with exit code 75. Returns when its driver has gone. lmr resume "
    "goes on with it, on this machine or on another one that sees the same folders.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr stop word_count-3\n";

const char verify_text[] =
    "Reads all that is kept of a job and tells whether it is whole: the journal; each run, file of pairs and part that "
    "a commit names (size, header, every block's checksum); indexes of side files; what was put aside; the checkpoints, "
    "and that what they refer to is there; and of a published result the manifest, the checksum of each part, "
    "and _SUCCESS. It says of each problem what it means for the job and what to type next. Nothing is changed, "
    "not even in folders that could be written.\n"
    "\n"
    "Exit code 0: whole; 1: something is damaged or missing.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr verify\n"
    "    lmr verify word_count-3 --json | jq .problems\n";

const char rm_text[] =
    "Removes jobs with all that is kept of them: the state folder with journal, checkpoints and records that "
    "were put aside, and runs and parts that were not published. A published result stays. A job "
    "that runs is refused (lmr stop ends it), and so is one that was killed while its result was moved into place. JOB is an id, a "
    "job's name if it ran once only, or the beginning of exactly one id. Nothing is asked.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr rm word_count-3 word_count-4\n"
    "    lmr rm --dry-run word_count-5\n";

const char clean_text[] =
    "Removes jobs, as lmr rm does, that are over (complete or partial) and ended longer ago than --older-than says; "
    "with --all also failed and stopped ones. Running jobs are left alone, and published results "
    "stay. Of complete jobs that are younger, what they kept to be gone back to is removed (checkpoints and runs, which "
    "checkpoint.auto_cleanup = false keeps), and nothing else.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr clean --older-than 7d\n"
    "    lmr clean --older-than 12h --all --dry-run\n";
