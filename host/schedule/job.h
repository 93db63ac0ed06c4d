/* job.h: the schedule room's door: run one job from its options to committed output.
 *
 * job_run starts the driver: describe (in a worker), plan, journal, side indexes, sample, maps,
 * reduces, further steps and rounds, publish. It runs no user code itself. What a person sees is
 * not its business: it reports to an observer, and returns an outcome. The caller owns options and
 * observer for the length of the call. */
#ifndef LMR_SCHEDULE_JOB_H
#define LMR_SCHEDULE_JOB_H

#include "base/bytes.h"

/* Exit codes (design: "Command line"); a stop by a signal is 128 + its number. */
enum {
    EXIT_COMPLETE = 0,
    EXIT_FAILED = 1,
    EXIT_WRONG_USAGE = 2,
    EXIT_QUARANTINED = 3, /* complete, but records were put aside */
    EXIT_PARTIAL = 4,     /* tasks were dropped */
    EXIT_STOPPED = 75     /* by a policy; can be resumed */
};

/* True for the codes of a job whose result was published. */
static inline bool exit_has_result(int code)
{
    return code == EXIT_COMPLETE || code == EXIT_QUARANTINED || code == EXIT_PARTIAL;
}

struct run_options {
    const char *job_path;               /* NULL: one-liner */
    const char *map_code, *reduce_code; /* one-liner (-m, -r); reduce_code may be NULL */
    /* Names from the command line, in order; they replace the job's input_files when there are any. */
    char *const *inputs;
    size_t input_count;
    const char *output_dir;    /* -o; NULL: standard output */
    const char *output_format; /* --format for one-liners and standard output; NULL: the job's */
    const char *input_format;  /* --input; NULL: the job's */
    const char *profile;       /* NULL: production */
    const char *const *set;    /* KEY=VALUE */
    size_t set_count;
    unsigned workers;                 /* 0: sys_cores() */
    int64_t reducers;                 /* −1: the job's, else by size of the input */
    uint64_t split_size, sort_buffer; /* 0: the job's, else the defaults */
    bool compress_runs, overwrite, dry_run, has_seed;
    uint64_t seed;
    const char *state_dir, *work_dir; /* NULL: from the environment (design §8) */
    char *const *args;                /* after -- */
    size_t arg_count;
    int stdout_fd; /* where results go without -o (1) */
    /* Folder of a job that is to go on: all else is what job_options read from it. NULL: a new job. */
    const char *resume;
    bool quarantined; /* with resume: a complete job tries again what it had put aside */
    bool list_tasks;  /* with resume: the observer is shown what becomes of each task */
    /* With resume: stages ("map", "2:reduce") whose committed work is taken though they changed. */
    const char *const *accept;
    size_t accept_count;
    /* With resume, absolute: where its output directory (work folder's parent) is now; NULL: where it was. */
    const char *moved_output, *moved_work;
    unsigned from;    /* with resume: goes back to that checkpoint first; 0: to none */
};

enum { SPLIT_SIZE_DEFAULT = 32 << 20, SORT_BUFFER_DEFAULT = 64 << 20 };

enum job_phase { JOB_PREPARE, JOB_INDEX, JOB_SAMPLE, JOB_MAP, JOB_REDUCE, JOB_PUBLISH, JOB_DONE };

/* Where a job stands: for the progress line and the summary. Counts are of the whole job unless
 * said otherwise. */
struct job_snapshot {
    enum job_phase phase;
    unsigned step, steps, round; /* current step from 1; round 0 without iteration */
    uint64_t phase_tasks, phase_done, phase_running; /* of the current phase */
    /* With what running attempts have taken in: for rate and ETA. */
    uint64_t phase_bytes, phase_bytes_done;
    uint64_t records_in, bytes_in;               /* committed and running map attempts */
    uint64_t records_out, bytes_out;             /* of parts */
    uint64_t pairs, run_bytes, spills;           /* map side */
    uint64_t tasks, committed, attempts, failures, retries; /* so far; tasks: planned */
    uint64_t map_tasks, reduce_tasks; /* of `tasks`; the rest prepare, sample and format */
    uint64_t workers;
    int64_t started;    /* sys_now() */
    const char *status; /* newest mr.status text, or "" */
};

