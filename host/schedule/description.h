/* description.h: what a job says of itself (script/attempt.h: DESCRIPTION), read once into plain
 * fields. Everything borrows from the encoded description, which it owns together with an arena. */
#ifndef LMR_SCHEDULE_DESCRIPTION_H
#define LMR_SCHEDULE_DESCRIPTION_H

#include "base/arena.h"
#include "data/codec.h"
#include "recover/verdict.h"
#include "schedule/core.h"

struct described_input {
    const char *path;
    struct slice spec, tag; /* encoded; empty: none of its own */
};

struct described_side {
    const char *name, *path, *key; /* key: NULL when there is none */
    struct slice spec;             /* encoded; empty: none */
};

struct described_step {
    bool has_combine, total_order, iterates, has_stop_when, reread;
    int64_t reducers; /* −1: by size of the input */
    uint32_t group_by, max_rounds;
};

/* log.level: what is told while the job runs. Errors always are. */
enum log_level { LOG_ERRORS, LOG_WARNINGS, LOG_NOTES, LOG_ALL };

/* checkpoint.*: of the whole job. `dir` is part of the plan, the rest is policy. */
struct described_checkpoint {
    bool enabled, auto_cleanup;
    const char *dir;  /* NULL: in the job's folder */
    int64_t interval; /* nanoseconds, 0: none by the clock */
    uint32_t keep;
};

struct description {
    struct buf encoded;
    struct arena arena;
    const char *job_name; /* as the job gave it */
    struct described_input *inputs;
    size_t input_count;
    struct described_side *sides;
    size_t side_count;
    struct described_step *steps;
    uint32_t step_count;
    struct slice default_input, output; /* encoded; empty: none */
    struct slice fingerprints;          /* encoded, for schedule/changes.h */
    uint64_t split_size, sort_buffer;   /* 0: not said */
    bool has_seed, durable;
    struct described_checkpoint checkpoint;
    uint64_t seed;
    struct slice profile; /* encoded */
    uint64_t profile_hash;
    uint64_t memory_limit; /* bytes, 0: none */
    struct core_limits limits;
    struct rules rules; /* in the arena */
    enum log_level log_level;
    double max_quarantined_share; /* of all records, 0 … 1; < 0: max_quarantined counts */
    uint64_t max_quarantined;
};

/* Reads the result of a describe attempt. `d` is empty or zeroed before. ST_CORRUPT when fields are
 * missing, or the profile in it is nonsense. */
enum status description_read(struct description *d, struct slice encoded, struct err *e);
/* Takes what a policy may decide from another effective profile; the rest stays as it was. On an error
 * nothing is changed. */
enum status description_take_profile(struct description *d, struct slice profile, struct err *e);
void description_free(struct description *d);

#endif
