/* progress_text.h: what the progress line says: smoothed rates, an estimate of the time left,
 * and the words. No clock, no terminal. */
#ifndef LMR_CLI_PROGRESS_TEXT_H
#define LMR_CLI_PROGRESS_TEXT_H

#include "cli/print.h"
#include "schedule/job.h"

/* A rate smoothed over the last seconds: an exponential mean, corrected for its short past at
 * the start. */
struct rate {
    double sum, weight;
    uint64_t last;
};

/* Rates of the phase that runs. Zeroed at the start. */
struct rates {
    bool started;
    enum job_phase phase;
    unsigned step, round;
    int64_t phase_start, last; /* times, ns */
    struct rate records, bytes;
};

/* Takes in a snapshot seen at `now` (ns); a new phase, step or round starts afresh. */
void rates_update(struct rates *rates, const struct job_snapshot *snapshot, int64_t now);
/* Units a second; 0 when nothing is known. */
double rate_value(const struct rate *rate);
/* Seconds that the phase has to go, or −1 when nothing sensible can be said: too early, too
 * little done, no end in sight. */
double rates_eta(const struct rates *rates, const struct job_snapshot *snapshot, int64_t now);

/* One line, without newline: "map 12/40 tasks (2 running)  30 %  1.2 M records/s  38.4 MB/s  ETA
 * 12 s  STATUS". *lead is set to the bytes of the phase's name at its start, to be coloured. */
void progress_line(struct text *t, const struct rates *rates, const struct job_snapshot *snapshot,
                   int64_t now, size_t *lead);
/* "complete", "map", … */
const char *phase_name(enum job_phase phase);

#endif
