/* progress_probe.c: what the progress line says, under a clock of the spec's own. Standard input:
 *
 *   SECONDS PHASE STEP STEPS ROUND TASKS DONE RUNNING BYTES BYTES_DONE RECORDS STATUS…
 *       takes in a snapshot seen at that time and prints the line (STATUS "-": none)
 *   cut COLUMNS TEXT…      prints the start of TEXT that fits, and the columns of all of it
 *   disarm TEXT…           prints TEXT without what could steer a terminal
 */
#include "cli/progress_text.h"

#include <inttypes.h>
#include <stdio.h>

enum { LINE_BYTES = 4096 };

static bool phase_of(const char *name, enum job_phase *phase)
{
    for (int i = JOB_PREPARE; i <= JOB_DONE; i++)
        if (strcmp(phase_name((enum job_phase)i), name) == 0) {
            *phase = (enum job_phase)i;
            return true;
        }
    return false;
}

static bool show_snapshot(struct rates *rates, const char *line)
{
    struct job_snapshot s = { .status = "" };
    double seconds;
    char name[16];
    int status_at = 0;
    uint64_t records;
    if (sscanf(line, /* NOLINT(cert-err34-c): a wrong script fails its spec */
               "%lf %15s %u %u %u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %n",
               &seconds, name, &s.step, &s.steps, &s.round, &s.phase_tasks, &s.phase_done,
               &s.phase_running, &s.phase_bytes, &s.phase_bytes_done, &records, &status_at) < 11 ||
        !phase_of(name, &s.phase))
        return false;
    s.records_in = s.records_out = records;
    if (strcmp(line + status_at, "-") != 0)
        s.status = line + status_at;
    struct text t = TEXT_EMPTY;
    size_t lead;
    int64_t now = (int64_t)(seconds * 1e9);
    rates_update(rates, &s, now);
    progress_line(&t, rates, &s, now, &lead);
    printf("%.*s|%.*s\n", (int)lead, (const char *)t.buf.p, (int)(t.buf.n - lead),
           (const char *)t.buf.p + lead);
    text_free(&t);
    return true;
}

static bool show_cut(const char *rest)
{
    unsigned columns;
    int at = 0;
    if (sscanf(rest, "%u %n", &columns, &at) < 1) /* NOLINT(cert-err34-c) */
        return false;
    const char *words = rest + at;
    size_t n = strlen(words);
    printf("%.*s|%zu\n", (int)columns_cut(words, n, columns), words, columns_of(words, n));
    return true;
}

int main(void)
{
    char line[LINE_BYTES];
    struct rates rates = { .started = false };
    while (fgets(line, sizeof line, stdin)) {
        bool ok = true;
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "cut ", 4) == 0) {
            ok = show_cut(line + 4);
        } else if (strncmp(line, "disarm ", 7) == 0) {
            columns_disarm(line + 7);
            puts(line + 7);
        } else {
            ok = show_snapshot(&rates, line);
        }
        if (!ok) {
            fprintf(stderr, "cannot read: %s\n", line);
            return 2;
        }
    }
    return 0;
}