/* What --dry-run shows. Strings live until the callback returns. */
struct job_plan_view {
    const char *job_name;
    uint64_t files, bytes, splits, map_tasks, reduce_tasks, split_size, sort_buffer, seed;
    unsigned steps, workers;
    uint64_t space_needed, space_free;   /* bytes, in the work directory */
    uint64_t output_needed, output_free; /* bytes, for the parts (0: standard output) */
    bool one_disk;                       /* both take their space from the same one */
    const char *work_dir, *output_dir, *state_dir, *profile;
    struct {
        const char *path;
        uint64_t size; /* UINT64_MAX: its server does not tell it */
        uint64_t splits;
    } const *inputs;
    size_t input_count;
};

/* What becomes of a task when a job goes on. */
enum resume_fate {
    RESUME_REUSE,   /* it has committed, and is not run again */
    RESUME_AGAIN,   /* it has run, and runs again */
    RESUME_NEVER,   /* it has not run yet */
    RESUME_LEFT_OUT /* the job goes on without it, as was decided before */
};

struct resume_task {
    const char *task; /* "2:map_0" */
    enum resume_fate fate;
    double cpu_seconds; /* of the attempt that committed; 0: none has */
    const char *reason; /* why again; NULL: there is none */
};

/* Tasks that share fate and reason, in the order of the first of each. */
struct resume_group {
    enum resume_fate fate;
    const char *reason; /* or NULL */
    uint64_t tasks;
    double cpu_seconds;
};

/* What a resume will do. Strings live until the callback returns. */
struct resume_view {
    const char *job_id;
    const char *text; /* all of it for a reader but the list of tasks: lines */
    const struct resume_task *tasks;
    size_t task_count;
    const struct resume_group *groups;
    size_t group_count;
    const char *const *notes; /* what else there is to say: sentences */
    size_t note_count;
};

struct job_summary {
    const char *job_id, *output_dir; /* "" for standard output */
    struct job_snapshot totals;
    double wall_seconds, cpu_seconds; /* driver and workers */
    uint64_t peak_memory;             /* greatest of any one process, bytes */
    struct slice counters;            /* encoded map { group = { name = n } }; empty when none */
    struct slice statistics;          /* encoded (recover/statistics.h) */
    uint64_t quarantined, dropped;    /* records and groups put aside; tasks the result lacks */
    const char *quarantine_dir;       /* where they are */
    const char *resume_command;       /* or NULL */
};

/* All callbacks may be NULL. They are called from the driver's loop and must not block. */
struct job_observer {
    void (*plan)(void *context, const struct job_plan_view *view);        /* only with dry_run */
    /* With resume, and dry_run or list_tasks: once, before anything is done. */
    void (*resume)(void *context, const struct resume_view *view);
    void (*progress)(void *context, const struct job_snapshot *snapshot); /* some times a second */
    void (*note)(void *context,
                 const char *text); /* "map_3.0 failed (task_crash: …); trying again in 1 s" */
    void (*warning)(void *context, const char *text);
    void (*summary)(
        void *context,
        const struct job_summary *summary); /* once, also for a failed job that was started */
    void *context;
};

/* Runs the job; returns the exit code of design §8 and, when it is not 0, what to tell in `e`. */
int job_run(const struct run_options *options, const struct job_observer *observer, struct err *e);

/* What the job in a folder was started with, by its journal or (from > 0) by that checkpoint; memory from `arena`. *directory is where it was started, and
 * what its names are relative to. */
struct arena;
enum status job_options(const char *job_dir, unsigned from, struct arena *arena, struct run_options *out,
                        const char **directory, struct err *e);

/* True when its journal says that it is complete or partial: there is nothing to go on with. */
bool job_is_over(const char *job_dir);

/* The worker process: `lmr worker`, started by the driver with the socket on descriptor 3 and the
 * position page's memfd on 4. Returns the exit code. */
int worker_main(void);

#endif
