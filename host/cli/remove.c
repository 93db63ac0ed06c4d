#include "cli/remove.h"

#include "base/arena.h"
#include "base/sys.h"
#include "cli/disk.h"
#include "data/codec.h"
#include "recover/checkpoint.h"
#include "recover/history.h"
#include "recover/journal.h"
#include "schedule/moved.h"
#include "schedule/past.h"
#include "schedule/place.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_MAX = 2000000, FOLDERS_MAX = 8 };

struct removing {
    struct removal *told;
    const char *job_dir, *id;
    struct past past;
    bool readable;   /* the journal is */
    struct err why;  /* it is not */
    char folders[FOLDERS_MAX][PATH_MAX]; /* outside the state folder */
    size_t count;
    uint64_t entries;
};

/* --- what there is --- */

static void read_ended(struct history *h, int64_t *ended)
{
    static const char sql[] = "SELECT max(t) AS t FROM (SELECT max(ended) AS t FROM attempt UNION ALL "
                              "SELECT max(time) FROM event UNION ALL "
                              "SELECT CAST(value AS INTEGER) FROM job WHERE key = 'created')";
    struct buf rows = BUF_EMPTY;
    struct val_cursor c;
    struct slice row;
    if (history_query(h, sql, slice_of(NULL, 0), &rows, NULL) == ST_OK &&
        val_array(buf_slice(&rows), &c) > 0 && val_skip(&c, &row) == ST_OK)
        *ended = val_get_int(row, "t", 0);
    buf_free(&rows);
}

static enum status journal_path(const char *job_dir, char out[PATH_MAX], struct err *e)
{
    int n = snprintf(out, PATH_MAX, "%s/journal.db", job_dir);
    return n > 0 && n < PATH_MAX ? ST_OK
                                 : err_set(e, ST_USAGE, "the path %s is too long", job_dir);
}

enum status remove_look(const char *job_dir, struct removal *r, struct err *e)
{
    char path[PATH_MAX];
    struct history *h = NULL;
    struct past past = { .arena = ARENA_EMPTY };
    enum status st = journal_path(job_dir, path, e);
    if (st == ST_OK)
        st = past_read_job(path, &past, e);
    const char *state = st == ST_OK ? past_text(&past, "state") : NULL;
    if (state)
        (void)snprintf(r->state, sizeof r->state, "%s", state);
    if (st == ST_OK)
        st = history_open(path, &h, e);
    if (st == ST_OK)
        read_ended(h, &r->ended);
    history_close(h);
    past_free(&past);
    return st;
}

/* --- folders outside the state folder --- */

/* WORK_DIR/JOBID, CHECKPOINT_DIR/JOBID or OUT/.lmr-JOBID. */
static bool is_own_name(const struct removing *r, const char *path)
{
    const char *name = sys_name(path);
    return path[0] == '/' && (strcmp(name, r->id) == 0 ||
                              (strncmp(name, ".lmr-", 5) == 0 && strcmp(name + 5, r->id) == 0));
}

static bool is_inside(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Links are taken for what they are: a folder that is reached by one is looked for at its own place. */
static void add_folder(struct removing *r, const char *path)
{
    struct stat info;
    if (!path || path[0] != '/' || is_inside(path, r->job_dir) || lstat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return;
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->folders[i], path) == 0)
            return;
    if (r->count == FOLDERS_MAX || strlen(path) >= PATH_MAX || !is_own_name(r, path)) {
        (void)snprintf(r->told->note, sizeof r->told->note,
                       "%s is left: its name does not say that it is this job's", path);
        return;
    }
    (void)snprintf(r->folders[r->count++], PATH_MAX, "%s", path);
}

/* The folders that kept checkpoints lie in. */
static void add_checkpoints(struct removing *r, struct history *h)
{
    struct buf rows = BUF_EMPTY;
    struct val_cursor c;
    struct slice row;
    char path[PATH_MAX];
    uint64_t n = 0;
    if (history_query(h, "SELECT path FROM checkpoint", slice_of(NULL, 0), &rows, NULL) == ST_OK)
        n = val_array(buf_slice(&rows), &c);
    for (uint64_t i = 0; i < n && val_skip(&c, &row) == ST_OK; i++) {
        char *slash = val_get_cstr(row, "path", path, sizeof path) ? strrchr(path, '/') : NULL;
        if (!slash || path[0] != '/') /* in the job's folder */
            continue;
        *slash = '\0';
        add_folder(r, path);
    }
    buf_free(&rows);
}

/* A copy's folders outside are its original's, as long as that is there. */
static bool is_copy(struct removing *r)
{
    const char *was = past_text(&r->past, "job_dir");
    return was && strcmp(was, r->job_dir) != 0 && moved_is_copy(&r->past, was, r->job_dir);
}

