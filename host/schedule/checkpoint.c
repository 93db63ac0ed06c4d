/* checkpoint.c: when the job as a whole is checkpointed, which checkpoints stay, and which files of
 * rounds that are over stay for them (recover/checkpoint.h: the files themselves).
 *
 * One is made by a thread, while the loop goes on: what it copies is whatever the journal has committed
 * as it begins. So where it stands is known only when it is there; until then it counts as one that
 * may need anything from where the job stood when the thread began. */
#include "schedule/driver.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "recover/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REASON_MAX = 48, REPLIES_MAX = 8, ASK_SECONDS = 5 };

/* Rounds may be short and many: their ends are checkpointed no more often. */
static const int64_t round_pause = INT64_C(1000000000);

struct kept_checkpoint {
    uint32_t number, step, round;
    char *path;
};

struct garbage_file {
    char *path;
    uint32_t step, round; /* it was needed up to there */
};

struct checkpoints {
    uv_async_t made; /* sent by the thread at its end */
    const char *dir; /* of the job's checkpoints, in the driver's arena; NULL: not begun */
    bool in_job_dir;
    struct kept_checkpoint *kept; /* ascending */
    size_t count, capacity;
    struct garbage_file *garbage;
    size_t garbage_count, garbage_capacity;
    uint32_t last; /* the greatest number ever used */
    int64_t last_time;
    uint64_t commits; /* at the last one */
    /* the one that is being made */
    bool running;
    pthread_t thread;
    const char *journal_path;
    struct buf path;
    char reason[REASON_MAX];
    bool durable;
    uint32_t step, round; /* where the job stood when it began */
    struct checkpoint result;
    enum status status;
    struct err failure;
    /* who asked for one */
    char phase[REASON_MAX]; /* that ended while one was made: it gets one after it, "": none */
    struct control_reply *replies[REPLIES_MAX]; /* of the one that is being made */
    size_t reply_count;
    struct control_reply *next[REPLIES_MAX]; /* of the one after it */
    size_t next_count;
    int64_t wait_until; /* for running attempts, before it begins */
};

/* --- opening and closing --- */

static void finish(struct driver *d);

static void on_made(uv_async_t *async)
{
    struct driver *d = async->data;
    if (d->checkpoints->running && !d->ending)
        finish(d);
}

enum status checkpoints_open(struct driver *d, struct err *e)
{
    d->checkpoints = sys_calloc(1, sizeof *d->checkpoints);
    if (!d->checkpoints)
        return err_memory(e, "checkpoints", sizeof *d->checkpoints);
    (void)uv_async_init(&d->loop, &d->checkpoints->made, on_made);
    d->checkpoints->made.data = d;
    return ST_OK;
}

void checkpoints_close(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        sys_free(c->kept[i].path);
    for (size_t i = 0; i < c->garbage_count; i++)
        sys_free(c->garbage[i].path);
    sys_free(c->kept);
    sys_free(c->garbage);
    buf_free(&c->path);
    sys_free(c);
    d->checkpoints = NULL;
}

static void *grow(void *array, size_t count, size_t *capacity, size_t element)
{
    if (count < *capacity)
        return array;
    size_t wanted = *capacity ? 2 * *capacity : 16;
    void *more = sys_realloc(array, wanted * element);
    if (more)
        *capacity = wanted;
    return more;
}

static enum status keep(struct checkpoints *c, const struct checkpoint *made, const char *path)
{
    struct kept_checkpoint *kept = grow(c->kept, c->count, &c->capacity, sizeof *kept);
    char *copy = kept ? sys_strdup(path) : NULL;
    if (kept)
        c->kept = kept;
    if (!copy)
        return ST_MEMORY;
    c->kept[c->count++] = (struct kept_checkpoint){ made->number, made->step, made->round, copy };
    return ST_OK;
}

