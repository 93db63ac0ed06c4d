#include "cli/topics.h"

#include <stddef.h>

static const char input_text[] =
    "Inputs are named on the command line, or by input_files in the job: files, directories "
    "(read recursively; names that start with . or _ are skipped), globs in quotes, "
    "@LIST (a file with one name a line, # for comments), addresses that begin with http:// or "
    "https://, and - for standard input. With no names at all a pipe on standard input is read. "
    "Files that end in .gz, .zst, .lz4, .bz2 or .xz are decompressed, several members in a "
    "file included. Relative names are relative to the working directory.\n"
    "\n"
    "Formats, by input = \"…\" in the job or --input:\n"
    "\n"
    "    text    a record a line; key: byte offset, value: the line without its\n"
    "            LF or CRLF. NUL bytes and invalid UTF-8 pass as they are\n"
    "    jsonl   a JSON value a line; integers of 64 bits stay exact integers,\n"
    "            null is mr.null; blank lines are skipped\n"
    "    csv     RFC 4180, with a header: value is a table column = text\n"
    "    tsv     the same, with tabs\n"
    "    whole   a record a file; key: its path, value: its bytes\n"
    "    fixed   records of record_size bytes\n"
    "\n"
    "A table says more, and an entry of input_files may have its own:\n"
    "\n"
    "    input = { format = \"csv\", separator = \";\", quote = '\"',\n"
    "              header = false, columns = { \"id\", \"price\" },\n"
    "              types = { id = \"integer\", price = \"number\" },\n"
    "              multiline = true },   -- quoted fields may hold newlines\n"
    "    input = { format = \"fixed\", record_size = 100 },\n"
    "    input = { format = \"jsonl\", max_record = 1048576 },\n"
    "    input = { reader = { open = function(path, from, to) … end,\n"
    "                         next = function(handle) … end } },\n"
    "    input_files = { \"logs/*.gz\",\n"
    "                    { path = \"users.csv\", input = \"csv\", tag = \"user\" } }\n"
    "\n"
    "A record longer than max_record (64M) is a bad record. Big files are cut into splits of "
    "--split-size, small ones are put together; compressed files, whole files and "
    "multi-line CSV are not cut.\n"
    "\n"
    "An address is asked for its size first, and cut like a file where its server gives ranges. "
    "User and password stand in it (https://user:password@host/…; shown as ***) or in ~/.netrc. "
    "A server that refuses, breaks off, answers 400 or more, or sends nothing for 30 s (or half "
    "of limits.progress_timeout_seconds) is a network_failure; its details are status, curl and "
    "url. A file that is not the planned one any more is data_corruption.\n";

static const char output_text[] =
    "With -o DIR the result is in DIR: part-00000, part-00001, …, one a reducer, each in key "
    "order; _MANIFEST.json lists them with their records, bytes and checksums, and holds the "
    "counters; _SUCCESS, "
    "empty, is written last. DIR appears complete or not at all. Without -o the parts go to "
    "standard output, one after the other, after the last reduce has ended.\n"
    "\n"
    "Formats, by output = \"…\" in the job or --output-format:\n"
    "\n"
    "    text    key, tab, value. A key stored alone is printed alone; tables are\n"
    "            printed as JSON\n"
    "    tsv     elements of the key, then of the value, with tabs; tab, newline\n"
    "            and backslash inside a field as \\t, \\n and \\\\\n"
    "    csv     the same with commas, quoted by RFC 4180\n"
    "    jsonl   {\"key\":…,\"value\":…}, one a line\n"
    "    raw     the value's bytes and nothing else\n"
    "\n"
    "A table says more:\n"
    "\n"
    "    output = { format = \"csv\", columns = { \"word\", \"n\" }, header = true,\n"
    "               compress = \"gz\",      -- gz, zst, lz4, bz2 or xz\n"
    "               write = \"value\" }     -- leave the key out\n"
    "\n"
    "mr.output(name, key, value) writes to side files name-00000, … beside the parts:\n"
    "it needs a directory (--output).\n";