static void find_folders(struct removing *r, const char *journal)
{
    struct history *h = NULL;
    if (r->readable && is_copy(r)) {
        (void)snprintf(r->told->note, sizeof r->told->note,
                       "it is a copy of the job in %s, whose files elsewhere are left",
                       past_text(&r->past, "job_dir"));
        return;
    }
    if (!r->readable) {
        (void)snprintf(r->told->note, sizeof r->told->note,
                       "what it may keep elsewhere is not known: %.1400s", r->why.message);
        return;
    }
    add_folder(r, past_text(&r->past, "work_dir"));
    add_folder(r, past_text(&r->past, "stage_dir"));
    if (history_open(journal, &h, NULL) == ST_OK)
        add_checkpoints(r, h);
    history_close(h);
}

static void count_bytes(struct removing *r)
{
    uint64_t *bytes = &r->told->bytes;
    bool all = disk_tree(r->job_dir, &r->entries, bytes);
    for (size_t i = 0; i < r->count && all; i++)
        all = disk_tree(r->folders[i], &r->entries, bytes);
    r->told->at_least = !all;
}

/* --- what must not go --- */

static enum status refuse_running(struct removing *r, struct err *e)
{
    const char *host = r->readable ? past_text(&r->past, "host") : NULL;
    int64_t pid = r->readable ? past_number(&r->past, "pid", 0) : 0;
    if (pid == 0)
        return err_set(e, ST_USAGE, "%s is running, and is left alone; lmr stop %s stops it", r->id, r->id);
    return err_set(e, ST_USAGE,
                   "%s is running (process %" PRId64 " on %s), and is left alone; lmr stop %s stops it",
                   r->id, pid, host ? host : "a host that is not known", r->id);
}

/* Nothing is locked to look: a driver is looked for. */
static bool seems_to_run(struct removing *r, const char *journal)
{
    const char *state = r->readable ? past_text(&r->past, "state") : NULL;
    bool unfinished = state && (strcmp(state, "running") == 0 || strcmp(state, "publishing") == 0);
    return unfinished &&
           history_writer(journal, (long)past_number(&r->past, "pid", 0)) == WRITER_ALIVE;
}

/* Parts stand in two places then, and an earlier result may stand in the stage folder. */
static enum status check_state(struct removing *r, struct err *e)
{
    const char *state = r->readable ? past_text(&r->past, "state") : NULL;
    if (!state || strcmp(state, "publishing") != 0)
        return ST_OK;
    const char *dir = past_text(&r->past, "output_dir");
    return err_set(e, ST_USAGE,
                   "%s was killed while its result was moved into %s: a part of it is there, and what stood there before "
                   "may be in %s; lmr resume %s ends that, and then it can be removed",
                   r->id, dir ? dir : "its place", past_text(&r->past, "stage_dir"), r->id);
}

/* --- removing --- */

/* The state folder goes last, and at once: until it has another name the job is there as before. */
static enum status remove_state(struct removing *r, struct err *e)
{
    char away[PATH_MAX];
    int n = snprintf(away, sizeof away, "%.*s.removed-%s", (int)(r->id - r->job_dir), r->job_dir,
                     r->id);
    if (n < 0 || (size_t)n >= sizeof away)
        return err_set(e, ST_USAGE, "the path %s is too long", r->job_dir);
    enum status st = sys_remove_tree(away, e); /* of a removal that was killed */
    if (st == ST_OK)
        st = sys_rename(r->job_dir, away, "remove.rename", e);
    return st == ST_OK ? sys_remove_tree(away, e) : st;
}

static enum status remove_all(struct removing *r, struct err *e)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < r->count && st == ST_OK; i++)
        st = sys_remove_tree(r->folders[i], e);
    return st == ST_OK ? remove_state(r, e) : st;
}

static enum status remove_locked(struct removing *r, const char *journal, struct err *e)
{
    err_clear(&r->why);
    r->readable = past_read_job(journal, &r->past, &r->why) == ST_OK;
    enum status st = check_state(r, e);
    if (st != ST_OK)
        return st;
    find_folders(r, journal);
    count_bytes(r);
    return r->told->dry_run ? ST_OK : remove_all(r, e);
}

/* --- what a complete job keeps --- */

static uint64_t blocks_of(struct removing *r, const char *path)
{
    uint64_t bytes = 0;
    (void)disk_tree(path, &r->entries, &bytes);
    return bytes;
}

/* A file that the journal names is removed only out of the job's own folders. */
static bool is_own_file(const struct removing *r, const char *path)
{
    if (strstr(path, "/../"))
        return false;
    bool own = is_inside(path, r->job_dir);
    for (size_t i = 0; i < r->count && !own; i++)
        own = is_inside(path, r->folders[i]);
    return own;
}

