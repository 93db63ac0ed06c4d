/* driver.h: the inside of the driver, shared by the files of this room and by nobody else.
 *
 *   driver.c   the loop: events in, actions out
 *   carry.c    actions carried out
 *   failed.c   what the ends of attempts mean: a struct err with all that is known
 *   decide.c   verdicts: asked for, journalled, carried out
 *   change.c   another profile for the running job
 *   requests.c what commands ask of the running job
 *   checkpoint.c  checkpoints of the job, and what they need of rounds that are over
 *   stop.c     the end of a job that is to be gone on with
 *   aside.c    records put aside: what attempts are told, what they bring, how many may be
 *   steps.c    what comes next: prepare, run, stop test, publish
 *   restore.c  a job that goes on: where it stood, and what is done (restore.h)
 *   mend.c     a complete job that tries again what it had put aside
 *   plan.c     inputs, splits, reducers, space
 *   assign.c   assignments
 *   task_checkpoint.c   checkpoints of running maps: who has the newest, who goes on from it
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
#include "recover/statistics.h"
#include "recover/verdict.h"
#include "schedule/control.h"
#include "schedule/core.h"
#include "schedule/counters.h"
#include "schedule/description.h"
#include "schedule/job.h"
#include "schedule/judge.h"
#include "schedule/place.h"
#include "schedule/policy.h"

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

/* Which attempt of a task: "map_0.1", or "map_0.1s" of a backup, which has a count of its own. */
struct attempt_id {
    uint32_t number;
    bool speculative;
};

static inline bool attempt_is_same(struct attempt_id a, struct attempt_id b)
{
    return a.number == b.number && a.speculative == b.speculative;
}

/* An attempt that runs in a slot, or has ended there, beside what the core keeps of it. */
struct running {
    struct attempt_id id;
    uint64_t serial;
    int64_t started; /* sys_wall_clock */
    long worker;     /* pid that runs it */
    int64_t ended;   /* likewise; of a failed one: what was decided may come later */
    uint64_t cpu_ns; /* known when it has ended */
    /* of a map, with checkpoints: */
    bool has_from;              /* it was given the checkpoint of `from` */
    struct attempt_id from;
    uint64_t went_on_at;        /* the record it went on from; 0: it began anew */
    uint64_t checkpoint_record; /* that its newest one holds; 0: there is none */
    uint32_t notes;             /* of its page, that were told */
};

/* The newest failure of a task, and what was decided about it. */
struct failure {
    struct err err;
    uint64_t fingerprint;
    struct running attempt;
    struct verdict verdict; /* of this failure, once it is there; of a record in a living attempt before */
    bool decided;           /* the verdict stands already: the attempt was told it */
};

/* A task of the core's present set, beside what the core keeps of it. */
struct work {
    enum work_kind kind;
    uint32_t index;           /* among those of its kind */
    struct attempt_id winner; /* once committed */
    bool dropped;             /* the job goes on without it */
    bool failed_before;       /* the job was resumed: it failed before that */
    int64_t first_started;    /* sys_wall_clock, of its first attempt; 0: none */
    struct judge_task judged; /* what its failures have led to */
    struct buf skip;          /* encoded elements of an assignment's `skip` */
    uint32_t skip_count;
    struct buf result;        /* of the winner */
    struct failure *failure;  /* the newest one, or NULL */
    struct attempt_id checkpoint; /* who has left the newest checkpoint */
    uint64_t checkpoint_record;   /* that it holds; 0: there is none */
    bool told_no_checkpoint;      /* why there is none */
};