static enum status keep_garbage(struct checkpoints *c, const char *path, uint32_t step, uint32_t round)
{
    struct garbage_file *garbage =
        grow(c->garbage, c->garbage_count, &c->garbage_capacity, sizeof *garbage);
    char *copy = garbage ? sys_strdup(path) : NULL;
    if (garbage)
        c->garbage = garbage;
    if (!copy)
        return ST_MEMORY;
    c->garbage[c->garbage_count++] = (struct garbage_file){ copy, step, round };
    return ST_OK;
}

/* --- going back --- */

static enum status peek(struct driver *d, const char *job_dir, const char **journal, struct err *e)
{
    struct buf path = BUF_EMPTY;
    if (d->options->from == 0)
        return ST_OK;
    enum status st = checkpoint_find(job_dir, d->options->from, &path, e);
    const char *copy = st == ST_OK ? arena_strdup(&d->arena, (const char *)path.p) : NULL;
    buf_free(&path);
    if (st == ST_OK && !copy)
        return err_memory(e, "a path", PATH_MAX);
    *journal = copy ? copy : *journal;
    return st;
}

enum status checkpoint_return(struct driver *d, const char *job_dir, const char **journal, struct err *e)
{
    struct checkpoint_back told;
    if (d->options->dry_run)
        return peek(d, job_dir, journal, e);
    enum status st = checkpoint_go_back(job_dir, d->options->from, &told, e);
    if (st == ST_OK && told.number > 0)
        report_note(d, "back to checkpoint %" PRIu32 "; the journal as it was, and what came after, is in %s",
                    told.number, told.folder);
    return st;
}

/* --- the folder --- */

/* Absolute; relative ones are meant from where the job was started. */
static const char *base_dir(struct driver *d)
{
    char cwd[PATH_MAX];
    const char *dir = d->job.checkpoint.dir;
    if (dir[0] == '/')
        return dir;
    return getcwd(cwd, sizeof cwd) ? place_join(&d->place, cwd, dir) : NULL;
}

enum status checkpoint_check_dir(struct driver *d, struct err *e)
{
    const char *dir = d->job.checkpoint.enabled && d->job.checkpoint.dir ? base_dir(d) : NULL;
    struct err why;
    err_clear(&why);
    if (!dir)
        return ST_OK;
    enum status st = dir[0] ? sys_mkdir_all(dir, &why) : ST_OK;
    if (st == ST_OK && access(dir, W_OK | X_OK) == 0)
        return ST_OK;
    if (st == ST_OK)
        (void)err_sys(&why, errno, "write in", dir);
    return err_set(e, ST_USAGE,
                   "checkpoint.checkpoint_dir: %.*s; name a folder that can be written, or leave it out: "
                   "checkpoints are kept in the job's folder then",
                   ERR_MESSAGE_MAX - 200, why.message);
}

static enum status plan_dir(struct driver *d, struct err *e)
{
    struct checkpoints *c = d->checkpoints;
    c->in_job_dir = !d->job.checkpoint.dir;
    const char *base = c->in_job_dir ? d->place.job_dir : base_dir(d);
    c->dir = base ? place_join(&d->place, base, c->in_job_dir ? "checkpoints" : d->place.job_id) : NULL;
    c->journal_path = place_join(&d->place, d->place.job_dir, "journal.db");
    return c->dir && c->journal_path ? ST_OK : err_memory(e, "a path", PATH_MAX);
}

static enum status take_list(struct checkpoints *c, const struct checkpoint_list *list, struct err *e)
{
    enum status st = ST_OK;
    c->last = list->last;
    for (size_t i = 0; i < list->count && st == ST_OK; i++)
        st = keep(c, &list->kept[i], list->kept[i].path);
    for (size_t i = 0; i < list->garbage_count && st == ST_OK; i++)
        st = keep_garbage(c, list->garbage[i].path, list->garbage[i].step, list->garbage[i].round);
    return st == ST_OK ? ST_OK : err_memory(e, "checkpoints", list->count);
}

