/* summary.c: what a run prints at its end. */
#include "base/size.h"
#include "cli/cli.h"
#include "cli/json_text.h"
#include "cli/report.h"
#include "data/output.h"

#include <stdio.h>

enum { LABEL_COLUMN = 11 };

const char *outcome_name(int exit_code)
{
    static const struct {
        int code;
        const char *name;
    } outcomes[] = { { EXIT_COMPLETE, "complete" }, { EXIT_WRONG_USAGE, "not started" },
                     { EXIT_QUARANTINED, "complete, but records were put aside" },
                     { EXIT_PARTIAL, "partial" }, { EXIT_STOPPED, "stopped" },
                     { 129, "hung up" }, { 130, "interrupted" },
                     { 143, "terminated" } };
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (outcomes[i].code == exit_code)
            return outcomes[i].name;
    return "failed";
}

/* --- for a reader --- */

static void add_label(struct text *t, const char *label)
{
    text_printf(t, "  %-*s", LABEL_COLUMN, label);
}

static void add_count(struct text *t, const char *lead, uint64_t count, const char *unit,
                      const char *units)
{
    char number[SIZE_TEXT_MAX];
    text_printf(t, "%s%s %s", lead, count_format(count, number), count == 1 ? unit : units);
}

static void add_flow(struct text *t, const char *label, uint64_t records, uint64_t bytes)
{
    char size[SIZE_TEXT_MAX];
    add_label(t, label);
    add_count(t, "", records, "record", "records");
    text_printf(t, ", %s\n", size_format(bytes, size));
}

static void add_shuffle(struct text *t, const struct job_snapshot *s)
{
    char size[SIZE_TEXT_MAX];
    if (s->pairs == 0 && s->spills == 0)
        return;
    add_label(t, "shuffle");
    add_count(t, "", s->pairs, "pair", "pairs");
    text_printf(t, ", %s", size_format(s->run_bytes, size));
    add_count(t, ", ", s->spills, "spill", "spills");
    text_add(t, "\n");
}

static void add_tasks(struct text *t, const struct job_snapshot *s)
{
    char number[SIZE_TEXT_MAX];
    add_label(t, "tasks");
    text_printf(t, "%s map, ", count_format(s->map_tasks, number));
    text_printf(t, "%s reduce", count_format(s->reduce_tasks, number));
    add_count(t, ", ", s->attempts, "attempt", "attempts");
    if (s->failures > 0) {
        add_count(t, ", ", s->failures, "failed", "failed");
        add_count(t, ", ", s->retries, "retried", "retried");
    }
    add_count(t, ", ", s->workers, "worker", "workers");
    text_add(t, "\n");
}

/* "8 task_crash, 4 timeout" of { TYPE = { failures = n } }, with the words between. */
static void add_types(struct text *t, struct slice types)
{
    struct val_cursor c;
    const char *between = "";
    for (uint64_t n = val_map_open(types, &c); n > 0; n--) {
        struct slice name, type, text;
        char number[SIZE_TEXT_MAX];
        if (val_skip(&c, &name) != ST_OK || val_skip(&c, &type) != ST_OK ||
            !val_as_string(name, &text))
            return;
        int64_t failures = val_get_int(type, "failures", 0);
        if (failures <= 0)
            continue;
        text_printf(t, "%s%s %.*s", between, count_format((uint64_t)failures, number), (int)text.n,
                    (const char *)text.p);
        between = ", ";
    }
    text_add(t, "\n");
}

static void add_backups(struct text *t, struct slice statistics)
{
    struct slice speculative;
    if (!val_get(statistics, "speculative", &speculative) ||
        val_get_int(speculative, "started", 0) == 0)
        return;
    add_label(t, "backups");
    text_printf(t, "%lld started, %lld won\n", (long long)val_get_int(speculative, "started", 0),
                (long long)val_get_int(speculative, "won", 0));
}

/* What failed, and what it cost. Nothing when nothing did. */
static void add_recovery(struct text *t, struct slice statistics)
{
    struct slice types;
    char waited[SIZE_TEXT_MAX], wasted[SIZE_TEXT_MAX];
    add_backups(t, statistics);
    if (val_get_int(statistics, "failures", 0) == 0)
        return;
    if (val_get(statistics, "by_type", &types)) {
        add_label(t, "failures");
        add_types(t, types);
    }
    int64_t recovered = val_get_int(statistics, "recovered_tasks", 0);
    int64_t lost = val_get_int(statistics, "failed_tasks", 0) +
                   val_get_int(statistics, "dropped_tasks", 0);
    add_label(t, "recovery");
    if (recovered + lost > 0)
        text_printf(t, "%lld of %lld task%s that failed, ", (long long)recovered,
                    (long long)(recovered + lost), recovered + lost == 1 ? "" : "s");
    text_printf(t, "%s waited, %s of CPU wasted\n",
                duration_format(val_get_float(statistics, "seconds_waited", 0), waited),
                duration_format(val_get_float(statistics, "cpu_seconds_wasted", 0), wasted));
}

