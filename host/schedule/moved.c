#include "schedule/moved.h"

#include "base/sys.h"
#include "data/codec.h"
#include "schedule/options.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* What is known while the folders are compared. */
struct moving {
    struct past *past;
    const struct run_options *options;
    struct moved *moved;
    const char *job_id;
    const char *output_dir, *stage_dir, *work_dir; /* as the journal has them; may be NULL */
    bool is_copy;                                  /* the original is still there */
    struct err *e;
};

/* --- paths --- */

static bool lies_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static const char *join(struct arena *arena, const char *dir, const char *rest)
{
    size_t n = strlen(dir), m = strlen(rest);
    char *path = arena_alloc(arena, n + m + 2);
    if (path)
        (void)snprintf(path, n + m + 2, "%s%s%s", dir, rest[0] && rest[0] != '/' ? "/" : "", rest);
    return path;
}

/* Where `path` is now; NULL when memory is out. */
static const char *where(const struct moved *m, struct arena *arena, const char *path)
{
    for (size_t i = 0; i < m->count; i++)
        if (lies_in(path, m->from[i]))
            return join(arena, m->to[i], path + strlen(m->from[i]));
    return path;
}

static enum status add(struct moving *v, const char *from, const char *to)
{
    struct moved *m = v->moved;
    if (!to)
        return err_memory(v->e, "a path", PATH_MAX);
    if (strcmp(from, to) == 0)
        return ST_OK;
    CHECK(m->count < MOVED_MAX);
    m->from[m->count] = from;
    m->to[m->count++] = to;
    return ST_OK;
}

/* --- the job's folder --- */

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* A journal from before it said so: without -o the job works in its own folder. */
static const char *old_folder(struct moving *v)
{
    const char *dir = past_text(v->past, "job_dir");
    const char *slash = v->work_dir ? strrchr(v->work_dir, '/') : NULL;
    if (dir || !slash || v->output_dir || strcmp(slash, "/work") != 0)
        return dir;
    return arena_strndup(&v->past->arena, v->work_dir, (size_t)(slash - v->work_dir));
}

bool moved_is_copy(struct past *past, const char *was, const char *now)
{
    struct past other = { .arena = ARENA_EMPTY };
    const char *path = same_file(was, now) ? NULL : join(&past->arena, was, "journal.db");
    struct stat info;
    bool is = path && stat(path, &info) == 0 && past_read_job(path, &other, NULL) == ST_OK &&
              past_number(&other, "created", 0) == past_number(past, "created", 0);
    past_free(&other);
    return is;
}

static enum status find_folder(struct moving *v)
{
    const char *now = v->options->resume, *was = old_folder(v);
    if (!was || strcmp(was, now) == 0 || same_file(was, now))
        return ST_OK;
    v->is_copy = moved_is_copy(v->past, was, now);
    v->moved->was = was;
    return add(v, was, now);
}

/* --- output and work folder --- */