/* Where the checkpoints lie elsewhere the job's folder has a link to them, for those who cannot ask its journal
 * because that is damaged. Where links cannot be made there is none; a folder of that name stays. NULL `to`: the
 * link goes. */
static void set_link(struct driver *d, const char *to)
{
    const char *path = place_join(&d->place, d->place.job_dir, "checkpoints");
    if (!path || (d->checkpoints->in_job_dir && !to))
        return;
    (void)unlink(path);
    if (to && symlink(to, path) != 0)
        report_detail(d, "cannot make %s, a link to the checkpoints: %s", path, strerror(errno));
}

enum status checkpoint_begin(struct driver *d, struct err *e)
{
    struct checkpoints *c = d->checkpoints;
    struct checkpoint_list list = { .arena = ARENA_EMPTY };
    enum status st = plan_dir(d, e);
    if (st == ST_OK && d->restore)
        st = checkpoint_list(d->place.job_dir, &list, e);
    if (st == ST_OK && d->restore)
        st = take_list(c, &list, e);
    if (st == ST_OK && d->restore)
        checkpoint_sweep(c->dir, &list);
    checkpoint_list_free(&list);
    c->last_time = sys_now();
    c->commits = d->statistics.committed;
    if (st == ST_OK)
        journal_job(d->journal, "checkpoint_dir", c->in_job_dir ? NULL : c->dir);
    if (st == ST_OK && !c->in_job_dir)
        set_link(d, c->dir);
    return st;
}

/* --- what is not needed any more --- */

static bool is_before(uint32_t step, uint32_t round, uint32_t other_step, uint32_t other_round)
{
    return step < other_step || (step == other_step && round <= other_round);
}

/* A checkpoint stands there, or between. */
static bool is_needed(const struct checkpoints *c, uint32_t from_step, uint32_t from_round, uint32_t step,
                      uint32_t round)
{
    for (size_t i = 0; i < c->count; i++)
        if (is_before(from_step, from_round, c->kept[i].step, c->kept[i].round) &&
            is_before(c->kept[i].step, c->kept[i].round, step, round))
            return true;
    return c->running && is_before(c->step, c->round, step, round);
}

/* The oldest go first, so what is left at or before a file's last round has stood in its rounds. */
static void collect_garbage(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    size_t left = 0;
    for (size_t i = 0; i < c->garbage_count; i++) {
        struct garbage_file g = c->garbage[i];
        if (!d->job.checkpoint.auto_cleanup || is_needed(c, 0, 0, g.step, g.round)) {
            c->garbage[left++] = g;
            continue;
        }
        (void)sys_unlink(g.path, NULL);
        journal_cut_garbage(d->journal, g.path);
        sys_free(g.path);
    }
    c->garbage_count = left;
}

/* First nobody knows of it any more, then it is gone. */
static void drop_oldest(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    struct kept_checkpoint oldest = c->kept[0];
    journal_cut_checkpoint(d->journal, oldest.number);
    (void)journal_write(d->journal, NULL);
    (void)sys_unlink(oldest.path, NULL);
    sys_free(oldest.path);
    c->count--;
    memmove(c->kept, c->kept + 1, c->count * sizeof *c->kept);
}

static void prune(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    while (c->count > d->job.checkpoint.keep)
        drop_oldest(d);
    collect_garbage(d);
}

void checkpoint_remove_file(struct driver *d, const char *path, uint32_t from_step, uint32_t from_round,
                            uint32_t step, uint32_t round)
{
    struct checkpoints *c = d->checkpoints;
    bool keeps = !d->job.checkpoint.auto_cleanup || is_needed(c, from_step, from_round, step, round);
    if (keeps && keep_garbage(c, path, step, round) == ST_OK)
        journal_garbage(d->journal, path, step, round);
    else
        (void)sys_unlink(path, NULL);
}

bool checkpoint_cleans_up(const struct driver *d)
{
    return d->job.checkpoint.auto_cleanup;
}