static void add_resources(struct text *t, const struct job_summary *s)
{
    char wall[SIZE_TEXT_MAX], cpu[SIZE_TEXT_MAX], memory[SIZE_TEXT_MAX];
    add_label(t, "time");
    text_printf(t, "%s, CPU %s\n", duration_format(s->wall_seconds, wall),
                duration_format(s->cpu_seconds, cpu));
    add_label(t, "memory");
    text_printf(t, "%s at most in one process\n", size_format(s->peak_memory, memory));
}

/* One line a counter, "GROUP.NAME = N". The encoded maps are in key order already. */
static void add_group(struct text *t, struct slice group, struct slice counters)
{
    struct val_cursor c;
    for (uint64_t n = val_map_open(counters, &c); n > 0; n--) {
        struct slice name, value;
        struct text line = TEXT_EMPTY;
        if (val_skip(&c, &name) != ST_OK || val_skip(&c, &value) != ST_OK)
            return;
        (void)output_text_of_value(group, &line.buf);
        text_add(&line, ".");
        (void)output_text_of_value(name, &line.buf);
        text_add(&line, " = ");
        (void)output_text_of_value(value, &line.buf);
        text_add_bytes(&line, "", 1);
        if (line.status == ST_OK) {
            columns_disarm((char *)line.buf.p);
            add_label(t, "counter");
            text_add(t, (const char *)line.buf.p);
            text_add(t, "\n");
        }
        text_free(&line);
    }
}

static void add_counters(struct text *t, struct slice counters)
{
    struct val_cursor c;
    for (uint64_t n = val_map_open(counters, &c); n > 0; n--) {
        struct slice group, names;
        if (val_skip(&c, &group) != ST_OK || val_skip(&c, &names) != ST_OK)
            return;
        add_group(t, group, names);
    }
}

void summary_write(struct text *t, const struct job_summary *summary)
{
    const struct job_snapshot *s = &summary->totals;
    add_flow(t, "input", s->records_in, s->bytes_in);
    add_shuffle(t, s);
    add_flow(t, "output", s->records_out, s->bytes_out);
    add_tasks(t, s);
    add_recovery(t, summary->statistics);
    add_resources(t, summary);
    add_counters(t, summary->counters);
}

void summary_result(struct text *t, const struct view_losses *losses, const char *output_dir)
{
    add_label(t, "result");
    text_printf(t, "%s\n", output_dir ? output_dir : "on standard output");
    if (losses->quarantined + losses->dropped == 0)
        return;
    add_label(t, "not in it");
    if (losses->dropped > 0)
        add_count(t, "", losses->dropped, "dropped task: it is partial, without _SUCCESS",
                  "dropped tasks: it is partial, without _SUCCESS");
    if (losses->quarantined > 0) {
        add_count(t, losses->dropped > 0 ? "; " : "", losses->quarantined,
                  "bad record or group put aside", "bad records or groups put aside");
        text_printf(t, " (lmr quarantine %s)", losses->job_id);
    }
    text_add(t, "\n");
}

/* --- for a program --- */

static void json_totals(struct text *t, const struct job_snapshot *s)
{
    json_count(t, "workers", s->workers);
    json_count(t, "records_in", s->records_in);
    json_count(t, "bytes_in", s->bytes_in);
    json_count(t, "records_out", s->records_out);
    json_count(t, "bytes_out", s->bytes_out);
    json_count(t, "map_output_pairs", s->pairs);
    json_count(t, "run_bytes", s->run_bytes);
    json_count(t, "spills", s->spills);
    json_count(t, "tasks", s->tasks);
    json_count(t, "map_tasks", s->map_tasks);
    json_count(t, "reduce_tasks", s->reduce_tasks);
    json_count(t, "attempts", s->attempts);
    json_count(t, "failures", s->failures);
    json_count(t, "retries", s->retries);
}

void summary_json(struct text *t, const struct job_summary *summary)
{
    json_string(t, "job", summary->job_id);
    json_string(t, "output", summary->output_dir[0] ? summary->output_dir : NULL);
    json_number(t, "wall_seconds", summary->wall_seconds);
    json_number(t, "cpu_seconds", summary->cpu_seconds);
    json_count(t, "peak_memory", summary->peak_memory);
    json_totals(t, &summary->totals);
    json_encoded(t, "counters", summary->counters);
    json_count(t, "quarantined", summary->quarantined);
    json_string(t, "quarantine", summary->quarantined > 0 ? summary->quarantine_dir : NULL);
    json_count(t, "dropped_tasks", summary->dropped);
    json_encoded(t, "statistics", summary->statistics);
    json_string(t, "resume", summary->resume_command);
}

static void json_error(struct text *t, const struct err *e)
{
    json_open(t, "error", '{');
    json_string(t, "type", e->type[0] ? e->type : status_type(e->status));
    json_string(t, "message", e->message);
    if (e->file[0])
        json_string(t, "file", e->file);
    if (e->offset >= 0)
        json_integer(t, "offset", e->offset);
    if (e->record >= 0)
        json_integer(t, "record", e->record);
    if (e->key[0])
        json_string(t, "key", e->key);
    json_close(t, '}');
}

void summary_json_end(struct text *t, int exit_code, const struct err *e)
{
    json_integer(t, "exit_code", exit_code);
    json_string(t, "outcome", outcome_name(exit_code));
    if (!exit_has_result(exit_code))
        json_error(t, e);
    json_close(t, '}');
    text_add(t, "\n");
}
