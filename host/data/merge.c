#include "data/merge.h"

#include "base/sys.h"
#include "data/tree.h"

enum { LIFE_EVERY = 1024 }; /* pairs */

/* One sorted sequence: a segment of a run given, or of an intermediate one. Its run is opened when
 * a tree needs it, so that no more than fan_in files are open at once. */
struct source {
    char *path;
    uint64_t segment, pairs;
    uint32_t partition;
    bool temporary; /* ours: removed once it is merged */
};

/* The runs one tree reads: neighbouring sources of one run share it. */
struct open_runs {
    struct run **runs;
    size_t n;
};

struct merge {
    struct source *sources;
    size_t n, cap;
    struct open_runs open;
    struct tree *tree;
    uint64_t pairs;
    uint32_t temporaries; /* made so far: part of their names */
    bool compress;
    const struct merge_config *config; /* while opening only */
};

static enum status add_source(struct merge *m, const struct run *r, uint64_t segment,
                              uint32_t partition, struct err *e)
{
    uint64_t pairs = run_partition_pairs(r, segment, partition);
    if (pairs == 0)
        return ST_OK;
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;
        struct source *sources = sys_realloc(m->sources, cap * sizeof *sources);
        if (!sources)
            return err_memory(e, "a merge", cap * sizeof *sources);
        m->sources = sources;
        m->cap = cap;
    }
    char *path = sys_strdup(run_path(r));
    if (!path)
        return err_memory(e, "a path", strlen(run_path(r)));
    m->sources[m->n++] = (struct source){ path, segment, pairs, partition, false };
    m->pairs += pairs;
    m->compress = m->compress || run_compressed(r);
    return ST_OK;
}

/* Lists the segments of all runs that hold anything of the partition. */
static enum status list_sources(struct merge *m, struct err *e)
{
    enum status status = ST_OK;
    for (size_t i = 0; status == ST_OK && i < m->config->runs; i++) {
        struct run *r = NULL;
        status = run_open(m->config->run_paths[i], &r, e);
        if (status != ST_OK)
            break;
        if (m->config->partition >= run_partitions(r)) {
            status = err_set(e, ST_CORRUPT, "run file %s has no partition %u", run_path(r),
                             m->config->partition);
            if (e)
                err_at(e, run_path(r), -1, -1);
        }
        for (uint64_t s = 0; status == ST_OK && s < run_segments(r); s++)
            status = add_source(m, r, s, m->config->partition, e);
        run_close(r);
    }
    return status;
}

static void close_runs(struct open_runs *open)
{
    for (size_t i = 0; i < open->n; i++)
        run_close(open->runs[i]);
    sys_free(open->runs);
    *open = (struct open_runs){ NULL, 0 };
}

/* The run of a source: the one opened last when that is it. */
static enum status run_of(struct open_runs *open, const struct source *s, struct run **r,
                          struct err *e)
{
    if (open->n == 0 || strcmp(run_path(open->runs[open->n - 1]), s->path) != 0) {
        enum status status = run_open(s->path, &open->runs[open->n], e);
        if (status != ST_OK)
            return status;
        open->n++;
    }
    *r = open->runs[open->n - 1];
    if (s->segment >= run_segments(*r) || s->partition >= run_partitions(*r))
        return err_set(e, ST_CORRUPT, "run file %s has changed", s->path);
    return ST_OK;
}

static enum status open_cursors(const struct source *s, size_t n, struct open_runs *open,
                                struct run_cursor **cursors, struct err *e)
{
    enum status status = ST_OK;
    for (size_t i = 0; status == ST_OK && i < n; i++) {
        struct run *r = NULL;
        status = run_of(open, &s[i], &r, e);
        if (status == ST_OK)
            status = run_cursor_open(r, s[i].segment, s[i].partition, &cursors[i], e);
    }
    return status;
}

/* Hands cursors to a tree, or closes them when they are not all open. */
static enum status plant_tree(const struct source *s, size_t n, struct open_runs *open,
                              struct run_cursor **cursors, struct tree **tree, struct err *e)
{
    enum status status = open_cursors(s, n, open, cursors, e);
    if (status == ST_OK)
        return tree_open_take(cursors, n, tree, e);
    for (size_t i = 0; i < n; i++)
        run_cursor_close(cursors[i]);
    return status;
}

/* A tree over `n` sources; `open` keeps their runs until the tree is closed. */
static enum status open_tree(const struct source *s, size_t n, struct open_runs *open,
                             struct tree **tree, struct err *e)
{
    struct run_cursor **cursors = sys_calloc(n, sizeof(struct run_cursor *));
    struct run **runs = sys_calloc(n, sizeof(struct run *));
    if (!cursors || !runs) {
        sys_free(cursors);
        sys_free(runs);
        return err_memory(e, "a merge", n * sizeof(struct run *));
    }
    open->runs = runs;
    enum status status = plant_tree(s, n, open, cursors, tree, e);
    sys_free(cursors);
    if (status != ST_OK)
        close_runs(open);
    return status;
}