void checkpoint_complete(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    if (!c->dir || !d->job.checkpoint.auto_cleanup)
        return;
    for (size_t i = 0; i < c->count; i++) {
        (void)sys_unlink(c->kept[i].path, NULL);
        journal_cut_checkpoint(d->journal, c->kept[i].number);
        sys_free(c->kept[i].path);
    }
    c->count = 0;
    collect_garbage(d);
    sys_rmdir(c->dir);
    set_link(d, NULL);
}

/* --- making one --- */

static void answer(struct control_reply *reply, const struct checkpoint *made, const struct err *failure)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf text = BUF_EMPTY;
    if (failure) {
        control_say(reply, false, failure->message);
        return;
    }
    val_map_bool(&m, "ok", true);
    val_map_str(&m, "message", "");
    val_map_int(&m, "number", made->number);
    val_map_str(&m, "path", made->path);
    val_map_int(&m, "bytes", (int64_t)made->bytes);
    (void)val_map_end(&m, &text);
    control_answer(reply, buf_slice(&text));
    buf_free(&text);
}

static void answer_all(struct checkpoints *c, const struct err *failure)
{
    for (size_t i = 0; i < c->reply_count; i++)
        answer(c->replies[i], &c->result, failure);
    c->reply_count = 0;
}

/* Where it is, for a folder that may be moved. */
static const char *row_path(const struct checkpoints *c)
{
    const char *path = (const char *)c->path.p, *slash = strrchr(path, '/');
    while (c->in_job_dir && slash > path && slash[-1] != '/')
        slash--;
    return c->in_job_dir ? slash : path;
}

static void journal_made(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    const struct journal_checkpoint row = {
        .number = c->result.number,
        .time = c->result.time,
        .reason = c->reason,
        .path = row_path(c),
        .bytes = c->result.bytes,
        .step = c->result.step,
        .round = c->result.round,
        .done = c->result.done,
        .tasks = c->result.tasks,
    };
    journal_checkpoint(d->journal, &row);
}

/* The thread has ended, or is about to. A checkpoint that could not be made is a pity and no more. */
static void finish(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    (void)pthread_join(c->thread, NULL);
    c->running = false;
    enum status st = c->status;
    if (st == ST_OK && keep(c, &c->result, (const char *)c->path.p) != ST_OK) {
        st = err_memory(&c->failure, "checkpoints", c->count);
        (void)sys_unlink((const char *)c->path.p, NULL);
    }
    if (st == ST_OK) {
        c->last = c->result.number;
        journal_made(d);
        prune(d);
    } else {
        report_warning(d, "checkpoint %" PRIu32 " was not made: %s; the job goes on without it",
                       c->result.number, c->failure.message);
    }
    /* Who asked may look for it at once. */
    if (journal_write(d->journal, &c->failure) != ST_OK)
        st = ST_CRASH;
    answer_all(c, st == ST_OK ? NULL : &c->failure);
}

static void *make(void *driver)
{
    struct driver *d = driver;
    struct checkpoints *c = d->checkpoints;
    err_clear(&c->failure);
    c->status = checkpoint_make(c->journal_path, (const char *)c->path.p, c->durable, &c->result,
                                &c->failure);
    (void)uv_async_send(&c->made);
    return NULL;
}

static enum status prepare(struct driver *d, const char *reason, struct err *e)
{
    struct checkpoints *c = d->checkpoints;
    enum status st = checkpoint_path(c->dir, c->last + 1, &c->path);
    if (st != ST_OK)
        return err_memory(e, "a path", PATH_MAX);
    (void)snprintf(c->reason, sizeof c->reason, "%s", reason);
    c->durable = d->job.durable;
    c->step = d->step + 1;
    c->round = d->round;
    c->last_time = sys_now();
    c->commits = d->statistics.committed;
    c->result = (struct checkpoint){ .number = c->last + 1,
                                     .time = sys_wall_clock(),
                                     .path = (const char *)c->path.p };
    return journal_write(d->journal, e);
}

