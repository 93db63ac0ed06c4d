#include "schedule/place.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "data/publish.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 64 };

const char *place_join(struct place *p, const char *dir, const char *name)
{
    size_t n = strlen(dir), m = strlen(name);
    char *path = arena_alloc(&p->arena, n + m + 2);
    if (!path)
        return NULL;
    (void)snprintf(path, n + m + 2, "%s/%s", dir, name);
    return path;
}

/* An absolute path, of a directory that may not be there yet. */
static enum status absolute(struct place *p, const char *path, const char **out, struct err *e)
{
    char cwd[PATH_MAX];
    if (path[0] == '/') {
        *out = arena_strdup(&p->arena, path);
    } else {
        if (!getcwd(cwd, sizeof cwd))
            return err_sys(e, errno, "find", "the working directory");
        *out = place_join(p, cwd, path);
    }
    return *out ? ST_OK : err_memory(e, "a path", strlen(path));
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static enum status plan_state_dir(struct place *p, const struct run_options *options, struct err *e)
{
    const char *dir = options->state_dir ? options->state_dir : environment("LMR_STATE_DIR");
    if (dir)
        return absolute(p, dir, &p->state_dir, e);
    const char *base = environment("XDG_STATE_HOME"), *home = environment("HOME");
    if (!base && !home)
        return err_set(e, ST_USAGE,
                       "no place for the job's state: neither HOME nor XDG_STATE_HOME is set; use "
                       "--state-dir");
    p->state_by_home = true;
    const char *path = base ? place_join(p, base, "lmr") : place_join(p, home, ".local/state/lmr");
    return path ? absolute(p, path, &p->state_dir, e)
                : err_memory(e, "a path", strlen(base ? base : home));
}

static enum status plan_output(struct place *p, const struct run_options *options, struct err *e)
{
    if (!options->output_dir)
        return ST_OK;
    if (options->output_dir[0] == '\0')
        return err_set(e, ST_USAGE, "the output directory's name is empty");
    enum status st = absolute(p, options->output_dir, &p->output_dir, e);
    return st == ST_OK ? publish_check(options->output_dir, options->overwrite, &p->replaces, e)
                       : st;
}

enum status place_plan(struct place *p, const struct run_options *options, struct err *e)
{
    *p = (struct place){ .arena = ARENA_EMPTY };
    enum status st = plan_state_dir(p, options, e);
    const char *work = options->work_dir ? options->work_dir : environment("LMR_WORK_DIR");
    if (st == ST_OK && work)
        st = absolute(p, work, &p->work_base, e);
    return st == ST_OK ? plan_output(p, options, e) : st;
}

/* --- making --- */

static void file_name(const char *job_name, char out[NAME_MAX_BYTES + 1])
{
    size_t n = 0;
    for (; n < NAME_MAX_BYTES && job_name[n]; n++) {
        char c = job_name[n];
        bool plain = isalnum((unsigned char)c) || c == '_' || c == '-' || (c == '.' && n > 0);
        out[n] = plain ? c : '_';
    }
    out[n] = '\0';
    if (n == 0)
        (void)snprintf(out, NAME_MAX_BYTES + 1, "job");
}

/* The greatest N of the job folders NAME-N there are, or 0. */
static unsigned long newest_number(const char *dir, const char *name)
{
    size_t n = strlen(name);
    unsigned long newest = 0;
    const struct dirent *entry;
    DIR *d = opendir(dir);
    while (d && (entry = readdir(d))) {
        if (strncmp(entry->d_name, name, n) != 0 || entry->d_name[n] != '-')
            continue;
        char *end = NULL;
        unsigned long number = strtoul(entry->d_name + n + 1, &end, 10);
        if (*end == '\0' && number > newest && number < UINT_MAX)
            newest = number;
    }
    if (d)
        (void)closedir(d);
    return newest;
}

/* The exclusive mkdir decides between two that want the same number. */
static enum status claim_job_dir(struct place *p, const char *job_name, struct err *e)
{
    char name[NAME_MAX_BYTES + 1], id[NAME_MAX_BYTES + 32];
    file_name(job_name, name);
    for (unsigned long n = newest_number(p->state_dir, name) + 1; n <= UINT_MAX; n++) {
        (void)snprintf(id, sizeof id, "%s-%lu", name, n);
        const char *dir = place_join(p, p->state_dir, id);
        p->job_id = arena_strdup(&p->arena, id);
        if (!dir || !p->job_id)
            return err_memory(e, "a path", sizeof id);
        failpoint("place.claim:before");
        if (mkdir(dir, 0777) == 0) {
            failpoint("place.claim:after");
            p->job_dir = dir;
            return ST_OK;
        }
        if (errno != EEXIST) {
            (void)err_sys(e, errno, "make the job folder", dir);
            return ST_USAGE;
        }
    }
    return err_set(e, ST_USAGE, "no free number for a job %s in %s", name, p->state_dir);
}

static enum status make_dir(const char *dir, struct err *e)
{
    if (!dir)
        return err_memory(e, "a path", PATH_MAX);
    enum status st = sys_mkdir_all(dir, e);
    if (st == ST_OK && access(dir, W_OK | X_OK) != 0)
        st = err_sys(e, errno, "write in", dir);
    return st;
}

/* How many bytes of `path` name what is there already. */
static size_t there_length(struct place *p, const char *path)
{
    struct stat info;
    char *part = path ? arena_strdup(&p->arena, path) : NULL;
    while (part && part[1] && stat(part, &info) != 0) {
        char *slash = strrchr(part, '/');
        slash[slash == part] = '\0';
    }
    return part ? strlen(part) : 0;
}

/* Who never named a folder for the state is told how to. */
static enum status make_state_dir(struct place *p, struct err *e)
{
    enum status st = make_dir(p->state_dir, e);
    if (st != ST_OK && p->state_by_home && e) {
        size_t n = strlen(e->message);
        (void)snprintf(e->message + n, sizeof e->message - n,
                       "; --state-dir names another place for the job's state");
    }
    return st;
}

static enum status make_output(struct place *p, struct err *e)
{
    struct stat info;
    p->output_made = stat(p->output_dir, &info) != 0;
    enum status st = make_dir(p->output_dir, e);
    if (st != ST_OK)
        return st;
    char hidden[NAME_MAX_BYTES + 64];
    (void)snprintf(hidden, sizeof hidden, ".lmr-%s", p->job_id);
    p->stage_dir = place_join(p, p->output_dir, hidden);
    return make_dir(p->stage_dir, e);
}

/* What goes to standard output is staged where the runs are. */
static enum status make_folders(struct place *p, const char *job_name, struct err *e)
{
    p->state_there = there_length(p, p->state_dir);
    p->output_there = there_length(p, p->output_dir);
    p->work_there = there_length(p, p->work_base);
    enum status st = make_state_dir(p, e);
    if (st == ST_OK)
        st = claim_job_dir(p, job_name, e);
    if (st == ST_OK)
        st = place_lock(p, p->job_dir, e);
    if (st == ST_OK) {
        p->quarantine_dir = place_join(p, p->job_dir, "quarantine");
        st = make_dir(p->quarantine_dir, e);
    }
    if (st == ST_OK && p->output_dir)
        st = make_output(p, e);
    if (st != ST_OK)
        return st;
    if (p->work_base)
        p->work_dir = place_join(p, p->work_base, p->job_id);
    else
        p->work_dir = p->output_dir ? p->stage_dir : place_join(p, p->job_dir, "work");
    if (!p->output_dir)
        p->stage_dir = p->work_dir;
    return p->work_dir == p->stage_dir && p->output_dir ? ST_OK : make_dir(p->work_dir, e);
}

enum status place_make(struct place *p, const char *job_name, struct err *e)
{
    enum status st = make_folders(p, job_name, e);
    if (st == ST_OK)
        return ST_OK;
    place_remove_all(p);
    if (e && st == ST_CRASH)
        e->status = ST_USAGE;
    return st == ST_CRASH ? ST_USAGE : st;
}

/* --- a job that is gone on with --- */

enum status place_lock(struct place *p, const char *job_dir, struct err *e)
{
    return lock_take(job_dir, &p->lock_user, &p->lock, e);
}

static enum status copy_path(struct place *p, const char *path, const char **out)
{
    *out = path ? arena_strdup(&p->arena, path) : NULL;
    return path && !*out ? ST_MEMORY : ST_OK;
}

/* Two names of one folder are one pointer. */
enum status place_restore(struct place *p, const char *job_dir, const char *output_dir,
                          const char *stage_dir, const char *work_dir, struct err *e)
{
    const char *slash = strrchr(job_dir, '/');
    CHECK(slash && stage_dir && work_dir);
    p->state_dir = arena_strndup(&p->arena, job_dir, (size_t)(slash - job_dir));
    p->quarantine_dir = place_join(p, job_dir, "quarantine");
    bool fits = p->state_dir && p->quarantine_dir && copy_path(p, job_dir, &p->job_dir) == ST_OK &&
                copy_path(p, slash + 1, &p->job_id) == ST_OK &&
                copy_path(p, output_dir, &p->output_dir) == ST_OK &&
                copy_path(p, work_dir, &p->work_dir) == ST_OK;
    if (fits && strcmp(stage_dir, work_dir) == 0)
        p->stage_dir = p->work_dir;
    else if (fits)
        fits = copy_path(p, stage_dir, &p->stage_dir) == ST_OK;
    p->work_base = p->work_dir != p->stage_dir ? p->work_dir : NULL;
    return fits ? ST_OK : err_memory(e, "a path", PATH_MAX);
}

enum status place_remake(struct place *p, struct err *e)
{
    const char *const dirs[] = { p->quarantine_dir, p->stage_dir, p->work_dir };
    enum status st = ST_OK;
    p->state_there = strlen(p->state_dir);
    p->output_there = there_length(p, p->stage_dir);
    p->work_there = there_length(p, p->work_dir);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs && st == ST_OK; i++)
        st = make_dir(dirs[i], e);
    return st == ST_CRASH ? ST_USAGE : st;
}