static void show_life(const struct merge *m)
{
    if (m->config->alive)
        (void)atomic_fetch_add_explicit(m->config->alive, 1, memory_order_relaxed);
}

static enum status copy_tree(const struct merge *m, struct tree *tree, struct run_writer *w,
                             struct err *e)
{
    struct slice key, value;
    enum status status = run_segment_begin(w, e);
    for (uint64_t n = 0; status == ST_OK; n++) {
        if (n % LIFE_EVERY == 0)
            show_life(m);
        status = tree_next(tree, &key, &value, e);
        if (status == ST_OK)
            status = run_put(w, 0, key, value, e);
    }
    return status == ST_END ? run_segment_end(w, e) : status;
}

/* Merges `n` sources into a new run at `path`. */
static enum status write_merged(const struct merge *m, const struct source *s, size_t n,
                                const char *path, struct err *e)
{
    struct open_runs open = { NULL, 0 };
    struct tree *tree = NULL;
    struct run_writer *w = NULL;
    enum status status = open_tree(s, n, &open, &tree, e);
    if (status == ST_OK)
        status = run_create(path, 1, m->compress, &w, e);
    if (status == ST_OK)
        status = copy_tree(m, tree, w, e);
    if (status == ST_OK)
        status = run_finish(w, false, NULL, e);
    else
        run_abandon(w);
    tree_close(tree);
    close_runs(&open);
    return status;
}

static void drop_source(struct source *s)
{
    if (s->temporary)
        (void)sys_unlink(s->path, NULL);
    sys_free(s->path);
    s->path = NULL;
}

/* Replaces the sources [at, at + n) by one that holds them merged. */
static enum status merge_down(struct merge *m, size_t at, size_t n, struct err *e)
{
    struct buf name = BUF_EMPTY;
    if (buf_printf(&name, "%s.merge%u", m->config->temporary_path, m->temporaries++) != ST_OK)
        return err_memory(e, "a path", strlen(m->config->temporary_path));
    struct source merged = { (char *)name.p, 0, 0, 0, true };
    for (size_t i = at; i < at + n; i++)
        merged.pairs += m->sources[i].pairs;
    enum status status = write_merged(m, m->sources + at, n, merged.path, e);
    if (status != ST_OK) {
        drop_source(&merged);
        return status;
    }
    for (size_t i = at; i < at + n; i++)
        drop_source(&m->sources[i]);
    m->sources[at] = merged;
    memmove(m->sources + at + 1, m->sources + at + n, (m->n - at - n) * sizeof *m->sources);
    m->n -= n - 1;
    return ST_OK;
}

/* Merges neighbours, from left to right, until a tree can take what is left: no more than is needed
 * for that. */
static enum status merge_passes(struct merge *m, size_t fan_in, struct err *e)
{
    enum status status = ST_OK;
    size_t at = 0;
    while (status == ST_OK && m->n > fan_in) {
        if (m->n - at < 2)
            at = 0;
        size_t n = m->n - fan_in + 1;
        n = n < fan_in ? n : fan_in;
        n = n < m->n - at ? n : m->n - at;
        status = merge_down(m, at++, n, e);
    }
    return status;
}

enum status merge_open(const struct merge_config *config, struct merge **out, struct err *e)
{
    struct merge *m = sys_calloc(1, sizeof *m);
    if (!m)
        return err_memory(e, "a merge", sizeof *m);
    m->config = config;
    size_t fan_in = config->fan_in ? config->fan_in : MERGE_FAN_IN;
    enum status status = list_sources(m, e);
    if (status == ST_OK)
        status = merge_passes(m, fan_in < 2 ? 2 : fan_in, e);
    if (status == ST_OK)
        status = open_tree(m->sources, m->n, &m->open, &m->tree, e);
    m->config = NULL;
    if (status != ST_OK) {
        merge_close(m);
        return status;
    }
    *out = m;
    return ST_OK;
}

enum status merge_next(struct merge *m, struct slice *key, struct slice *value, struct err *e)
{
    return tree_next(m->tree, key, value, e);
}

uint64_t merge_pairs(const struct merge *m)
{
    return m->pairs;
}

uint64_t merge_bytes_done(const struct merge *m)
{
    return tree_bytes(m->tree);
}

void merge_close(struct merge *m)
{
    if (!m)
        return;
    tree_close(m->tree);
    close_runs(&m->open);
    for (size_t i = 0; i < m->n; i++)
        drop_source(&m->sources[i]);
    sys_free(m->sources);
    sys_free(m);
}