/* Begins one, unless one is being made. Where failpoints are counted it is made here and now, so that
 * their order is the same each time. */
static void start(struct driver *d, const char *reason)
{
    struct checkpoints *c = d->checkpoints;
    enum status st = prepare(d, reason, &c->failure);
    if (st == ST_OK && pthread_create(&c->thread, NULL, make, d) != 0)
        st = err_set(&c->failure, ST_CRASH, "cannot start a thread");
    c->running = st == ST_OK;
    if (st == ST_OK && failpoint_armed)
        finish(d);
    else if (st != ST_OK)
        answer_all(c, &c->failure);
}

static bool may_make(const struct driver *d)
{
    const struct checkpoints *c = d->checkpoints;
    return c->dir && d->journal && d->job.checkpoint.enabled;
}

static void start_phase(struct driver *d)
{
    char reason[REASON_MAX];
    (void)snprintf(reason, sizeof reason, "%s", d->checkpoints->phase);
    d->checkpoints->phase[0] = '\0';
    start(d, reason);
}

void checkpoint_phase(struct driver *d, const char *format, ...)
{
    struct checkpoints *c = d->checkpoints;
    va_list args;
    bool soon = d->round > 0 && sys_now() - c->last_time < round_pause && !failpoint_armed;
    if (!may_make(d) || d->ending || d->stopping || soon)
        return;
    va_start(args, format);
    (void)vsnprintf(c->phase, sizeof c->phase, format, args);
    va_end(args);
    if (!c->running)
        start_phase(d);
}

void checkpoint_now(struct driver *d, const char *reason)
{
    struct checkpoints *c = d->checkpoints;
    if (!may_make(d))
        return;
    if (c->running)
        finish(d);
    start(d, reason);
    if (c->running)
        finish(d);
}

void checkpoint_wait(struct driver *d)
{
    if (d->checkpoints->running)
        finish(d);
}

bool checkpoint_is_behind(const struct driver *d)
{
    return d->checkpoints->commits != d->statistics.committed;
}

/* --- by the clock, and on demand --- */

static void start_next(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    memcpy(c->replies, c->next, sizeof c->next);
    c->reply_count = c->next_count;
    c->next_count = 0;
    start(d, "demand");
}

void checkpoint_turn(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    if (!may_make(d) || d->ending || d->stopping || c->running || d->at < AT_PREPARE)
        return;
    int64_t now = sys_now(), interval = d->job.checkpoint.interval;
    if (c->next_count > 0) {
        if (now >= c->wait_until || !task_checkpoint_pending(d))
            start_next(d);
    } else if (c->phase[0]) {
        start_phase(d);
    } else if (interval > 0 && now - c->last_time >= interval && checkpoint_is_behind(d)) {
        start(d, "interval");
    }
}

void checkpoint_ask(struct driver *d, struct control_reply *reply)
{
    struct checkpoints *c = d->checkpoints;
    if (!d->job.checkpoint.enabled)
        control_say(reply, false, "this job makes no checkpoints (checkpoint.enabled = false in its profile)");
    else if (d->ending || d->stopping || d->at < AT_PREPARE || d->at >= AT_PUBLISH || !may_make(d))
        control_say(reply, false, "the job is not at work: it starts or ends just now");
    else if (c->next_count == REPLIES_MAX)
        control_say(reply, false, "others wait for a checkpoint just now; try again");
    else {
        if (c->next_count == 0) {
            task_checkpoint_ask(d);
            c->wait_until = sys_now() + INT64_C(1000000000) * ASK_SECONDS;
            driver_look_often(d);
        }
        c->next[c->next_count++] = reply;
    }
}

void checkpoint_end(struct driver *d)
{
    struct checkpoints *c = d->checkpoints;
    checkpoint_wait(d);
    for (size_t i = 0; i < c->next_count; i++)
        control_say(c->next[i], false, "the job ended before it was checkpointed");
    c->next_count = 0;
}