/* --- names --- */

/* A folder that may be written but not read cannot be synced. */
static enum status sync_name(const char *path, struct err *e)
{
    struct err failure;
    enum status st = sys_fsync_parent(path, "place.fsync", &failure);
    if (st == ST_OK || failure.os_error == EACCES)
        return ST_OK;
    if (e)
        *e = failure;
    return st;
}

/* Syncs the name of `dir`, and of what stands above it beyond the first `there` bytes. */
static enum status sync_names(const char *dir, size_t there, struct err *e)
{
    char *path = sys_strdup(dir);
    if (!path)
        return err_memory(e, "a path", strlen(dir));
    enum status st = sync_name(path, e);
    while (st == ST_OK) {
        *strrchr(path, '/') = '\0';
        if (strlen(path) <= there)
            break;
        st = sync_name(path, e);
    }
    sys_free(path);
    return st;
}

enum status place_sync(struct place *p, struct err *e)
{
    if (p->names_synced)
        return ST_OK;
    p->names_synced = true;
    enum status st = sync_names(p->job_dir, p->state_there, e);
    if (st == ST_OK)
        st = sync_names(p->stage_dir, p->output_dir ? p->output_there : strlen(p->job_dir), e);
    if (st == ST_OK && p->work_dir != p->stage_dir)
        st = sync_names(p->work_dir, p->work_base ? p->work_there : strlen(p->job_dir), e);
    return st;
}

