/* groups.c: see groups.h. */
#include "script/groups.h"

static enum status no_memory(struct err *e, size_t n)
{
    return err_memory(e, "a group's key", n);
}

enum status groups_open(struct groups *g, struct task *t, struct err *e)
{
    struct slice list, one;
    struct val_cursor c;
    *g = (struct groups){ .group_by = t->group_by };
    uint64_t n = val_get(t->assignment, "runs", &list) ? val_array(list, &c) : 0;
    const char **paths = arena_alloc(&t->arena, (n + 1) * sizeof *paths);
    if (!paths)
        return no_memory(e, n);
    for (uint64_t i = 0; i < n; i++) {
        struct slice path = slice_of("", 0);
        (void)val_skip(&c, &one);
        (void)val_as_string(one, &path);
        paths[i] = arena_strndup(&t->arena, (const char *)path.p, path.n);
        if (!paths[i])
            return no_memory(e, path.n);
    }
    struct merge_config config = { .run_paths = paths, .runs = n,
                                   .partition = (uint32_t)val_get_int(t->assignment, "partition", 0),
                                   .fan_in = (uint32_t)val_get_int(t->assignment, "fan_in", 0),
                                   .temporary_path = task_string(t, "temporary"),
                                   .alive = &t->script->page->progress };
    return merge_open(&config, &g->merge, e);
}

void groups_close(struct groups *g)
{
    merge_close(g->merge);
    g->merge = NULL;
    buf_free(&g->first);
    buf_free(&g->group_key);
}

static enum status fetch(struct groups *g, struct err *e)
{
    if (g->ended)
        return ST_END;
    enum status st = merge_next(g->merge, &g->key, &g->value, e);
    g->has_pair = st == ST_OK;
    g->ended = st != ST_OK;
    return st;
}

/* The group's bytes are a prefix of the key when it is an array that group_by cuts, else the whole key. */
static bool same_group(const struct groups *g)
{
    size_t n = g->group_length;
    if (g->group_by == 0 || n == g->first.n)
        return slice_equal(g->key, buf_slice(&g->first));
    return g->key.n >= n && memcmp(g->key.p, g->first.p, n) == 0;
}

static enum status read_group_key(struct groups *g, struct err *e)
{
    struct slice first = buf_slice(&g->first);
    enum status st = ST_OK;
    g->group_key.n = 0;
    g->group_length = first.n;
    if (g->group_by == 0 || first.n == 0 || first.p[0] != KEY_ARRAY)
        st = buf_append_slice(&g->group_key, first);
    else {
        st = key_group_length(first, g->group_by, &g->group_length);
        if (st == ST_OK)
            st = g->group_by == 1 ? key_first_element(first, &g->group_key) : key_prefix(first, g->group_by, &g->group_key);
    }
    if (st == ST_CORRUPT)
        return err_set(e, st, "a key of a run does not decode");
    return st == ST_OK ? st : no_memory(e, first.n);
}

static enum status start_group(struct groups *g, struct err *e)
{
    g->first.n = 0;
    if (buf_append_slice(&g->first, g->key) != ST_OK)
        return no_memory(e, g->key.n);
    g->in_group = true;
    g->groups++;
    return read_group_key(g, e);
}

enum status groups_next(struct groups *g, struct err *e)
{
    enum status st;
    while (g->in_group) {
        st = groups_pair(g, e);
        if (st != ST_OK && st != ST_END)
            return st;
    }
    if (!g->has_pair) {
        st = fetch(g, e);
        if (st != ST_OK)
            return st;
    }
    return start_group(g, e);
}

enum status groups_pair(struct groups *g, struct err *e)
{
    if (!g->in_group)
        return ST_END;
    if (!g->has_pair) {
        enum status st = fetch(g, e);
        if (st != ST_OK) {
            g->in_group = false;
            return st;
        }
    }
    if (!same_group(g)) {
        g->in_group = false;
        return ST_END;
    }
    g->has_pair = false;
    g->pairs++;
    return ST_OK;
}