/* A question that the policy host has not answered yet. */
struct question {
    uint64_t id;
    struct core_action action; /* ACT_ASK_POLICY; of a record in a living attempt: its slot, task, serial */
    bool in_attempt;           /* the attempt lives and waits for the answer */
    struct err err;
    struct verdict_context context;
    struct verdict_ask ask;
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
    size_t number;         /* of a part: its task's; of an mr.output file: among those of its name */
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

struct checkpoints;

struct driver {
    const struct run_options *options;
    const struct job_observer *observer;
    /* the loop */
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_timer_t poll_timer, due_timer;
    uv_signal_t stops[STOP_SIGNALS];
    uv_async_t spooled; /* sent by the thread that spools standard input */
    uv_async_t fence;   /* sent by the thread that keeps the lock, when it is another's */
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
    struct restore *restore; /* NULL: a new job */
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
    struct kept_files asides;     /* of records put aside, by their tasks */
    struct kept_files drops;      /* no files: the names of tasks that rounds went on without */
    struct kept_files indexes;    /* of side files, named as the job names them */
    struct counters counters, round_counters; /* of the job; of the round that ran last */
    struct buf previous;        /* counters of the round before that one (encoded), or empty */
    struct job_snapshot totals; /* committed work; workers: the most there were at once */
    uint64_t run_bytes_before;  /* totals.run_bytes when the round began */
    struct buf status;          /* newest mr.status */
    /* recovery */
    struct running *running;     /* by slot */
    struct failure **failures;   /* by slot: of its attempt, or NULL */
    struct policy *policy;       /* NULL: not needed yet */
    struct checkpoints *checkpoints;
    struct control *control;     /* NULL: nobody is listened to */
    struct control_reply *change; /* who waits for another profile to be loaded, or NULL */
    struct buf change_name;      /* of that profile, NUL-terminated */
    const char *profile_name;    /* of the one taken last, in the arena; NULL: that of the options */
    struct question **questions; /* in the order they were asked */
    size_t question_count, question_capacity;
    uint64_t next_question;
    struct retry_budget budget;
    struct statistics statistics;
    bool statistics_changed; /* since they were journalled */
    uint64_t quarantined;    /* records and groups of committed attempts */
    uint64_t round_units, round_quarantined; /* records of the maps of this round; then its groups */
    struct buf aside_example; /* the newest, in words, NUL-terminated */
    uint64_t aside_before;   /* the round that runs: of them */
    uint32_t dropped;        /* tasks, of the job */
    int64_t started;
    struct kept_files seen_warnings; /* by name; each is told once */
    /* the end */
    uint32_t told_no_checkpoint; /* of how many tasks */
    bool told_short; /* that a worker could not be started */
    bool stopping; /* nothing is handed out, the end waits for a checkpoint */
    struct err stop_why;
    int stop_code;
    const char *stop_reason;
    int64_t stop_until;
    bool ending;
    int64_t ending_since;
    bool start_failed; /* not even the journal could be made */
    bool is_fenced;    /* another driver has taken the job over: nothing is written any more */
    int stop_signal, exit_code;
    struct err failure;
    struct err worker_failure; /* how the newest worker ended, or why none could be started */
    struct err spool_failure;
    uint64_t spool_bytes;
};

/* driver.c */
/* How much of its input the map in the slot has taken in, by its page: 0 to 1; −1: nobody knows. */
double driver_fraction(const struct driver *d, uint32_t slot, const struct position *page);
void driver_deliver(struct driver *d, const struct core_event *event);
struct work_group {
    enum work_kind kind;
    uint32_t count;
};
/* Loads tasks into the core and begins: each group a stage of its own when `staged`, else all in
 * one. */
void driver_load(struct driver *d, const struct work_group *groups, uint32_t count, bool staged);
/* The task table alone, as driver_load makes it. */
enum status driver_make_work(struct driver *d, const struct work_group *groups, uint32_t count,
                             struct err *e);
/* Starts the spooling of standard input; steps_spooled follows. */
void driver_spool(struct driver *d, const char *path);
/* Soon something is waited for: the loop looks at what workers do much more often from now on. */
void driver_look_often(struct driver *d);
/* Ends the job with a failure: workers are killed, the exit code follows from the status unless
 * `code` says it. The first one counts. */
void driver_fail(struct driver *d, const struct err *e, int code);
/* Everything is done: workers leave, the loop ends. */
void driver_end(struct driver *d, int code);

/* fence.c */
void fence_open(struct driver *d); /* the loop listens for a lost lock */
/* Before the lock is taken: who hears of it. */
void fence_watch(struct driver *d);
/* The job is still this driver's. Takes a struct driver. */
bool fence_holds(void *driver);
/* It is not: why this driver ends. */
void fence_say(struct driver *d, struct err *e);
/* The job is another driver's: true, and this one has let go of the journal and says so when it ends. */
bool fence_ends(struct driver *d);

/* carry.c */
void carry_out(struct driver *d);
void carry_message(void *driver, uint32_t slot, const struct wire_message *message);
void carry_worker_end(void *driver, uint32_t slot, const struct worker_end *end);
/* True for the tasks a user counts: maps and reduces. */
bool work_is_counted(const struct work *w);
/* True for those that can pass over a record (group): these, and samples. */
bool work_has_units(const struct work *w);

/* failed.c */
/* What an attempt said of its failure, with what the driver knows. */
void failed_by_word(const struct driver *d, uint32_t slot, struct slice error, struct err *out);
/* The attempt's worker has died. */
void failed_by_death(const struct driver *d, uint32_t slot, const struct worker_end *end,
                     struct err *out);
/* Keeps the failure of the slot's attempt, until the core's action on it is carried out. False: out of
 * memory, the job is being ended. */
bool failed_remember(struct driver *d, uint32_t slot, const struct err *e);
/* It becomes the newest one of its task. */
void failed_adopt(struct driver *d, uint32_t slot, struct work *w);
/* " at FILE, byte N, record N", or "". */
enum { FAILED_PLACE_MAX = ERR_FILE_MAX + 96 };
const char *failed_place(const struct err *e, char out[FAILED_PLACE_MAX]);

/* decide.c */
/* ACT_ASK_POLICY, ACT_BACKUP_FAILED, ACT_LOST. */
void decide_failure(struct driver *d, const struct core_action *action);
void decide_backup(struct driver *d, const struct core_action *action);
void decide_lost(struct driver *d, const struct core_action *action);
/* A worker asks what becomes of a record. */
void decide_record(struct driver *d, uint32_t slot, struct slice payload);
/* Makes the policy host ready to be asked, unless it is. */
enum status decide_open_policy(struct driver *d, struct err *e);
void decide_free(struct driver *d);

/* change.c */
/* `lmr profile use` */
void change_ask(struct driver *d, struct control_reply *reply, struct slice request);
/* policy_handlers.loaded */
void change_loaded(void *driver, enum status st, const struct policy_loaded *loaded,
                   const struct err *problem);

/* requests.c */
/* Listens in the job's folder. */
enum status requests_open(struct driver *d, struct err *e);

/* stop.c */
/* Ends the job in good order, to be resumed later; `code` is its exit code, `reason` that of the
 * checkpoint (a constant). The second time it ends at once. */
void stop_begin(struct driver *d, const struct err *why, int code, const char *reason);
/* Once a turn: what is waited for may be there. */
void stop_turn(struct driver *d);
void stop_by_signal(struct driver *d, int number);
void stop_by_demand(struct driver *d, struct control_reply *reply);

/* checkpoint.c */
enum status checkpoints_open(struct driver *d, struct err *e);
/* Of a job that is taken up, under its lock: goes back to the checkpoint that was asked for, and
 * finishes what a killed one had begun of that. *journal is which journal to read: in a dry run
 * nothing is changed, and it is that checkpoint. */
enum status checkpoint_return(struct driver *d, const char *job_dir, const char **journal,
                              struct err *e);
/* Before anything is made: ST_USAGE when checkpoint_dir cannot be written. */
enum status checkpoint_check_dir(struct driver *d, struct err *e);
/* The journal is open: what there is already of a job that goes on. */
enum status checkpoint_begin(struct driver *d, struct err *e);
/* Once a turn: makes one if it is time to, or if one was asked for. */
void checkpoint_turn(struct driver *d);
/* A phase is over; the reason in words ("maps done"). */
void checkpoint_phase(struct driver *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes one here and now. */
void checkpoint_now(struct driver *d, const char *reason);
/* Something has committed since the last one. */
bool checkpoint_is_behind(const struct driver *d);
/* `lmr checkpoint` */
void checkpoint_ask(struct driver *d, struct control_reply *reply);
/* A file that rounds from the first place on have needed up to the second one (both included; steps
 * from 1) is removed, or kept as long as a checkpoint needs it. */
void checkpoint_remove_file(struct driver *d, const char *path, uint32_t from_step, uint32_t from_round,
                            uint32_t step, uint32_t round);
/* checkpoint.auto_cleanup */
bool checkpoint_cleans_up(const struct driver *d);
/* The result is published: none is needed any more. */
void checkpoint_complete(struct driver *d);
/* Waits for the one that is being made. */
void checkpoint_wait(struct driver *d);
/* The loop has ended: the same, and who still waits for one is told. Before control_close. */
void checkpoint_end(struct driver *d);
void checkpoints_close(struct driver *d);

/* aside.c */
enum status aside_put(const struct driver *d, const struct work *w, struct attempt_id id,
                      struct val_map *assignment, struct err *e);
/* The part of it that says what to pass over. */
enum status aside_put_skip(const struct work *w, struct val_map *assignment);
/* Puts the failure's record (group) on the list of those that the task's attempts pass over. */
enum status aside_skip(struct work *w, struct err *e);
bool aside_may(const struct driver *d);
/* The same for one more of what killed attempts of the task. */
bool aside_may_skip(const struct driver *d, const struct work *w);
/* Records or groups that a result put aside. */
int64_t aside_of(struct slice result);
/* A commit brought some (sign 1), or is undone (−1): the counts; those of the round's stage
 * alone. */
void aside_count(struct driver *d, const struct work *w, int sign);
void aside_count_round(struct driver *d, const struct work *w, int sign);
/* Tells of what a commit brought. */
void aside_tell(struct driver *d, const struct work *w);
/* The job fails when there are too many. */
void aside_judge(struct driver *d);
/* The maps, or the reduces, of a round are done: the job fails when most of what they read is bad. */
void aside_judge_round(struct driver *d);
/* The round is over: keeps the name of the task's file, for the manifest. */
enum status aside_keep(struct driver *d, const struct work *w);
/* Encoded array of { task, path, records } of all kept ones; nothing when there is none. */
enum status aside_list(const struct driver *d, struct buf *out);
void aside_journal(struct driver *d, const struct work *w, const struct journal_place *place);

/* assign.c */
const char *task_name(const struct driver *d, const struct work *w, char out[TASK_NAME_MAX]);
/* Name of an attempt's files: "2.7-map_0.1". */
const char *attempt_file_name(const struct driver *d, const struct work *w, struct attempt_id id,
                              char out[ATTEMPT_NAME_MAX]);
/* "DIR/ATTEMPT.ENDING" into `out` (replaced, NUL-terminated). */
enum status attempt_path(const struct driver *d, const struct work *w, struct attempt_id id,
                         const char *dir, const char *ending, struct buf *out);
/* Where the attempt writes its part, and what it ends in. */
const char *part_dir(const struct driver *d);
/* The assignment of an attempt of the task. */
enum status assign_put(struct driver *d, uint32_t task, const struct running *attempt,
                       struct buf *out, struct err *e);

/* What the policy host is to load: the job and a profile (NULL: production). */
enum status assign_policy(struct driver *d, const char *profile, struct buf *out,
                          struct err *e);

/* task_checkpoint.c */
/* The attempt, about to be handed out, is given its task's newest checkpoint, if there is one. */
void task_checkpoint_give(const struct driver *d, uint32_t task, struct running *r);
/* Field `checkpoint` of its assignment. */
enum status task_checkpoint_put(const struct driver *d, uint32_t task, const struct running *r,
                                struct val_map *assignment);
/* Takes in what the page of a slot's worker tells of the attempt there. */
void task_checkpoint_see(struct driver *d, uint32_t slot, const struct position *page);
/* The files of the attempt are those of its task's newest checkpoint. */
bool task_checkpoint_keeps(const struct driver *d, const struct work *w, struct attempt_id id);
/* The task has committed: checkpoints of it are removed. */
void task_checkpoint_committed(struct driver *d, struct work *w);
/* An attempt has failed, perhaps by the checkpoint that it was given. */
void task_checkpoint_failed(struct driver *d, struct work *w, const struct failure *f);
/* Is there one of a task that has not committed? */
bool task_checkpoint_any(const struct driver *d);
/* The tasks of a job that goes on were restored: looks for checkpoints that running attempts left. */
void task_checkpoint_find(struct driver *d);
/* Asks all running maps for a checkpoint; true as long as one has neither taken it, nor ended, nor said that
 * it cannot. */
void task_checkpoint_ask(struct driver *d);
bool task_checkpoint_pending(const struct driver *d);

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
/* Told when there is less than that. */
void plan_warn_of_space(struct driver *d);
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
/* What the rounds so far have brought: files and counters. */
void result_free(struct driver *d);
/* Keeps the part of a committed task in `parts`, if it is one that writes them, and its side
 * outputs. */
enum status result_keep(struct driver *d, const struct work *w, struct kept_files *parts);
/* A committed attempt: totals and warnings. */
void result_commit(struct driver *d, struct work *w);
/* The totals alone. */
void result_count(struct driver *d, const struct work *w);
/* Calls `take` for each mr.output file of a result, until one does not return ST_OK. */
typedef enum status (*result_take_output)(struct driver *d, void *context, const char *path,
                                          const char *name, struct slice description);
enum status result_each_output(struct driver *d, const struct work *w, result_take_output take,
                               void *context);
/* What was committed does not count any more. */
void result_undo(struct driver *d, struct work *w);
/* Rows and files of the commit into the journal. */
void result_journal(struct driver *d, const struct work *w, const struct running *attempt);
/* The round is over: counters, parts, pairs, side outputs; its runs are removed. */
enum status result_round(struct driver *d, struct err *e);
/* Tells what a description or result warns of. */
void result_warnings(struct driver *d, struct slice map);

/* finish.c */
enum { FILE_SUFFIX_MAX = 16 };
/* What names of published files end in. */
enum status finish_suffix(const struct driver *d, char out[FILE_SUFFIX_MAX], struct err *e);
/* What its last round put aside can be tried again later (mend.c): its runs are needed for that. */
bool finish_keeps_runs(const struct driver *d);
void finish_publish(struct driver *d);
/* Removes files of attempts that did not win. */
void finish_attempt_files(struct driver *d, const struct work *w, struct attempt_id id);
void finish_cleanup(struct driver *d);
void finish_summary(struct driver *d);

/* report.c */
void report_snapshot(const struct driver *d, struct job_snapshot *out);
void report_progress(struct driver *d);
void report_note(struct driver *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Told, and journalled, with log.level = "debug" only. */
void report_detail(struct driver *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_warning(struct driver *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