static bool is_there(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* Files of the job are in `dir`, outside of its folder, and must not be touched or are not there any more. */
static enum status refuse(struct moving *v, const char *dir, const char *option)
{
    const struct moved *m = v->moved;
    if (v->is_copy)
        return err_set(v->e, ST_USAGE,
                       "%s is a copy of the job in %s, which works in %s: give the copy a directory of "
                       "its own with %s NEWDIR (cp -a %s NEWDIR/ first, for what has committed), or "
                       "remove the original",
                       v->job_id, m->was, dir, option, dir);
    return err_set(v->e, ST_USAGE,
                   "%s was moved here from %s, and %s, where it kept its work, is gone: if that was moved "
                   "too, name the directory it is in with %s NEWDIR; if it is lost, name a directory for "
                   "it to be made anew",
                   v->job_id, m->was, dir, option);
}

/* One of the folders outside of the job's own. `base`: what the option named for it, or NULL. */
static enum status find_outside(struct moving *v, const char *dir, const char *base,
                                const char *option)
{
    bool inside = v->moved->was && lies_in(dir, v->moved->was);
    if (base)
        return add(v, dir, join(&v->past->arena, base, sys_name(dir)));
    if (inside || !v->moved->was || (!v->is_copy && is_there(dir)))
        return ST_OK;
    return refuse(v, dir, option);
}

/* Named, but left behind: its tasks would all run again. */
static enum status check_left(struct moving *v)
{
    const struct moved *m = v->moved;
    for (size_t i = 0; i < m->count; i++)
        if (m->from[i] != m->was && is_there(m->from[i]) && !is_there(m->to[i]))
            return err_set(v->e, ST_USAGE,
                           "%s is to work in %s, which is not there, and what it has committed is in "
                           "%s: %s it there first",
                           v->job_id, m->to[i], m->from[i], v->is_copy ? "copy (cp -a)" : "move");
    return ST_OK;
}

static enum status find_output(struct moving *v)
{
    const char *output = v->options->moved_output;
    if (output && !v->output_dir)
        return err_set(v->e, ST_USAGE,
                       "%s writes its result to standard output; -o names another place for a result "
                       "that goes to a directory",
                       v->job_id);
    if (!v->output_dir || !v->stage_dir)
        return ST_OK;
    v->moved->output_dir = output;
    return find_outside(v, v->stage_dir, output, "-o");
}

static enum status find_work(struct moving *v)
{
    const char *base = v->options->moved_work;
    const char *was = old_folder(v);
    if (!v->work_dir || !v->stage_dir)
        return ST_OK;
    bool beside = v->output_dir && strcmp(v->work_dir, v->stage_dir) == 0;
    bool inside = was && lies_in(v->work_dir, was);
    if (!beside && !inside)
        return find_outside(v, v->work_dir, base, "--work-dir");
    if (base)
        return err_set(v->e, ST_USAGE,
                       "%s keeps its runs %s, in %s, and not in a --work-dir%s", v->job_id,
                       beside ? "beside its output" : "in its own folder", v->work_dir,
                       beside ? "; -o names the directory when that was moved" : "");
    return ST_OK;
}

/* --- the past --- */

static const char *const folder_keys[] = { "stage_dir", "work_dir", "output_dir", "job_dir" };

static const char *folder_now(const struct moving *v, const char *key)
{
    const char *then = past_text(v->past, key);
    if (!then)
        return NULL;
    if (v->moved->output_dir && strcmp(key, "output_dir") == 0)
        return v->moved->output_dir;
    return where(v->moved, &v->past->arena, then);
}

static const char *new_value(const struct moving *v, const char *key)
{
    for (size_t i = 0; i < sizeof folder_keys / sizeof *folder_keys; i++)
        if (strcmp(folder_keys[i], key) == 0)
            return folder_now(v, key);
    return NULL;
}

static enum status rewrite_job(struct moving *v)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf now = BUF_EMPTY;
    struct val_cursor c;
    struct scalar name;
    struct slice value;
    char key[64];
    uint64_t n = val_map_open(buf_slice(&v->past->job), &c);
    for (uint64_t i = 0; i < n && val_next(&c, &name) == ST_OK && val_skip(&c, &value) == ST_OK; i++) {
        (void)snprintf(key, sizeof key, "%.*s", (int)name.s.n, (const char *)name.s.p);
        const char *path = new_value(v, key);
        if (path)
            val_map_str(&m, key, path);
        else
            val_map_value(&m, key, value);
    }
    if (val_map_end(&m, &now) != ST_OK) {
        buf_free(&now);
        return err_memory(v->e, "the journal", v->past->job.n);
    }
    buf_free(&v->past->job);
    v->past->job = now;
    return ST_OK;
}

static enum status rewrite_splits(struct moving *v)
{
    struct past *p = v->past;
    for (size_t i = 0; i < p->split_count; i++) {
        const char *then = arena_strndup(&p->arena, (const char *)p->splits[i].path.p,
                                         p->splits[i].path.n);
        const char *now = then ? where(v->moved, &p->arena, then) : NULL;
        if (!now)
            return err_memory(v->e, "a path", PATH_MAX);
        if (now != then)
            p->splits[i].path = slice_str(now);
    }
    return ST_OK;
}

enum status moved_open(struct past *past, const struct run_options *options, struct moved *out,
                       struct err *e)
{
    struct moving v = { .past = past,
                        .options = options,
                        .moved = out,
                        .job_id = sys_name(options->resume),
                        .output_dir = past_text(past, "output_dir"),
                        .stage_dir = past_text(past, "stage_dir"),
                        .work_dir = past_text(past, "work_dir"),
                        .e = e };
    enum status st = find_folder(&v);
    if (st == ST_OK)
        st = find_output(&v);
    if (st == ST_OK)
        st = find_work(&v);
    if (st == ST_OK)
        st = check_left(&v);
    if (st == ST_OK && (out->count > 0 || out->output_dir))
        st = rewrite_job(&v);
    return st == ST_OK && out->count > 0 ? rewrite_splits(&v) : st;
}

void moved_journal(const struct moved *m, struct journal *j, const struct run_options *options)
{
    struct buf encoded = BUF_EMPTY;
    char text[3 * 1024];
    for (size_t i = 0; i < m->count; i++) {
        journal_moved(j, m->from[i], m->to[i]);
        (void)snprintf(text, sizeof text, "what was in %s is in %s now", m->from[i], m->to[i]);
        journal_event(j, "moved", text);
    }
    if (m->output_dir)
        journal_job(j, "output_dir", m->output_dir);
    if (m->count > 0 && options_put(options, &encoded) == ST_OK)
        journal_job_blob(j, "options", buf_slice(&encoded));
    buf_free(&encoded);
}
