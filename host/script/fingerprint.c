/* fingerprint.c: see fingerprint.h. What belongs to a stage says scripts/fingerprint.lua. */
#include "script/fingerprint.h"

#include "data/input.h"
#include "script/fingerprint_names.h"
#include "script/fingerprint_walk.h"
#include "script/job.h"
#include "script/mr.h"

#include <stdio.h>
#include <xxhash.h>

enum { NAME_MAX_BYTES = 200 };

void fingerprint_begin(lua_State *L)
{
    names_begin(L);
}

/* --- a stage --- */

/* The list { { name, value }, … } in a field of the table at 1: the walk starts from these. */
static void walk_list(lua_State *L, struct walk *w, const char *field)
{
    int list = lua_gettop(L) + 1;
    (void)lua_getfield(L, 1, field);
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    for (lua_Integer i = 1; i <= n; i++) {
        (void)lua_rawgeti(L, list, i);
        (void)lua_rawgeti(L, list + 1, 1);
        (void)lua_rawgeti(L, list + 1, 2);
        walk_from(w, lua_tostring(L, list + 2), list + 3);
        lua_settop(L, list);
    }
    lua_pop(L, 1);
}

static uint64_t fold(uint64_t hash, const void *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, hash);
}

/* Sizes and times of the files that a side file is made of. One that cannot be read will be told of where it is needed. */
static uint64_t hash_files(const char *path)
{
    struct arena arena = ARENA_EMPTY;
    struct input_files files = { NULL, 0 };
    struct input_name name = { path, 0 };
    uint64_t hash = 0;
    if (inputs_expand(&name, 1, &arena, &files, NULL) == ST_OK)
        for (size_t i = 0; i < files.count; i++) {
            const struct input_file *f = &files.files[i];
            hash = fold(hash, f->path, strlen(f->path));
            hash = fold(hash, &f->size, sizeof f->size);
            hash = fold(hash, &f->mtime, sizeof f->mtime);
        }
    arena_free(&arena);
    return hash;
}

/* The side file whose description is on top of the stack; it gets a field for what its files are. */
static void walk_side(lua_State *L, struct walk *w)
{
    char name[NAME_MAX_BYTES];
    int side = lua_gettop(L);
    (void)lua_getfield(L, side, "name");
    (void)lua_getfield(L, side, "path");
    (void)snprintf(name, sizeof name, "side file %s", lua_tostring(L, side + 1));
    lua_pushinteger(L, (lua_Integer)hash_files(lua_tostring(L, side + 2)));
    lua_setfield(L, side, "files");
    walk_from(w, name, side);
    lua_settop(L, side);
}

static void walk_sides(lua_State *L, struct walk *w)
{
    int list = lua_gettop(L) + 1;
    (void)lua_getfield(L, 1, "sides");
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    for (lua_Integer i = 1; i <= n; i++) {
        (void)lua_rawgeti(L, list, i);
        walk_side(L, w);
        lua_settop(L, list);
    }
    lua_pop(L, 1);
}

/* What the functions that were met ask for by a word. */
static void walk_mentioned(lua_State *L, struct walk *w)
{
    int top = lua_gettop(L);
    if (w->mentions & CODE_LOOKUP)
        walk_sides(L, w);
    if (w->mentions & CODE_OUTPUT && lua_getfield(L, 1, "output") != LUA_TNIL)
        walk_from(w, "option output", lua_gettop(L));
    lua_settop(L, top);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->natives);
    if (w->mentions & CODE_ARGS && lua_getfield(L, -1, "args") == LUA_TTABLE)
        walk_from(w, "arguments", lua_gettop(L));
    lua_settop(L, top);
    walk_run(w);
}

static void push_part(lua_State *L, const struct walk *w, const struct part *part)
{
    lua_createtable(L, 0, 4);
    lua_pushstring(L, walk_text(w, part->name));
    lua_setfield(L, -2, "name");
    if (part->place) {
        lua_pushstring(L, walk_text(w, part->place));
        lua_setfield(L, -2, "place");
    }
    lua_pushinteger(L, (lua_Integer)part->hash);
    lua_setfield(L, -2, "hash");
    if (!part->why)
        return;
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "can");
    lua_pushstring(L, walk_text(w, part->why));
    lua_setfield(L, -2, "why");
}