/* --- removing --- */

enum status place_remove_temporary(struct place *p, bool keep_output, struct err *e)
{
    enum status st = p->work_dir ? sys_remove_tree(p->work_dir, e) : ST_OK;
    if (p->stage_dir && p->stage_dir != p->work_dir) {
        enum status other = sys_remove_tree(p->stage_dir, st == ST_OK ? e : NULL);
        st = st == ST_OK ? other : st;
    }
    if (!keep_output && p->output_made && p->output_dir)
        sys_rmdir(p->output_dir); /* stays when it is not empty */
    return st;
}

void place_remove_all(struct place *p)
{
    (void)place_remove_temporary(p, false, NULL);
    lock_release(p->lock);
    p->lock = NULL;
    if (p->job_dir)
        (void)sys_remove_tree(p->job_dir, NULL);
}

bool place_is_remote(const char *path)
{
    enum {
        NFS = 0x6969,
        SMB = 0x517B,
        SMB2 = (int)0xFE534D42,
        CIFS = (int)0xFF534D42,
        AFS = 0x5346414F,
        CEPH = 0x00C36400,
        V9FS = 0x01021997
    };
    struct statfs info;
    if (statfs(path, &info) != 0)
        return false;
    switch ((int)info.f_type) {
    case NFS:
    case SMB:
    case SMB2:
    case CIFS:
    case AFS:
    case CEPH:
    case V9FS:
        return true;
    default:
        return false;
    }
}

void place_free(struct place *p)
{
    lock_release(p->lock);
    arena_free(&p->arena);
    *p = (struct place){ .arena = ARENA_EMPTY };
}
