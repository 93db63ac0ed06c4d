#include "cli/table.h"

#include "cli/table_keep.h"
#include "cli/table_rows.h"

#include <assert.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define TIB (MIB * MIB)

static const char *const input_formats[] = { "text", "jsonl", "csv", "tsv", "whole", NULL };
static const char *const output_formats[] = { "text", "tsv", "csv", "jsonl", "raw", NULL };
static const char *const shells[] = { "bash", NULL };

static const struct option run_options[] = {
    { .name = "output", .letter = 'o', .kind = OPTION_TEXT, .value = "DIR",
      .field = FIELD(run.output_dir), .example = "out",
      .help = "write the result into the directory DIR, which must not exist or be empty; "
              "without it the result goes to standard output" },
    { .name = "overwrite", .kind = OPTION_FLAG, .field = FIELD(run.overwrite),
      .help = "let the result take the place of an earlier one in DIR, at the very end; only a "
              "directory that lmr wrote is replaced" },
    { .name = "map", .letter = 'm', .kind = OPTION_TEXT, .value = "CODE",
      .field = FIELD(run.map_code), .example = "'emit(value, 1)'",
      .help = "a job without a file: the body of function(key, value, emit)" },
    { .name = "reduce", .letter = 'r', .kind = OPTION_TEXT, .value = "CODE",
      .field = FIELD(run.reduce_code), .example = "sum",
      .help = "with --map: a reducer's name, such as sum, or the body of function(key, values, "
              "emit)" },
    { .name = "input", .kind = OPTION_CHOICE, .value = "FORMAT", .field = FIELD(run.input_format),
      .example = "jsonl", .choices = input_formats,
      .help = "how inputs are read: text (lines), jsonl, csv, tsv or whole (a file is one "
              "record); else what the job says, else text" },
    { .name = "output-format", .kind = OPTION_CHOICE, .value = "FORMAT",
      .field = FIELD(run.output_format), .example = "jsonl", .choices = output_formats,
      .help = "how results are written: text (key, tab, value), tsv, csv, jsonl or raw; else "
              "what the job says, else text" },
    { .name = "workers", .letter = 'w', .kind = OPTION_UNSIGNED, .value = "N",
      .field = FIELD(run.workers), .least = 1, .most = 1024, .example = "2",
      .reason = "each worker is a process with a Lua state and a sort buffer of its own",
      .help = "run N tasks at a time; else as many as cores this process may use" },
    { .name = "reducers", .kind = OPTION_INT64, .value = "N", .field = FIELD(run.reducers),
      .least = 0, .most = 65536, .example = "4",
      .reason = "each reducer writes a file and has an entry in the index of every run; 0 writes "
                "what map emits",
      .help = "write N part files, each by a reduce task; 0: none, what map emits is the "
              "result; else what the job says, else by the size of the input" },
    { .name = "split-size", .kind = OPTION_SIZE, .value = "SIZE", .field = FIELD(run.split_size),
      .least = KIB, .most = TIB, .example = "32M",
      .reason = "a split is what one map task reads, and what is done again when it fails",
      .help = "give each map task at most SIZE of input (default: 32M)" },
    { .name = "sort-buffer", .kind = OPTION_SIZE, .value = "SIZE", .field = FIELD(run.sort_buffer),
      .least = 64 * KIB, .most = TIB, .example = "64M",
      .reason = "each worker holds one in memory, and writes a sorted segment whenever it is full",
      .help = "hold at most SIZE of pairs in memory before they are sorted and spilled to disk "
              "(default: 64M)" },
    { .name = "compress-runs", .kind = OPTION_FLAG, .field = FIELD(run.compress_runs),
      .help = "compress what goes from map to reduce with LZ4: less disk, a little more CPU" },
    { .name = "seed", .kind = OPTION_UINT64, .value = "N", .field = FIELD(run.seed),
      .given = FIELD(run.has_seed), .least = 0, .most = INT64_MAX, .example = "1",
      .reason = "it is a 63-bit number",
      .help = "seed math.random of every task from N; the same seed gives the same result "
              "(default: the job's, else 0)" },
    { .name = "profile", .letter = 'p', .kind = OPTION_TEXT, .value = "PROFILE",
      .field = FIELD(run.profile), .example = "testing",
      .help = "take limits and retries from a profile: production (default), testing, "
              "development, or a file of your own" },
    { .name = "set", .letter = 's', .kind = OPTION_SETTING, .value = "KEY=VALUE",
      .field = FIELD(set), .example = "limits.memory_limit=1G",
      .help = "set one value of the profile; may be given many times" },
    { .name = "state-dir", .kind = OPTION_TEXT, .value = "DIR", .field = FIELD(run.state_dir),
      .example = "/var/tmp/lmr",
      .help = "keep journals in DIR, a folder a job (default: $LMR_STATE_DIR, else "
              "$XDG_STATE_HOME/lmr, else ~/.local/state/lmr)" },
    { .name = "work-dir", .kind = OPTION_TEXT, .value = "DIR", .field = FIELD(run.work_dir),
      .example = "/var/tmp",
      .help = "write runs (what goes from map to reduce) in DIR (default: $LMR_WORK_DIR, else "
              "beside the output, else in the state folder)" },
    { .name = "dry-run", .letter = 'n', .kind = OPTION_FLAG, .field = FIELD(run.dry_run),
      .help = "print inputs, splits, tasks, settings and the space needed and free, and run "
              "nothing" },
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print the summary as one line of JSON: on standard output with --output, else "
              "(results are there) as the last line on standard error; "
              "with --dry-run, the plan on standard output" },
    { .name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .field = FIELD(quiet),
      .help = "print errors only: no progress, no summary" },
    HELP_OPTION,
    { .name = NULL },
};