static void push_stage(lua_State *L, const struct walk *w)
{
    uint32_t n = walk_parts(w);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)w->key);
    lua_setfield(L, -2, "key");
    lua_pushboolean(L, w->can);
    lua_setfield(L, -2, "can");
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        push_part(L, w, walk_part(w, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "components");
}

/* fingerprint { roots = { { name, value }, … }, options = { { name, value }, … }, sides = descriptions, output = spec | nil } → STAGE */
static int fingerprint(lua_State *L)
{
    lua_settop(L, 1);
    names_learn(L);
    struct walk *w = walk_open(L, WALK_PRINT);
    walk_list(L, w, "roots");
    walk_list(L, w, "options");
    walk_run(w);
    walk_mentioned(L, w);
    push_stage(L, w);
    walk_close(w);
    lua_replace(L, 1);
    lua_settop(L, 1);
    walk_settle(L);
    return 1;
}

void native_add_fingerprint(lua_State *L)
{
    lua_pushcfunction(L, fingerprint);
    lua_setfield(L, -2, "fingerprint");
}

/* --- reach: places are (hash, name, place, why), the three ended by NUL --- */

static void walk_field(lua_State *L, struct walk *w, int table, const char *field, const char *name)
{
    if (job_field(L, table, field))
        walk_from(w, name, lua_gettop(L));
    lua_pop(L, 1);
}

/* Functions of the entries of input_files. */
static void walk_entries(lua_State *L, struct walk *w, int step, const char *field, const char *what)
{
    char name[NAME_MAX_BYTES];
    int entries = lua_gettop(L) + 1;
    if (job_field(L, step, field))
        for (lua_pushnil(L); lua_next(L, entries); lua_settop(L, entries + 1)) {
            lua_Integer entry = lua_tointeger(L, entries + 1);
            (void)snprintf(name, sizeof name, entry > 0 ? "%s of input %lld" : "%s", what, (long long)entry);
            walk_from(w, name, entries + 2);
        }
    lua_settop(L, entries - 1);
}

static void walk_step(lua_State *L, struct walk *w, int step)
{
    walk_field(L, w, step, "map", "map");
    walk_entries(L, w, step, "maps", "map");
    walk_entries(L, w, step, "readers", "reader");
    walk_field(L, w, step, "combine_function", "combine");
    walk_field(L, w, step, "by", "by");
    walk_field(L, w, step, "partition", "partition");
    walk_field(L, w, step, "init", "init");
    walk_field(L, w, step, "finish", "finish");
}

/* The functions of lua-cjson that set something tell it when they are called without. */
static uint64_t hash_settings(lua_State *L, int module)
{
    static const char *const names[] = { "encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision",
                                         "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers" };
    int top = lua_gettop(L);
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_pushstring(L, names[i]);
        if (lua_rawget(L, module) == LUA_TFUNCTION && lua_iscfunction(L, -1) && lua_pcall(L, 0, LUA_MULTRET, 0) == LUA_OK)
            for (int k = top + 1; k <= lua_gettop(L); k++) {
                size_t n;
                const char *text = luaL_tolstring(L, k, &n);
                hash = fold(hash, text, n);
                lua_pop(L, 1);
            }
        lua_settop(L, top);
    }
    return hash;
}

/* What is kept neither in variables nor in tables: the files of io.read and io.write, and what cjson was told. */
static void walk_hidden(lua_State *L, struct walk *w)
{
    static const char *const files[][2] = { { "_IO_input", "io.input()" }, { "_IO_output", "io.output()" } };
    static const char *const modules[] = { "cjson", "cjson.safe" };
    int top = lua_gettop(L);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (lua_getfield(L, LUA_REGISTRYINDEX, files[i][0]) != LUA_TNIL)
            walk_from(w, files[i][1], top + 1);
        lua_settop(L, top);
    }
    (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        if (lua_getfield(L, top + 1, modules[i]) == LUA_TTABLE)
            walk_add(w, i == 0 ? "the settings of cjson" : "the settings of cjson.safe", hash_settings(L, top + 2));
        lua_settop(L, top + 1);
    }
    lua_settop(L, top);
}

static enum status keep_part(struct buf *out, const struct walk *w, const struct part *part)
{
    enum status st = buf_append(out, &part->hash, sizeof part->hash);
    const uint32_t texts[] = { part->name, part->place, part->why };
    for (size_t i = 0; st == ST_OK && i < sizeof texts / sizeof *texts; i++)
        st = buf_append(out, walk_text(w, texts[i]), strlen(walk_text(w, texts[i])) + 1);
    return st;
}

