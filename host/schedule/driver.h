/* driver.h: the inside of the driver, shared by the files of this room and by nobody else.
 *
 *   driver.c   the loop: events in, actions out
 *   carry.c    actions carried out
 *   steps.c    what comes next: prepare, run, stop test, publish
 *   plan.c     inputs, splits, reducers, space
 *   assign.c   assignments
 *   result.c   what committed attempts brought
 *   finish.c   publishing, cleaning up, the summary
 *   report.c   snapshots and notes
 *   remote.c   inputs behind http:// and https://
 *   dryrun.c   the plan shown */
#ifndef LMR_SCHEDULE_DRIVER_H
#define LMR_SCHEDULE_DRIVER_H

#include "data/input.h"
#include "data/publish.h"
#include "engine/local.h"
#include "recover/journal.h"
#include "schedule/core.h"
#include "schedule/counters.h"
#include "schedule/description.h"
#include "schedule/job.h"
#include "schedule/place.h"

enum work_kind {
    WORK_DESCRIBE,
    WORK_REMOTE,
    WORK_SIDE,
    WORK_PREVIOUS,
    WORK_SAMPLE,
    WORK_MAP,
    WORK_REDUCE,
    WORK_STOP,
    WORK_FORMAT
};

enum { TASK_NAME_MAX = 64, ATTEMPT_NAME_MAX = 96 };

/* A task of the core's present set, beside what the core keeps of it. */
struct work {
    enum work_kind kind;
    uint32_t index;      /* among those of its kind */
    uint32_t winner;     /* attempt, once committed */
    int64_t started;     /* sys_wall_clock, of the newest attempt */
    long worker;         /* pid that runs it */
    struct buf result;   /* of the winner */
    struct err *failure; /* the newest one, or NULL */
};

/* What the round that runs was planned to be. */
struct round_plan {
    struct arena arena; /* holds the splits */
    struct splits splits;
    uint64_t input_bytes;
    bool reads_pairs;      /* splits are pair runs of the step or round before */
    bool is_last;          /* writes the job's output, else pairs */
    uint32_t partitions;   /* 0: map only */
    struct buf boundaries; /* encoded array of a total order, or empty */
};

/* A file that outlives its round: pairs for the next one, a part, a side output. */
struct kept_file {
    struct buf path, name; /* NUL-terminated; name: as published */
    size_t number;         /* of an mr.output file among those of its name */
    uint64_t records, bytes;
    char checksum[24];
};

struct kept_files {
    struct kept_file *files;
    size_t count, capacity;
};

enum driver_at {
    AT_START,
    AT_DESCRIBE,
    AT_SPOOL,
    AT_REMOTE,
    AT_PREPARE,
    AT_RUN,
    AT_STOP_TEST,
    AT_FORMAT,
    AT_PUBLISH,
    AT_END
};

/* Signals that stop a job in good order. */
enum { STOP_SIGNALS = 3 };
extern const int driver_stop_signals[STOP_SIGNALS];

enum { FAN_IN = 64 }; /* sorted segments a reduce opens at a time */

struct driver {
    const struct run_options *options;
    const struct job_observer *observer;
    /* the loop */
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_timer_t poll_timer, due_timer;
    uv_signal_t stops[STOP_SIGNALS];
    uv_async_t spooled; /* sent by the thread that spools standard input */
    struct core core;
    struct pool *pool;
    struct buf actions; /* struct core_action, not yet carried out */
    bool polling;       /* the poll timer runs */
    bool spooling;      /* the thread runs */
    /* the job */
    bool has_stdin;
    bool sides_built;
    enum driver_at at;
    enum job_phase phase;
    uint32_t workers;
    struct description job;
    struct place place;
    struct journal *journal;
    struct arena arena;       /* specs, names, files */
    struct buf inputs;        /* encoded array for assignments */
    struct input_spec *specs; /* parallel to it */
    struct input_name *names; /* what is read */
    size_t spec_count, name_count;
    struct input_files files;
    uint64_t split_size, sort_buffer, seed;
    uint64_t plan_hash;
    /* where it stands */
    uint32_t step, round; /* from 0; round from 1, 0 without iteration */
    uint32_t work_count;
    uint32_t maps; /* of the round: they come first in AT_RUN */
    struct round_plan plan;
    struct work *work;            /* parallel to core.tasks */
    struct kept_files pairs;      /* typed pairs of the last round */
    struct kept_files step_input; /* typed pairs the step started from; empty: it reads files */
    struct kept_files parts;      /* of the job */
    struct kept_files outputs;    /* mr.output files, by their bare names */
    struct kept_files indexes;    /* of side files, named as the job names them */
    struct counters counters, round_counters; /* of the job; of the round that ran last */
    struct buf previous;        /* counters of the round before that one (encoded), or empty */
    struct job_snapshot totals; /* committed work; workers: the most there were at once */
    uint64_t run_bytes_before;  /* totals.run_bytes when the round began */
    struct buf status;          /* newest mr.status */
    int64_t started;
    struct kept_files seen_warnings; /* by name; each is told once */
    /* the end */
    bool told_short; /* that a worker could not be started */
    bool ending;
    int64_t ending_since;
    bool start_failed; /* not even the journal could be made */
    int stop_signal, exit_code;
    struct err failure;
    struct err worker_failure; /* how the newest worker ended, or why none could be started */
    struct err spool_failure;
    uint64_t spool_bytes;
};