static const char exit_text[] =
    "    0     complete\n"
    "    1     failed; lmr resume goes on after a mend\n"
    "    2     wrong usage, job or profile; nothing was started\n"
    "    3     complete, but records were put aside (lmr quarantine lists them)\n"
    "    4     partial: a policy dropped tasks; there is no _SUCCESS\n"
    "    75    stopped by a policy; lmr resume goes on\n"
    "    130   interrupted (SIGINT), likewise; 143: terminated (SIGTERM)\n"
    "    129   its terminal has gone (SIGHUP), likewise\n"
    "\n"
    "lmr resume ends as lmr run does, lmr replay with 0 where all holds now and with 1 where "
    "something still fails. Commands that only tell something give 0, however the job ended.\n"
    "\n"
    "Messages and progress go to standard error, results and help to standard output. A reader "
    "of the results that stops early (as head does) is no failure.\n";

static const char json_text[] =
    "With --json a run prints one JSON object on one line: on standard output with -o, else (results "
    "are there) as the last line on standard error. With --dry-run it is the plan, on standard "
    "output. Sizes are bytes, times are seconds; what is not known is null.\n"
    "\n"
    "A run:\n"
    "\n"
    "    exit_code, outcome   \"complete\", \"failed\", \"not started\", …\n"
    "    job, output          the job's id; DIR or null\n"
    "    wall_seconds, cpu_seconds, peak_memory, workers\n"
    "    records_in, bytes_in, records_out, bytes_out\n"
    "    map_output_pairs, run_bytes, spills\n"
    "    tasks, map_tasks, reduce_tasks, attempts, failures, retries\n"
    "    quarantined, quarantine, dropped_tasks, statistics (as in lmr show)\n"
    "    counters             {\"GROUP\":{\"NAME\":N}}\n"
    "    resume               the command that goes on, or null\n"
    "    error                when it is not complete: type, message, and file,\n"
    "                         offset, record and key as far as known\n"
    "\n"
    "A plan:\n"
    "\n"
    "    job, inputs          [{\"path\":…,\"size\":…,\"splits\":…}]\n"
    "    files, bytes, splits, map_tasks, reduce_tasks, steps, workers\n"
    "    split_size, sort_buffer, seed, profile\n"
    "    state_dir, work_dir, output\n"
    "    space_needed, space_free     for runs, in work_dir\n"
    "    output_needed, output_free   for the result, in output\n"
    "\n"
    "lmr profile:\n"
    "\n"
    "    list      [{\"name\":…,\"summary\":…}]\n"
    "    show      name, path, values: [{\"key\":…,\"value\":…,\"source\":…,\"kind\":…}],\n"
    "              kind being \"plan\" or \"policy\"\n"
    "    check     name, path, warnings, functions, good\n"
    "    diff      a, b, differences: [{\"key\":…,\"a\":…,\"b\":…}], each with value and\n"
    "              source, or null where it is not set\n"
    "    explain   name, path, types: [{\"type\":…,\"scenarios\":[{\"when\":…,\"steps\":\n"
    "              [{\"failure\":…,\"action\":…,\"delay_least\":…,\"delay_most\":…,\n"
    "              \"rule\":…,\"reason\":…}]}]}], built_in\n"
    "\n"
    "lmr show (and lmr jobs, in short; a line a job):\n"
    "\n"
    "    id, name, state, started, ended, seconds, output, message, profile\n"
    "    tasks                {\"map\":{planned, done, failed, dropped}, …}\n"
    "    failures             {\"TYPE\":{\"VERDICT\":N}}\n"
    "    attempts, failed_attempts, quarantined, quarantine_files\n"
    "    statistics           attempts, committed, failures, retries, simulated,\n"
    "                         recovered_tasks, failed_tasks, dropped_tasks,\n"
    "                         recovery_rate, seconds_waited, cpu_seconds,\n"
    "                         cpu_seconds_wasted, speculative\n"
    "                         by_type, by_verdict\n"
    "    slowest, counters, warnings\n"
    "\n"
    "lmr quarantine (a line a record or group):\n"
    "\n"
    "    task, attempt, unit  map_0; a number; \"record\" or \"group\"\n"
    "    file, offset         of a record; key: of a group\n"
    "    record               its number in what the task reads, from 0\n"
    "    type, message, traceback\n"
    "    bytes, bytes_total   how it begins, and how long it is\n"
    "\n"
    "lmr replay:\n"
    "\n"
    "    job, attempt         the job's id; map_0.1\n"
    "    outcome              \"holds\", \"fails\" or \"stopped\"\n"
    "    unit, record         with --record\n"
    "    records_in, groups, pairs_out, counters, side_outputs, quarantine\n"
    "    shown                with --record: lines of the output, 20 at most\n"
    "    error                null, or type, message, traceback, file, offset,\n"
    "                         record, key, signal, exit_status\n"
    "    exit_code\n"
    "    records, held, failed, untried     with --quarantined: a record has\n"
    "                         task, unit, record, file, offset, key, outcome (also\n"
    "                         \"missing\", \"untried\"), was, error\n"
    "\n"
    "lmr why:\n"
    "\n"
    "    cause                a word: record, code, memory, disk_full, killed, …\n"
    "    sentence             the same in words\n"
    "    kept, next           what is committed; [{command, what}]\n"
    "    task, attempts       each with outcome, message, traceback, file,\n"
    "                         offset, record, key, verdict, rule, reason, delay\n"
    "    tasks                those that failed most\n";

