#include "cli/which_job.h"

#include "base/arena.h"
#include "base/size.h"
#include "schedule/place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { NAMES_SHOWN = 4 };

struct found {
    const char *id;
    size_t name;      /* length of the job's name in it: without "-3" */
    uint64_t number;  /* the 3 */
    int64_t written;  /* its journal, nanoseconds since 1970 */
};

struct jobs {
    struct arena arena;
    const char *dir;
    struct found *list; /* in the arena */
    size_t count, cap;
};

/* --- the jobs there are --- */

static int64_t written_at(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

/* When the journal of a job was last written; false: it has none. An empty WAL is a reader's. */
static bool journal_time(const char *dir, const char *id, int64_t *out)
{
    char path[4096];
    struct stat info;
    int n = snprintf(path, sizeof path - 4, "%s/%s/journal.db", dir, id);
    if (n < 0 || (size_t)n >= sizeof path - 4 || stat(path, &info) != 0)
        return false;
    *out = written_at(&info);
    memcpy(path + n, "-wal", 5);
    if (stat(path, &info) == 0 && info.st_size > 0 && written_at(&info) > *out)
        *out = written_at(&info);
    return true;
}

/* "word_count-3" → its name's length and 3; false: it is no id. */
static bool split_id(const char *id, struct found *out)
{
    const char *dash = strrchr(id, '-');
    if (!dash || dash == id || dash[1] < '0' || dash[1] > '9')
        return false;
    char *end = NULL;
    out->name = (size_t)(dash - id);
    out->number = strtoull(dash + 1, &end, 10);
    return *end == '\0';
}

static enum status add(struct jobs *jobs, const struct found *job, struct err *e)
{
    if (jobs->count == jobs->cap) {
        size_t cap = jobs->cap ? 2 * jobs->cap : 64;
        struct found *more = arena_alloc(&jobs->arena, cap * sizeof *more);
        if (!more)
            return err_memory(e, "a list of jobs", cap * sizeof *more);
        if (jobs->count)
            memcpy(more, jobs->list, jobs->count * sizeof *more);
        jobs->list = more;
        jobs->cap = cap;
    }
    jobs->list[jobs->count] = *job;
    jobs->list[jobs->count].id = arena_strdup(&jobs->arena, job->id);
    if (!jobs->list[jobs->count].id)
        return err_memory(e, "a list of jobs", strlen(job->id));
    jobs->count++;
    return ST_OK;
}

static enum status collect(struct jobs *jobs, struct err *e)
{
    const struct dirent *entry;
    enum status st = ST_OK;
    DIR *d = opendir(jobs->dir);
    if (!d && errno == ENOENT)
        return ST_OK;
    if (!d) {
        (void)err_sys(e, errno, "read the state folder", jobs->dir);
        return ST_USAGE;
    }
    while (st == ST_OK && (entry = readdir(d))) {
        struct found job = { .id = entry->d_name };
        if (job.id[0] != '.' && split_id(job.id, &job) &&
            journal_time(jobs->dir, job.id, &job.written))
            st = add(jobs, &job, e);
    }
    (void)closedir(d);
    return st;
}

/* --- the one that is meant --- */

static bool is_later(const struct found *a, const struct found *b)
{
    if (a->written != b->written)
        return a->written > b->written;
    if (a->number != b->number)
        return a->number > b->number;
    return strcmp(a->id, b->id) > 0;
}

static bool same_name(const struct found *a, const struct found *b)
{
    return a->name == b->name && memcmp(a->id, b->id, a->name) == 0;
}

enum fit { FIT_PREFIX, FIT_NAME, FIT_ID };

static bool fits(const struct found *job, const char *word, enum fit fit)
{
    size_t n = strlen(word);
    if (fit == FIT_ID)
        return strcmp(job->id, word) == 0;
    if (fit == FIT_NAME)
        return n == job->name && memcmp(job->id, word, n) == 0;
    return strncmp(job->id, word, n) == 0;
}

/* The latest that fits; *several: jobs of more than one name do. */
static const struct found *latest(const struct jobs *jobs, const char *word, enum fit fit,
                                  bool *several)
{
    const struct found *best = NULL;
    *several = false;
    for (size_t i = 0; i < jobs->count; i++) {
        const struct found *job = &jobs->list[i];
        if (!fits(job, word, fit))
            continue;
        *several = *several || (best && !same_name(job, best));
        if (!best || is_later(job, best))
            best = job;
    }
    return best;
}

static enum status ambiguous(const struct jobs *jobs, const char *word, struct err *e)
{
    char names[512] = "";
    size_t used = 0, shown = 0;
    for (size_t i = 0; i < jobs->count && shown < NAMES_SHOWN; i++) {
        const struct found *job = &jobs->list[i];
        bool told = !fits(job, word, FIT_PREFIX);
        for (size_t k = 0; k < i && !told; k++)
            told = same_name(job, &jobs->list[k]);
        if (told)
            continue;
        int n = snprintf(names + used, sizeof names - used, "%s%.*s", shown ? ", " : "",
                         (int)job->name, job->id);
        if (n < 0 || (size_t)n >= sizeof names - used)
            break;
        used += (size_t)n;
        shown++;
    }
    names[used] = '\0';
    return err_set(e, ST_USAGE, "'%s' is the beginning of several jobs: %s; write more of the name",
                   word, names);
}

/* A folder that has lost its journal. */
static bool is_hollow(const struct jobs *jobs, const char *word)
{
    char path[4096];
    struct stat info;
    int n = snprintf(path, sizeof path, "%s/%s", jobs->dir, word);
    return word[0] && word[0] != '.' && !strchr(word, '/') && n > 0 && (size_t)n < sizeof path &&
           stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static enum status none(struct jobs *jobs, const char *word, struct err *e)
{
    if (word && is_hollow(jobs, word))
        return err_set(e, ST_CORRUPT,
                       "%s/%s/journal.db is gone: nothing is known of that job any more; run it again (rm -r the "
                       "folder when you do not need what else is in it)",
                       jobs->dir, word);
    const char *near = NULL;
    const char **ids = arena_alloc(&jobs->arena, (2 * jobs->count + 1) * sizeof *ids);
    if (jobs->count == 0)
        return err_set(e, ST_USAGE,
                       "no jobs in %s; lmr run starts one (--state-dir names another folder)",
                       jobs->dir);
    for (size_t i = 0; ids && i < jobs->count; i++) {
        ids[2 * i] = jobs->list[i].id;
        ids[2 * i + 1] = arena_strndup(&jobs->arena, jobs->list[i].id, jobs->list[i].name);
        if (!ids[2 * i + 1])
            ids[2 * i + 1] = ids[2 * i];
    }
    if (ids) {
        ids[2 * jobs->count] = NULL;
        near = nearest_name(word, ids);
    }
    if (near)
        return err_set(e, ST_USAGE, "no job '%s' in %s; is it '%s'?", word, jobs->dir, near);
    return err_set(e, ST_USAGE, "no job '%s' in %s; lmr jobs lists them", word, jobs->dir);
}

static enum status choose(struct jobs *jobs, const char *word, const char **id, struct err *e)
{
    const struct found *job = NULL;
    bool several = false;
    if (jobs->count == 0)
        return none(jobs, word, e);
    if (!word)
        job = latest(jobs, "", FIT_PREFIX, &several);
    for (int fit = FIT_ID; word && *word && !job && fit >= FIT_PREFIX; fit--) {
        job = latest(jobs, word, (enum fit)fit, &several);
        if (job && several)
            return ambiguous(jobs, word, e);
    }
    if (!job)
        return none(jobs, word, e);
    *id = job->id;
    return ST_OK;
}

static int by_time(const void *a, const void *b)
{
    return is_later(a, b) ? -1 : is_later(b, a);
}

static enum status choose_open(struct jobs *jobs, const char *word, const char **id, struct err *e)
{
    char dir[4096];
    (void)word;
    if (jobs->count > 0)
        qsort(jobs->list, jobs->count, sizeof *jobs->list, by_time);
    for (size_t i = 0; i < jobs->count; i++) {
        (void)snprintf(dir, sizeof dir, "%s/%s", jobs->dir, jobs->list[i].id);
        if (job_is_over(dir))
            continue;
        *id = jobs->list[i].id;
        return ST_OK;
    }
    return err_set(e, ST_USAGE, "there is no job in %s that is not complete", jobs->dir);
}

/* The only one that begins so; the names of the first of several go into the message. */
static enum status choose_one(struct jobs *jobs, const char *word, const char **id, struct err *e)
{
    char names[512] = "";
    size_t count = 0, used = 0;
    *id = NULL;
    for (size_t i = 0; i < jobs->count; i++) {
        const struct found *job = &jobs->list[i];
        if (fits(job, word, FIT_ID)) {
            *id = job->id;
            return ST_OK;
        }
        if (!*word || !fits(job, word, FIT_PREFIX))
            continue;
        *id = job->id;
        if (count++ < NAMES_SHOWN && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                     count > 1 ? ", " : "", job->id);
    }
    if (count == 0)
        return none(jobs, word, e);
    if (count == 1)
        return ST_OK;
    return err_set(e, ST_USAGE, "'%s' may be any of %zu jobs: %s%s; write the whole id", word, count,
                   names, count > NAMES_SHOWN ? ", …" : "");
}

typedef enum status (*chooser)(struct jobs *jobs, const char *word, const char **id, struct err *e);

static enum status find(const char *state_dir_option, const char *word, chooser one, char *job_dir,
                        size_t cap, struct err *e)
{
    struct run_options options = { .state_dir = state_dir_option };
    struct jobs jobs = { .arena = ARENA_EMPTY };
    const char *id = NULL;
    struct place place;
    enum status st = place_plan(&place, &options, e);
    jobs.dir = place.state_dir;
    if (st == ST_OK)
        st = collect(&jobs, e);
    if (st == ST_OK)
        st = one(&jobs, word, &id, e);
    if (st == ST_OK) {
        int n = snprintf(job_dir, cap, "%s/%s", jobs.dir, id);
        if (n < 0 || (size_t)n >= cap)
            st = err_set(e, ST_USAGE, "the path of the job's folder is too long: %s/%s", jobs.dir,
                         id);
    }
    arena_free(&jobs.arena);
    place_free(&place);
    return st;
}

enum status which_job(const char *state_dir_option, const char *name_or_null, char *job_dir,
                      size_t cap, struct err *e)
{
    return find(state_dir_option, name_or_null, choose, job_dir, cap, e);
}

enum status which_one_job(const char *state_dir_option, const char *name, char *job_dir, size_t cap,
                          struct err *e)
{
    return find(state_dir_option, name, choose_one, job_dir, cap, e);
}

enum status which_open_job(const char *state_dir_option, char *job_dir, size_t cap, struct err *e)
{
    return find(state_dir_option, NULL, choose_open, job_dir, cap, e);
}