/* driver.c */
void driver_deliver(struct driver *d, const struct core_event *event);
struct work_group {
    enum work_kind kind;
    uint32_t count;
};
/* Loads tasks into the core and begins: each group a stage of its own when `staged`, else all in
 * one. */
void driver_load(struct driver *d, const struct work_group *groups, uint32_t count, bool staged);
/* Starts the spooling of standard input; steps_spooled follows. */
void driver_spool(struct driver *d, const char *path);
/* Ends the job with a failure: workers are killed, the exit code follows from the status unless
 * `code` says it. The first one counts. */
void driver_fail(struct driver *d, const struct err *e, int code);
/* Everything is done: workers leave, the loop ends. */
void driver_end(struct driver *d, int code);

/* carry.c */
void carry_out(struct driver *d);
void carry_message(void *driver, uint32_t slot, const struct wire_message *message);
void carry_worker_end(void *driver, uint32_t slot, const struct worker_end *end);

/* assign.c */
const char *task_name(const struct driver *d, const struct work *w, char out[TASK_NAME_MAX]);
/* Name of an attempt's files: "2.7-map_0.1". */
const char *attempt_file_name(const struct driver *d, const struct work *w, uint32_t attempt,
                              char out[ATTEMPT_NAME_MAX]);
/* "DIR/ATTEMPT.ENDING" into `out` (replaced, NUL-terminated). */
enum status attempt_path(const struct driver *d, const struct work *w, uint32_t attempt,
                         const char *dir, const char *ending, struct buf *out);
/* Where the attempt writes its part, and what it ends in. */
const char *part_dir(const struct driver *d);
enum status assign_put(struct driver *d, const struct core_action *action, struct buf *out,
                       struct err *e);

/* plan.c */
enum status plan_inputs(struct driver *d, struct err *e); /* names → specs and files */
enum status plan_settings(struct driver *d,
                          struct err *e); /* split size, sort buffer, seed, workers */
/* The splits of the round that comes, and its reducers. */
enum status plan_round(struct driver *d, struct err *e);
void plan_round_free(struct round_plan *plan);
/* Bytes that may be needed in the work directory, and in the output directory if there is one. How they
 * are guessed is said in plan.c. */
uint64_t plan_space(const struct driver *d);
uint64_t plan_output_space(const struct driver *d);
/* True when the result takes its space where runs would take theirs in `work_dir`. */
bool plan_shares_disk(const struct driver *d, const char *work_dir);
void plan_journal(struct driver *d); /* the round's plan into the journal */

/* remote.c */
/* Tasks that ask servers for what the plan needs to know of addresses among the inputs; 0: there
 * are none. */
uint32_t remote_tasks(const struct driver *d);
/* The journal tells what the job was started with, and what attempts that failed were given. When there
 * are passwords in it, the job's folder is its owner's alone. Before the first row is written. */
enum status remote_keep_secrets(const struct driver *d, struct err *e);
/* Field `files` of the assignment of task `index`, appended. */
enum status remote_put_files(const struct driver *d, uint32_t index, struct buf *out);
/* What task `index` brought goes into d->files. ST_CORRUPT when it is about other addresses. */
enum status remote_take(struct driver *d, uint32_t index, struct slice result, struct err *e);

/* dryrun.c */
enum status dryrun_show(struct driver *d, struct err *e);

/* steps.c */
void steps_start(struct driver *d);
void steps_next(struct driver *d); /* the core's tasks are done */
void steps_spooled(struct driver *d);

/* result.c */
enum status kept_add(struct kept_files *k, const char *path, struct slice name,
                     struct slice description);
void kept_free(struct kept_files *k);
void kept_unlink(const struct kept_files *k);
/* A committed attempt: totals and warnings. */
void result_commit(struct driver *d, struct work *w);
/* Rows and files of the commit into the journal. */
void result_journal(struct driver *d, const struct work *w);
/* The round is over: counters, parts, pairs, side outputs; its runs are removed. */
enum status result_round(struct driver *d, struct err *e);
/* Tells what a description or result warns of. */
void result_warnings(struct driver *d, struct slice map);

/* finish.c */
void finish_publish(struct driver *d);
/* Removes files of attempts that did not win. */
void finish_attempt_files(struct driver *d, const struct work *w, uint32_t attempt);
void finish_cleanup(struct driver *d);
void finish_summary(struct driver *d);

/* report.c */
void report_snapshot(const struct driver *d, struct job_snapshot *out);
void report_progress(struct driver *d);
void report_note(struct driver *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_warning(struct driver *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