static const char files_text[] =
    "    ~/.local/state/lmr/JOB-N/   journal.db: what happened; quarantine/: what was\n"
    "                                put aside; removed by nobody but you\n"
    "    DIR/part-00000 …            the result, see lmr help output\n"
    "    DIR/_MANIFEST.json          what the parts are, and the counters\n"
    "    DIR/_SUCCESS                there once the result is complete, but for\n"
    "                                records that were put aside\n"
    "    DIR/.lmr-JOB-N/             parts and runs of a job in work; kept for\n"
    "                                lmr resume where a job stopped, failed, or put\n"
    "                                records aside\n";

static const char environment_text[] =
    "    LMR_STATE_DIR     where journals are kept (--state-dir)\n"
    "    XDG_STATE_HOME    else in lmr/ there; else in ~/.local/state/lmr\n"
    "    LMR_WORK_DIR      where runs are written (--work-dir)\n"
    "    NO_COLOR          set to anything: no colours\n"
    "    TERM              dumb: plain lines instead of a live one\n"
    "    LUA_PATH          where require looks after the job's own directory\n";

static const struct topic table[] = {
    { "job", "the job API on a page", "JOBS", topic_job_text },
    { "input", "what can be read, and how", "INPUTS", input_text },
    { "output", "what is written, and how", "OUTPUTS", output_text },
    { "reducers", "the reducers that need no code", "REDUCERS", topic_reducers_text },
    { "testing", "how to test a job", "TESTING JOBS", topic_testing_text },
    { "profiles", "what a profile holds, and which layer wins", "PROFILES", topic_profiles_text },
    { "policies", "rules for failures: error types, verdicts, functions", "POLICIES",
      topic_policies_text },
    { "exit-codes", "what the exit codes mean", "EXIT STATUS", exit_text },
    { "json", "what --json prints", "JSON", json_text },
    { "files", "the files that lmr writes", "FILES", files_text },
    { "journal", "the journal of a job, read with sqlite3", "JOURNAL", topic_journal_text },
    { "environment", "the environment variables that lmr reads", "ENVIRONMENT", environment_text },
    { NULL, NULL, NULL, NULL },
};

const struct topic *topics(void)
{
    return table;
}
