#include "cli/table.h"

#include <assert.h>

#define FIELD(name) offsetof(struct request, name)
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define TIB (MIB * MIB)

static const char *const input_formats[] = { "text", "jsonl", "csv", "tsv", "whole", NULL };
static const char *const output_formats[] = { "text", "tsv", "csv", "jsonl", "raw", NULL };
static const char *const shells[] = { "bash", NULL };

#define HELP_OPTION                                                                                \
    { .name = "help", .letter = 'h', .kind = OPTION_FLAG, .field = FIELD(help),             \
      .help = "print help on this command" }

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

static const struct option new_options[] = {
    { .name = "template", .letter = 't', .kind = OPTION_TEXT, .value = "TEMPLATE",
      .field = FIELD(template_name), .example = "text",
      .help = "start from TEMPLATE (default: text); --list names them all" },
    { .name = "list", .letter = 'l', .kind = OPTION_FLAG, .field = FIELD(list),
      .help = "list the templates" },
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
    { .name = "new", .usage = { "FILE [--template TEMPLATE]", "--list" },
      .summary = "write a job to start from", .text = new_text, .options = new_options,
      .run = command_new },
    { .name = "lua", .usage = { "FILE [ARG…]" }, .passes_all_on = true,
      .summary = "run a Lua file with the module mr, to test jobs", .text = lua_text,
      .options = plain_options, .run = command_lua },
    { .name = "help", .usage = { "[COMMAND|TOPIC]", "--man", "--completion SHELL" },
      .summary = "print help", .text = help_text, .options = help_options, .run = command_help },
    { .name = "version", .usage = { "" },
      .summary = "print the version", .text = "Prints the version of lmr.\n",
          .options = plain_options, .run = command_version },
    { .name = "worker", .usage = { "" }, .hidden = true, .summary = "", .text = "" },
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