static const struct option report_options[] = {
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print one line of JSON" },
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

static const struct option jobs_options[] = {
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print a line of JSON for each job" },
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

static const struct option quarantine_options[] = {
    { .name = "task", .kind = OPTION_TEXT, .value = "TASK", .field = FIELD(task),
      .example = "map_3", .help = "only what TASK put aside" },
    { .name = "full", .kind = OPTION_FLAG, .field = FIELD(full),
      .help = "print whole entries: the bytes, the key, the traceback" },
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print a line of JSON for each entry" },
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

static const struct option resume_options[] = {
    { .name = "from", .kind = OPTION_UNSIGNED, .value = "N", .field = FIELD(run.from), .least = 1,
      .most = UINT32_MAX, .example = "3", .reason = "checkpoints are numbered from 1 on",
      .help = "go back to checkpoint N first (lmr checkpoints lists them); what was done after it is set "
              "aside, and not deleted" },
    { .name = "dry-run", .letter = 'n', .kind = OPTION_FLAG, .field = FIELD(run.dry_run),
      .help = "print what would be reused and what would run again, and why, and change nothing" },
    { .name = "tasks", .kind = OPTION_FLAG, .field = FIELD(run.list_tasks),
      .help = "list what becomes of each task: reuse, run again or never ran, and why" },
    { .name = "accept-change", .kind = OPTION_STAGE, .value = "STAGE", .field = FIELD(accept),
      .example = "map",
      .help = "take what map (reduce, stop, format; of a later step 2:map) has done as it is, though it, "
              "or the time of an input, has changed or cannot be compared; may be given many times" },
    { .name = "quarantined", .kind = OPTION_FLAG, .field = FIELD(run.quarantined),
      .help = "of a job that is complete: try the records again that were put aside, with the job and its "
              "input as they are now, and publish a new version of the result" },
    { .name = "output", .letter = 'o', .kind = OPTION_TEXT, .value = "DIR",
      .field = FIELD(run.output_dir), .example = "out",
      .help = "the job's output directory is DIR now: it was moved, or the job was copied, with the "
              ".lmr-JOB in it" },
    { .name = "work-dir", .kind = OPTION_TEXT, .value = "DIR", .field = FIELD(run.work_dir),
      .example = "/var/tmp",
      .help = "likewise of the directory that was given to lmr run as --work-dir" },
    STATE_DIR_OPTION,
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print the summary as one line of JSON, where lmr run would; with --dry-run, what would be done" },
    { .name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .field = FIELD(quiet),
      .help = "print errors only: no progress, no summary" },
    HELP_OPTION,
    { .name = NULL },
};

static const struct option replay_options[] = {
    { .name = "record", .kind = OPTION_INT64, .value = "N", .field = FIELD(record),
      .given = FIELD(has_record), .least = 0, .most = INT64_MAX, .example = "17",
      .reason = "records (in reduce: groups) are numbered from 0 in each task",
      .help = "run only record N (in reduce: group N), and print the pairs it gives; the others are "
              "read and passed by" },
    { .name = "quarantined", .kind = OPTION_FLAG, .field = FIELD(run.quarantined),
      .help = "try all that the job put aside, one after the other, and tell what holds now" },
    { .name = "put-aside", .kind = OPTION_FLAG, .field = FIELD(put_aside),
      .help = "put records aside as the attempt did, so that only what ended it is seen; else the "
              "first failure ends the replay" },
    { .name = "job", .letter = 'j', .kind = OPTION_TEXT, .value = "JOB.lua",
      .field = FIELD(job_file), .example = "mended.lua",
      .help = "with the map and reduce of JOB.lua, in place of the job's own file" },
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print one line of JSON; what the job prints goes to standard error" },
    STATE_DIR_OPTION,
    HELP_OPTION,
    { .name = NULL },
};

static const struct option new_options[] = {
    { .name = "template", .letter = 't', .kind = OPTION_TEXT, .value = "TEMPLATE",
      .field = FIELD(template_name), .example = "text",
      .help = "start from TEMPLATE (default: text); --list names them all" },
    { .name = "list", .letter = 'l', .kind = OPTION_FLAG, .field = FIELD(list),
      .help = "list the templates" },
    HELP_OPTION,
    { .name = NULL },
};

static const struct option profile_options[] = {
    { .name = "set", .letter = 's', .kind = OPTION_SETTING, .value = "KEY=VALUE",
      .field = FIELD(set), .example = "retry.max_retries=2",
      .help = "set one value on top of the profile, as lmr run does; may be given many times" },
    { .name = "job", .letter = 'j', .kind = OPTION_TEXT, .value = "JOB.lua",
      .field = FIELD(job_file), .example = "word_count.lua",
      .help = "the profile as that job would have it: with the job's recovery and error types" },
    { .name = "type", .letter = 't', .kind = OPTION_TEXT, .value = "TYPE",
      .field = FIELD(error_type), .example = "timeout",
      .help = "explain: only this error type" },
    { .name = "state-dir", .kind = OPTION_TEXT, .value = "DIR", .field = FIELD(run.state_dir),
      .example = "/var/tmp/lmr",
      .help = "use: where the job's state is, as it was told to lmr run" },
    { .name = "json", .kind = OPTION_FLAG, .field = FIELD(json),
      .help = "print one line of JSON" },
    HELP_OPTION,
    { .name = NULL },
};

static const struct option help_options[] = {
    { .name = "man", .kind = OPTION_FLAG, .field = FIELD(man),
      .help = "print the man page lmr(1), for man -l or an installation" },
    { .name = "completion", .kind = OPTION_CHOICE, .value = "SHELL", .field = FIELD(completion),
      .example = "bash", .choices = shells,
      .help = "print a completion script: put  eval \"$(lmr help --completion bash)\"  into "
              "~/.bashrc" },
    HELP_OPTION,
    { .name = NULL },
};

static const struct option plain_options[] = { HELP_OPTION, { .name = NULL } };

static const char run_text[] =
    "Runs a job: reads the inputs in splits, calls the job's map on every record, sorts and "
    "groups what it emits, calls reduce on every group, and commits "
    "the result in one step. JOB.lua is a Lua file (see lmr help job); with --map there is no "
    "file, and all words are inputs.\n"
    "\n"
    "An INPUT is a file, a directory (read recursively; hidden names and those with _ in front "
    "are skipped), a glob in quotes, @LIST (a file with one name a line), an address (http://, "
    "https://) or - for standard input. "
    "Inputs given here replace the job's input_files. Files that end in .gz, .zst, .lz4, .bz2 "
    "or .xz are decompressed.\n"
    "\n"
    "What stands after -- is for the job: mr.args reads it.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr run word_count.lua texts/*.txt | head\n"
    "    lmr run word_count.lua texts -o out --workers 4\n"
    "    lmr run -m 'for w in mr.words(value) do emit(w, 1) end' -r sum README.md\n"
    "    zcat log.gz | lmr run -m 'emit(value:match(\"%S+\"))' -r count -\n"
    "    lmr run top.lua logs -- --top 20\n";

static const char jobs_text[] =
    "Lists the jobs of the state folder, the newest last: id, state, tasks done of those planned, when it "
    "started, how long it took, how many attempts failed, how many records were put aside, how much disk "
    "it uses (state, runs, parts that are not published, checkpoints), and where the result is or, of a "
    "running job, who runs it.\n"
    "\n"
    "States: running, publishing, complete, partial (tasks were dropped), failed, stopped; gone: it "
    "was running, and its driver is no more.\n";

static const char show_text[] =
    "Tells of one job: what it is and where it stands, its tasks, what failed and what became of "
    "it, the slowest tasks, the counters, the disk it uses. JOB is an id (word_count-3), a job's name (the latest of "
    "it), the beginning of one, or, left out, the latest of all. A job that runs is shown as it "
    "stands, with how far each attempt has come.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr show\n"
    "    lmr show word_count --json | jq .failures\n";

static const char why_text[] =
    "Tells why a job, or one of its tasks, ended as it did: first the probable cause, what is kept, "
    "and what to type next; then the story of the task: each attempt that failed, where, the "
    "rule of the profile that decided, and what it decided. Without TASK: the one that failed "
    "the job, else the one with most failures.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr why\n"
    "    lmr why word_count-3 map_7\n";

static const char quarantine_text[] =
    "Lists the records (in reduce: the groups) that a job put aside: the task, the place in the "
    "input, the error. They are kept as lines of JSON in the job's folder, a file a task.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr quarantine\n"
    "    lmr quarantine word_count-3 --task map_7 --full\n"
    "    lmr quarantine --json | jq -r .bytes\n";

static const char resume_text[] =
    "Goes on with a job that was killed, was stopped or has failed: what has committed is not run again, and the "
    "result is byte for byte that of a run without interruption. All options are those of its start; the job's "
    "file is read anew, so that what was wrong in it, or in its input, may be mended first.\n"
    "\n"
    "What has changed since runs again, and what depends on it, and nothing else: what a function does, a "
    "helper, a value it reaches, a module, an argument, a side file, a setting; of the input, files of "
    "another size or time. A comment, a line that moved, or another profile change nothing. When an "
    "earlier step has changed the job goes back to it. What will be done is told first, with the CPU time it "
    "took before; --dry-run tells it and does nothing.\n"
    "\n"
    "JOB is the name of a job, or its whole id, or the beginning of one; without it, the latest job that is "
    "not complete.\n"
    "\n"
    "With --quarantined a complete job tries again what it had put aside. Only tasks that had put records aside, "
    "and the reduces that what they give now reaches, run again.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr resume\n"
    "    lmr resume word_count-3\n"
    "    lmr resume word_count-3 --dry-run --tasks\n"
    "    lmr resume word_count-3 --accept-change map\n"
    "    lmr resume word_count --quarantined\n";

static const char replay_text[] =
    "Runs an attempt that failed (lmr why names them) again: with the same input, seed and memory "
    "limit, in the foreground, so that what the job prints is seen. The first failure ends it and is "
    "printed as lmr run prints it; there are no deadlines (Ctrl-C ends it). What it writes is thrown "
    "away, and the journal stays as it is. The job file is read as it is now: after a mend this "
    "tells whether it holds. ATTEMPT may also be a task: its newest attempt that can be replayed.\n"
    "\n"
    "With --quarantined all records and groups that the job put aside are tried, or those of one task.\n"
    "\n"
    "Exit code 0: it holds now; 1: it fails.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr replay word_count-3 map_0.1\n"
    "    lmr replay word_count-3 map_0.1 --record 17 --job mended.lua\n"
    "    lmr replay word_count --quarantined\n"
    "    lmr replay word_count map_0 --quarantined --json | jq .failed\n";

static const char new_text[] =
    "Writes a working job with comments into FILE, to be changed into yours. A FILE that "
    "exists is never touched.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr new count.lua\n"
    "    lmr new orders.lua --template join\n";

static const char lua_text[] =
    "Runs a Lua file with the module mr at hand (require \"mr\"), as lua5.4 would: what "
    "follows FILE is its arg table. With mr.run a job is tried on a few records within "
    "the same process, which is how jobs are tested (lmr help testing).\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr lua count_test.lua\n";

static const char profile_text[] =
    "A profile says what happens when something fails: limits, retries, checkpoints, and a rule "
    "for each error type (lmr help profiles). It goes by its name (lmr profile list) or is a file "
    "of yours, named with its ending .lua or with a slash.\n"
    "\n"
    "list names the profiles that lmr has. show prints every value a job gets, where it is set, and "
    "whether it belongs to the plan (frozen when the job starts) or to the policy (a running job "
    "takes a change). check loads a file and says what is wrong with it, or odd. diff prints what "
    "two profiles do not have in common. explain plays failures of each error type against the "
    "rules and prints what happens at each: the verdict, the delay before the next attempt (from "
    "least to most where it is random), and the file and line of the rule that decides. Policy "
    "functions are called with what such a failure looks like. use makes a running job (its id, a "
    "beginning of it, or the latest) take another profile: keys of the policy change with its next "
    "decision, and those of the plan, which it names, do not. A profile that does not load changes "
    "nothing.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr profile show production\n"
    "    lmr profile show ./mine.lua --job word_count.lua\n"
    "    lmr profile check ./mine.lua\n"
    "    lmr profile diff production ./mine.lua\n"
    "    lmr profile explain production --type network_failure\n"
    "    lmr profile explain production --set retry.jitter=false\n"
    "    lmr profile use word_count ./mine.lua\n";

static const char help_text[] =
    "Prints help on a command or a topic; without a word, the list of both.\n"
    "\n"
    "Examples:\n"
    "\n"
    "    lmr help run\n"
    "    lmr help job\n"
    "    lmr help --man | man -l -\n";

/* Shown in this order. */
static const struct command table[] = {
    { .name = "run", .usage = { "[OPTION…] JOB.lua [INPUT…] [-- ARG…]",
                                "[OPTION…] -m CODE [-r CODE] [INPUT…]" },
      .summary = "run a job", .text = run_text, .options = run_options, .run = command_run },
    { .name = "resume", .usage = { "[JOB] [--from N] [--accept-change STAGE]…",
                                   "[JOB] [--from N] --dry-run [--tasks]",
                                   "[JOB] --quarantined" },
      .summary = "go on with a job that was killed, stopped or has failed", .text = resume_text,
      .options = resume_options, .run = command_resume },
    { .name = "jobs", .usage = { "" }, .summary = "list the jobs there have been",
      .text = jobs_text, .options = jobs_options, .run = command_jobs },
    { .name = "show", .usage = { "[JOB]" }, .summary = "tell where a job stands, or how it ended",
      .text = show_text, .options = report_options, .run = command_show },
    { .name = "why", .usage = { "[JOB [TASK]]" }, .summary = "tell why a job or a task failed",
      .text = why_text, .options = report_options, .run = command_why },
    { .name = "quarantine", .usage = { "[JOB] [--task TASK] [--full]" },
      .summary = "list the records that a job put aside", .text = quarantine_text,
      .options = quarantine_options, .run = command_quarantine },
    { .name = "checkpoints", .usage = { "[JOB]" }, .summary = "list the checkpoints that are kept of a job",
      .text = checkpoints_text, .options = checkpoints_options, .run = command_checkpoints },
    { .name = "checkpoint", .usage = { "JOB" }, .summary = "make a checkpoint of a running job",
      .text = checkpoint_text, .options = ask_options, .run = command_checkpoint },
    { .name = "stop", .usage = { "JOB" }, .summary = "stop a running job, so that it can be resumed",
      .text = stop_text, .options = ask_options, .run = command_stop },
    { .name = "verify", .usage = { "[JOB]" }, .summary = "tell whether all that is kept of a job is whole",
      .text = verify_text, .options = verify_options, .run = command_verify },
    { .name = "rm", .usage = { "[--dry-run] JOB…" }, .summary = "remove jobs, but not their results",
      .text = rm_text, .options = rm_options, .run = command_rm },
    { .name = "clean", .usage = { "--older-than TIME [--all] [--dry-run]" },
      .summary = "remove jobs that ended long ago, but not their results", .text = clean_text,
      .options = clean_options, .run = command_clean },
    { .name = "replay",
      .usage = { "JOB ATTEMPT [--record N] [--job JOB.lua]", "[JOB [TASK]] --quarantined [--job JOB.lua]" },
      .summary = "run a failed attempt or a record again, in the foreground",
      .text = replay_text, .options = replay_options, .run = command_replay },
    { .name = "new", .usage = { "FILE [--template TEMPLATE]", "--list" },
      .summary = "write a job to start from", .text = new_text, .options = new_options,
      .run = command_new },
    { .name = "lua", .usage = { "FILE [ARG…]" }, .passes_all_on = true,
      .summary = "run a Lua file with the module mr, to test jobs", .text = lua_text,
      .options = plain_options, .run = command_lua },
    { .name = "profile",
      .usage = { "list [--json]", "show NAME|FILE [OPTION…]", "check FILE [OPTION…]",
                 "diff NAME|FILE NAME|FILE [OPTION…]", "explain NAME|FILE [OPTION…]",
                 "use [JOB] NAME|FILE [--state-dir DIR]" },
      .summary = "tell what a profile says and does", .text = profile_text,
      .options = profile_options, .run = command_profile },
    { .name = "help", .usage = { "[COMMAND|TOPIC]", "--man", "--completion SHELL" },
      .summary = "print help", .text = help_text, .options = help_options, .run = command_help },
    { .name = "version", .usage = { "" },
      .summary = "print the version", .text = "Prints the version of lmr.\n",
          .options = plain_options, .run = command_version },
    { .name = "worker", .usage = { "" }, .hidden = true, .summary = "", .text = "" },
    { .name = "policy", .usage = { "" }, .hidden = true, .summary = "", .text = "" },
    { .name = NULL },
};

const struct command *commands(void)
{
    return table;
}

const struct command *command_find(const char *name)
{
    for (const struct command *c = table; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

const char *const *command_names(const char *out[COMMANDS_MAX])
{
    static_assert(sizeof table / sizeof *table < COMMANDS_MAX, "all names have room");
    size_t n = 0;
    for (const struct command *c = table; c->name; c++)
        if (!c->hidden)
            out[n++] = c->name;
    out[n] = NULL;
    return out;
}