void fingerprint_reach(lua_State *L, int step, struct reach *out)
{
    struct err e;
    int top = lua_gettop(L);
    enum status st = ST_OK;
    step = lua_absindex(L, step);
    struct walk *w = walk_open(L, WALK_REACH);
    walk_step(L, w, step);
    walk_hidden(L, w);
    walk_run(w);
    out->hash = w->key;
    out->can = w->can;
    out->places.n = 0;
    for (uint32_t i = 0; st == ST_OK && i < walk_parts(w); i++)
        st = keep_part(&out->places, w, walk_part(w, i));
    walk_close(w);
    lua_settop(L, top);
    walk_settle(L);
    if (st != ST_OK)
        (void)script_raise(L, (err_memory(&e, "a fingerprint", out->places.n), &e));
}

bool fingerprint_reach_same(const struct reach *then, const struct reach *now)
{
    return then->can && now->can && then->hash == now->hash;
}

struct place {
    uint64_t hash;
    const char *name, *where, *why;
};

static bool next_place(const struct reach *r, size_t *at, struct place *out)
{
    const char *p = (const char *)r->places.p + *at;
    if (*at >= r->places.n)
        return false;
    memcpy(&out->hash, p, sizeof out->hash);
    out->name = p + sizeof out->hash;
    out->where = out->name + strlen(out->name) + 1;
    out->why = out->where + strlen(out->where) + 1;
    *at = (size_t)(out->why + strlen(out->why) + 1 - (const char *)r->places.p);
    return true;
}

static bool find_place(const struct reach *r, const char *name, struct place *out)
{
    for (size_t at = 0; next_place(r, &at, out);)
        if (strcmp(out->name, name) == 0)
            return true;
    return false;
}

/* "the upvalue 'x' of map (job.lua:12)"; names of libraries stand as they are. */
static void name_place(const struct place *p, char *text, size_t cap)
{
    bool is_plain = strncmp(p->name, "upvalue ", 8) != 0 && strncmp(p->name, "global ", 7) != 0 && strncmp(p->name, "module ", 7) != 0 &&
                    strncmp(p->name, "function ", 9) != 0 && strncmp(p->name, "metatable ", 10) != 0;
    (void)snprintf(text, cap, "%s%s%s%s%s", is_plain ? "" : "the ", p->name, *p->where ? " (" : "", p->where, *p->where ? ")" : "");
}

/* The first place of `a` that is not, or otherwise, in `b`. */
static bool first_difference(const struct reach *a, const struct reach *b, struct place *out, bool *is_there)
{
    struct place other;
    for (size_t at = 0; next_place(a, &at, out);) {
        *is_there = find_place(b, out->name, &other);
        if (!*is_there || other.hash != out->hash)
            return true;
    }
    return false;
}

static bool first_unsure(const struct reach *r, struct place *out)
{
    for (size_t at = 0; next_place(r, &at, out);)
        if (*out->why)
            return true;
    return false;
}

void fingerprint_reach_difference(const struct reach *then, const struct reach *now, char *text, size_t cap)
{
    struct place p;
    bool is_there = false;
    char name[ERR_FILE_MAX];
    if ((!now->can && first_unsure(now, &p)) || (!then->can && first_unsure(then, &p))) {
        name_place(&p, name, sizeof name);
        (void)snprintf(text, cap, "%s is %s, which cannot be compared", name, p.why);
    } else if (first_difference(now, then, &p, &is_there) && strcmp(p.name, "global 'package'") == 0) {
        (void)snprintf(text, cap, "its function loaded a module while it ran");
    } else if (first_difference(now, then, &p, &is_there)) {
        name_place(&p, name, sizeof name);
        (void)snprintf(text, cap, "its function %s %s", is_there ? "changed" : "set", name);
    } else if (first_difference(then, now, &p, &is_there)) {
        name_place(&p, name, sizeof name);
        (void)snprintf(text, cap, "its function removed %s", name);
    } else {
        (void)snprintf(text, cap, "its function changed what its variables hold");
    }
}

void fingerprint_reach_free(struct reach *r)
{
    buf_free(&r->places);
}