/* First the journal knows of it no more, then it goes. */
static enum status forget(const struct checkpoint_list *list, const char *journal, struct err *e)
{
    struct journal *j = NULL;
    if (list->count + list->garbage_count == 0)
        return ST_OK;
    enum status st = journal_open(journal, true, &j, e);
    if (st != ST_OK)
        return st;
    for (size_t i = 0; i < list->count; i++)
        journal_cut_checkpoint(j, list->kept[i].number);
    for (size_t i = 0; i < list->garbage_count; i++)
        journal_cut_garbage(j, list->garbage[i].path);
    return journal_close(j, e);
}

/* For lmr resume --quarantined. */
static bool needs_work(const struct removing *r)
{
    return past_number(&r->past, "quarantined", 0) > 0;
}

static enum status drop_file(struct removing *r, const char *path, struct err *e)
{
    if (!is_own_file(r, path))
        return ST_OK;
    r->told->bytes += blocks_of(r, path);
    return r->told->dry_run ? ST_OK : sys_unlink(path, e);
}

static enum status drop_files(struct removing *r, const struct checkpoint_list *list, struct err *e)
{
    char dir[PATH_MAX];
    enum status st = ST_OK;
    for (size_t i = 0; i < list->garbage_count && st == ST_OK && needs_work(r); i++)
        st = drop_file(r, list->garbage[i].path, e); /* else it goes with its folder */
    for (size_t i = 0; i < list->count && st == ST_OK; i++)
        st = drop_file(r, list->kept[i].path, e);
    if (list->count > 0 && !r->told->dry_run) {
        (void)snprintf(dir, sizeof dir, "%s", list->kept[0].path);
        *strrchr(dir, '/') = '\0';
        (void)rmdir(dir); /* unless something else is in it */
    }
    return st;
}

/* Its runs and staged parts; they may be in its own folder. */
static enum status drop_work(struct removing *r, struct err *e)
{
    const char *const keys[] = { "work_dir", "stage_dir" };
    enum status st = ST_OK;
    if (needs_work(r))
        return ST_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && st == ST_OK; i++) {
        const char *dir = past_text(&r->past, keys[i]);
        bool inside = dir && is_inside(dir, r->job_dir) && strcmp(sys_name(dir), "work") == 0;
        if (!dir || !(inside || (is_own_file(r, dir) && is_own_name(r, dir))))
            continue;
        r->told->bytes += blocks_of(r, dir);
        if (!r->told->dry_run)
            st = sys_remove_tree(dir, e);
        if (strcmp(dir, past_text(&r->past, keys[1])) == 0)
            break;
    }
    return st;
}

static enum status kept_locked(struct removing *r, const char *journal, struct err *e)
{
    struct checkpoint_list list = { .arena = ARENA_EMPTY };
    enum status st = past_read_job(journal, &r->past, e);
    const char *state = st == ST_OK ? past_text(&r->past, "state") : NULL;
    r->readable = st == ST_OK;
    if (!state || strcmp(state, "complete") != 0)
        return st;
    find_folders(r, journal);
    r->told->note[0] = '\0';
    st = checkpoint_list(r->job_dir, &list, e);
    if (st == ST_OK && !r->told->dry_run)
        st = forget(&list, journal, e);
    if (st == ST_OK)
        st = drop_files(r, &list, e);
    if (st == ST_OK)
        st = drop_work(r, e);
    checkpoint_list_free(&list);
    return st;
}

/* --- both --- */

/* Under the lock, which is not taken to look only. */
static enum status remove_with(const char *job_dir, struct removal *told,
                               enum status (*remove)(struct removing *, const char *, struct err *),
                               struct err *e)
{
    char journal[PATH_MAX];
    struct place place = { .arena = ARENA_EMPTY };
    struct removing *r = sys_calloc(1, sizeof *r);
    if (!r)
        return err_memory(e, "a removal", sizeof *r);
    *r = (struct removing){ .told = told,
                            .job_dir = job_dir,
                            .id = sys_name(job_dir),
                            .past = { .arena = ARENA_EMPTY },
                            .entries = ENTRIES_MAX };
    enum status st = journal_path(job_dir, journal, e);
    if (st == ST_OK)
        r->readable = past_read_job(journal, &r->past, NULL) == ST_OK;
    if (st == ST_OK && (seems_to_run(r, journal) ||
                        (!told->dry_run && (st = place_lock(&place, job_dir, e)) == ST_END)))
        st = refuse_running(r, e);
    past_free(&r->past);
    if (st == ST_OK)
        st = remove(r, journal, e);
    past_free(&r->past);
    place_free(&place);
    sys_free(r);
    return st;
}

enum status remove_job(const char *job_dir, struct removal *told, struct err *e)
{
    return remove_with(job_dir, told, remove_locked, e);
}

enum status remove_kept(const char *job_dir, struct removal *told, struct err *e)
{
    return remove_with(job_dir, told, kept_locked, e);
}
