/* fingerprint_walk.c: see fingerprint_walk.h.
 *
 * Every table and function gets a number when it is first met. Where several are met at once (the entries of a table), they are taken in the
 * order of their keys' hashes; what has no order is added up. The key takes in each thing's content with the numbers of what it refers to,
 * so it is the same for the same graph; a part's own hash leaves the numbers out, so that it tells of what stands in that part alone. */
#include "script/fingerprint_walk.h"

#include "script/fingerprint_names.h"
#include "script/fingerprint_visit.h"
#include "script/task.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

enum { CUT = 60 };

struct entry {
    uint64_t key;
    lua_Integer waiting; /* index of its key */
};

/* --- opening and closing --- */

static void lift_cap(struct walk *w)
{
    struct memory *m = &script_of(w->L)->memory;
    w->memory = m;
    w->cap = m->cap;
    w->peak = m->peak;
    m->cap = 0;
}

void walk_close(struct walk *w)
{
    if (w->memory) {
        w->memory->cap = w->cap;
        w->memory->peak = w->peak;
    }
    w->memory = NULL;
    buf_free(&w->node_list);
    buf_free(&w->parts);
    buf_free(&w->text);
    buf_free(&w->dump);
    buf_free(&w->entries);
    code_free(&w->code);
}

void walk_settle(lua_State *L)
{
    const struct memory *m = &script_of(L)->memory;
    if (m->cap > 0 && m->used > m->cap)
        (void)lua_gc(L, LUA_GCCOLLECT);
}

static int free_walk(lua_State *L)
{
    walk_close(lua_touserdata(L, 1));
    return 0;
}

static void push_arguments(lua_State *L)
{
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->natives);
    (void)lua_getfield(L, -1, "effective_args");
    lua_remove(L, -2);
}

static void push_names(lua_State *L, struct walk *w)
{
    w->names = lua_gettop(L) + 1;
    if (w->mode == WALK_REACH) {
        names_push_kept(L);
        w->modules = w->names + 1;
        lua_newtable(L);
        w->copies = w->names + 2;
        return;
    }
    names_push(L);
    names_push_modules(L);
    names_push_copies(L);
    w->modules = w->names + 1;
    w->copies = w->names + 2;
}

struct walk *walk_open(lua_State *L, enum walk_mode mode)
{
    luaL_checkstack(L, 40, "a fingerprint");
    struct walk *w = lua_newuserdatauv(L, sizeof *w, 0);
    memset(w, 0, sizeof *w);
    if (luaL_newmetatable(L, "lmr.walk")) {
        lua_pushcfunction(L, free_walk);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    w->L = L;
    w->mode = mode;
    w->can = true;
    lift_cap(w);
    int *const tables[] = { &w->nodes, &w->seen, &w->waiting, &w->titles };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        lua_newtable(L);
        *tables[i] = lua_gettop(L);
    }
    push_names(L, w);
    lua_pushglobaltable(L);
    w->globals = lua_gettop(L);
    push_arguments(L);
    w->args = lua_gettop(L);
    (void)visit_put_text(w, ""); /* so that 0 is no place */
    return w;
}

/* --- globals and modules --- */

/* It is in a library as it was before the job was loaded. */
static bool is_as_it_was(struct walk *w, int library, int key, int value)
{
    lua_State *L = w->L;
    lua_pushvalue(L, library);
    bool same = false;
    if (lua_rawget(L, w->copies) == LUA_TTABLE) {
        lua_pushvalue(L, key);
        (void)lua_rawget(L, -2);
        same = lua_rawequal(L, -1, value);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return same;
}

/* Whether what the string at the index names was met; from now on it was. */
static bool mark_seen(struct walk *w, const char *kind, int name)
{
    lua_State *L = w->L;
    lua_pushstring(L, kind);
    lua_pushvalue(L, name);
    lua_concat(L, 2);
    lua_pushvalue(L, -1);
    bool was = lua_rawget(L, w->seen) != LUA_TNIL;
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, w->seen);
    return was;
}

/* A global that a function names. */
static uint64_t visit_global(struct walk *w, struct slice name)
{
    char title[VISIT_TITLE_MAX], label[VISIT_LABEL_MAX];
    lua_State *L = w->L;
    uint64_t hash = visit_hash(TAG_GLOBAL, name.p, name.n);
    (void)snprintf(title, sizeof title, "global '%.*s'", name.n > CUT ? CUT : (int)name.n, (const char *)name.p);
    (void)snprintf(label, sizeof label, "%.*s", name.n > CUT ? CUT : (int)name.n, (const char *)name.p);
    int key = lua_gettop(L) + 1;
    uint64_t value;
    (void)lua_pushlstring(L, (const char *)name.p, name.n);
    bool was_met = mark_seen(w, "global ", key);
    lua_pushvalue(L, key);
    (void)lua_rawget(L, w->globals);
    if (was_met)
        hash = visit_mix(hash, TAG_VARIABLE);
    else if (lua_rawequal(L, key + 1, w->globals))
        w->mentions |= CODE_ALL_GLOBALS;
    else if (is_as_it_was(w, w->globals, key, key + 1) && (visit_scalar(L, key + 1, &value) || visit_name(w, key + 1, &value)))
        hash = visit_mix(hash, value);
    else if (!lua_isnil(L, key + 1))
        hash = visit_mix(hash, visit_head(w, key + 1, &(struct head){ .title = title, .label = label }).linked);
    lua_settop(L, key - 1);
    return hash;
}

static uint64_t load_module(struct walk *w, const char *module, const char *title)
{
    lua_State *L = w->L;
    int path = lua_gettop(L);
    if (luaL_loadfilex(L, lua_tostring(L, path), "t") != LUA_OK) {
        uint32_t part = visit_new_part(w, title, visit_put_file(w, lua_tostring(L, path)));
        visit_cannot(w, part, "it does not compile");
        return TAG_UNSURE;
    }
    return visit_head(w, path + 1, &(struct head){ .title = title, .label = module, .is_root = true }).linked;
}

/* One that only a running function will require. */
static uint64_t visit_unloaded(struct walk *w, const char *module, const char *title)
{
    lua_State *L = w->L;
    if (w->mode == WALK_REACH)
        return TAG_GONE;
    if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE) == LUA_TTABLE && lua_getfield(L, -1, module) != LUA_TNIL)
        return visit_head(w, lua_gettop(L), &(struct head){ .title = title, .label = module, .is_root = true }).linked;
    if (names_find_module(L, module, false))
        return load_module(w, module, title);
    uint64_t hash = TAG_GONE;
    if (names_find_module(L, module, true)) {
        names_push_stamp(L, lua_tostring(L, -1));
        (void)visit_scalar(L, -1, &hash);
    }
    walk_add(w, title, hash);
    return hash;
}

static uint64_t visit_required(struct walk *w, struct slice name)
{
    char title[VISIT_TITLE_MAX];
    lua_State *L = w->L;
    int top = lua_gettop(L);
    uint64_t hash = visit_hash(TAG_MODULE, name.p, name.n), value;
    const char *module = lua_pushlstring(L, (const char *)name.p, name.n);
    (void)snprintf(title, sizeof title, "module %.200s", module);
    if (!mark_seen(w, "require ", top + 1) && !names_is_host(module)) {
        (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        if (lua_getfield(L, -1, module) == LUA_TNIL)
            hash = visit_mix(hash, visit_unloaded(w, module, title));
        else if (visit_name(w, lua_gettop(L), &value))
            hash = visit_mix(hash, value);
        else
            hash = visit_mix(hash, visit_head(w, lua_gettop(L), &(struct head){ .title = title, .label = module, .is_root = true }).linked);
    }
    lua_settop(L, top);
    return hash;
}

/* --- functions --- */

static int write_dump(lua_State *L, const void *p, size_t n, void *dump)
{
    (void)L;
    return buf_append(dump, p, n) == ST_OK ? 0 : 1;
}

/* `local require = require` is usual. */
static bool is_require(struct walk *w, int index)
{
    lua_State *L = w->L;
    lua_pushvalue(L, index);
    bool is = lua_rawget(L, w->names) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "require") == 0;
    lua_pop(L, 1);
    return is;
}

static struct code_upvalues find_upvalues(struct walk *w, int function)
{
    lua_State *L = w->L;
    const char *name;
    struct code_upvalues found = { -1, -1 };
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++) {
        if (lua_rawequal(L, -1, w->globals) && (found.env < 0 || strcmp(name, "_ENV") == 0))
            found.env = i - 1;
        else if (lua_iscfunction(L, -1) && is_require(w, lua_gettop(L)))
            found.require = i - 1;
        lua_pop(L, 1);
    }
    return found;
}

/* The code is the job's: it stands in the job's folder, or in a one-liner. What libraries elsewhere may require is not looked after. */
static bool is_own(lua_State *L, int function)
{
    lua_Debug ar;
    const char *job = task_string(script_of(L)->task, "job"), *slash = job ? strrchr(job, '/') : NULL;
    lua_pushvalue(L, function);
    if (!lua_getinfo(L, ">S", &ar) || *ar.source != '@' || !job)
        return true;
    return slash ? strncmp(ar.source + 1, job, (size_t)(slash - job) + 1) == 0 : ar.source[1] != '/';
}

static void read_code(struct walk *w, int function, uint32_t part)
{
    lua_State *L = w->L;
    w->dump.n = 0;
    lua_pushvalue(L, function);
    visit_need(L, lua_dump(L, write_dump, &w->dump, 1) == 0 ? ST_OK : ST_MEMORY, w->dump.n);
    lua_pop(L, 1);
    enum status st = code_read(buf_slice(&w->dump), find_upvalues(w, function), &w->code);
    visit_need(L, st == ST_CORRUPT ? ST_OK : st, w->dump.n);
    if (st == ST_CORRUPT)
        visit_cannot(w, part, "its code is not understood");
    walk_part(w, part)->hash = w->code.hash;
    w->mentions |= w->code.mentions;
    visit_into_key(w, w->code.hash);
    if (w->code.mentions & CODE_COMPUTED_MODULE && is_own(L, function))
        visit_cannot(w, part, "it requires a module whose name only it knows");
    if (w->code.mentions & CODE_LOADS_FILE && is_own(L, function))
        visit_cannot(w, part, "it loads a file of code while it runs");
}

/* A variable belongs to the first function that is met with it. */
static void visit_upvalue(struct walk *w, int function, int i, const char *name, const struct node *node)
{
    char title[VISIT_TITLE_MAX];
    lua_State *L = w->L;
    int value = lua_gettop(L);
    lua_pushlightuserdata(L, lua_upvalueid(L, function, i));
    uint32_t variable = visit_number(w, value + 1);
    if (variable == 0) {
        variable = ++w->variables;
        lua_pushvalue(L, value + 1);
        lua_pushinteger(L, variable);
        lua_rawset(L, w->seen);
        const char *of = lua_pushstring(L, walk_text(w, node->label));
        (void)snprintf(title, sizeof title, "upvalue '%.60s' of %.150s", name, of);
        struct head head = { .title = title, .label = name, .place = walk_part(w, node->part)->place };
        visit_into_key(w, visit_head(w, value, &head).linked);
    }
    visit_into_key(w, visit_mix(TAG_VARIABLE, variable));
    lua_settop(L, value);
}

static void visit_upvalues(struct walk *w, int function, const struct node *node)
{
    lua_State *L = w->L;
    const char *name;
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++) {
        if (lua_rawequal(L, -1, w->globals))
            w->mentions |= strcmp(name, "_ENV") == 0 ? 0 : CODE_ALL_GLOBALS;
        else
            visit_upvalue(w, function, i, name, node);
        lua_pop(L, 1);
    }
}

static void walk_function(struct walk *w, int function, const struct node *node)
{
    lua_State *L = w->L;
    if (w->mode == WALK_PRINT)
        read_code(w, function, node->part);
    else
        walk_part(w, node->part)->hash = visit_mix(TAG_POINTER, (uint64_t)(uintptr_t)lua_topointer(L, function));
    visit_upvalues(w, function, node);
    if (w->mode == WALK_REACH)
        return;
    for (size_t i = 0; i < code_count(&w->code.globals); i++)
        visit_into_key(w, visit_global(w, code_name(&w->code.globals, i)));
    for (size_t i = 0; i < code_count(&w->code.modules); i++)
        visit_into_key(w, visit_required(w, code_name(&w->code.modules, i)));
}

/* --- tables --- */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static uint64_t hash_key(struct walk *w, int key, const struct node *node)
{
    uint64_t hash;
    if (visit_scalar(w->L, key, &hash) || visit_name(w, key, &hash))
        return hash;
    if (w->mode == WALK_REACH)
        return visit_object(w, TAG_UNSURE, key, 0).own;
    visit_cannot(w, node->part, "a table whose keys are tables or functions");
    return TAG_UNSURE;
}

static bool is_named_node(const struct node *node)
{
    return node->kind == NODE_GLOBALS || node->kind == NODE_LIBRARY || node->kind == NODE_ARGS;
}

static void put_entry(struct walk *w, uint64_t key, int index)
{
    lua_State *L = w->L;
    struct entry entry = { key, (lua_Integer)(w->entries.n / sizeof entry) + 1 };
    visit_need(L, buf_append(&w->entries, &entry, sizeof entry), sizeof entry);
    lua_pushvalue(L, index);
    lua_rawseti(L, w->waiting, entry.waiting);
}

/* Adds up the plain entries; those that need an order wait. */
static struct print sum_entries(struct walk *w, int table, const struct node *node)
{
    lua_State *L = w->L;
    struct print sum = { 0, 0 };
    uint64_t value;
    w->entries.n = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 1)) {
        int at = table + 1;
        if ((node->kind == NODE_LIBRARY || node->kind == NODE_GLOBALS) && is_as_it_was(w, table, at, at + 1))
            continue;
        uint64_t key = hash_key(w, at, node);
        if (is_named_node(node) || !(visit_scalar(L, at + 1, &value) || visit_name(w, at + 1, &value))) {
            put_entry(w, key, at);
            continue;
        }
        sum.own += visit_mix(key, value);
        sum.linked += visit_mix(key, value);
    }
    if (w->entries.n > 0)
        qsort(w->entries.p, w->entries.n / sizeof(struct entry), sizeof(struct entry), compare_entries);
    return sum;
}

/* The name of what stands under a key: "util.clean", "steps[3]". */
static void child_label(const struct walk *w, const struct node *node, int key, char out[VISIT_LABEL_MAX])
{
    lua_State *L = w->L;
    const char *parent = walk_text(w, node->label), *dot = *parent ? "." : "";
    int n = -1;
    if (lua_type(L, key) == LUA_TSTRING)
        n = snprintf(out, VISIT_LABEL_MAX, "%s%s%.60s", parent, dot, lua_tostring(L, key));
    else if (lua_isinteger(L, key))
        n = snprintf(out, VISIT_LABEL_MAX, "%s[%lld]", parent, (long long)lua_tointeger(L, key));
    if (n < 0 || n >= VISIT_LABEL_MAX)
        (void)snprintf(out, VISIT_LABEL_MAX, "%.150s[…]", parent);
}

static void name_argument(lua_State *L, int key, char title[VISIT_TITLE_MAX])
{
    if (lua_type(L, key) == LUA_TSTRING)
        (void)snprintf(title, VISIT_TITLE_MAX, "argument %.60s", lua_tostring(L, key));
    else
        (void)snprintf(title, VISIT_TITLE_MAX, "argument %lld", (long long)lua_tointeger(L, key));
}

/* An entry of the globals, a library or the arguments is a part of its own. */
static struct print visit_named(struct walk *w, const struct node *node, int key, int value)
{
    char title[VISIT_TITLE_MAX], label[VISIT_LABEL_MAX];
    child_label(w, node, key, label);
    if (node->kind == NODE_ARGS)
        name_argument(w->L, key, title);
    else
        (void)snprintf(title, sizeof title, node->kind == NODE_GLOBALS ? "global '%s'" : "%s", label);
    if (node->kind == NODE_GLOBALS && lua_type(w->L, key) == LUA_TSTRING && mark_seen(w, "global ", key))
        return visit_plain(TAG_GLOBAL);
    return visit_head(w, value, &(struct head){ .title = title, .label = label });
}

static struct print visit_entry(struct walk *w, const struct node *node, const struct entry *entry, int key, int value)
{
    char label[VISIT_LABEL_MAX];
    if (is_named_node(node))
        return visit_named(w, node, key, value);
    struct node inner = { .kind = NODE_TABLE, .part = node->part, .at = visit_mix(node->at, entry->key) };
    child_label(w, node, key, label);
    inner.label = visit_put_text(w, label);
    return visit_value(w, value, &inner);
}

/* Those that wait, in the order of their keys. */
static void order_entries(struct walk *w, int table, const struct node *node, struct print *sum)
{
    lua_State *L = w->L;
    size_t n = w->entries.n / sizeof(struct entry);
    for (size_t i = 0; i < n; i++) {
        struct entry entry = ((const struct entry *)(const void *)w->entries.p)[i];
        (void)lua_rawgeti(L, w->waiting, entry.waiting);
        lua_pushvalue(L, -1);
        (void)lua_rawget(L, table);
        struct print print = visit_entry(w, node, &entry, table + 1, table + 2);
        sum->own += visit_mix(entry.key, print.own);
        sum->linked = visit_mix(sum->linked, visit_mix(entry.key, print.linked));
        lua_settop(L, table);
    }
}

static void walk_metatable(struct walk *w, int table, const struct node *node, struct print *sum)
{
    lua_State *L = w->L;
    if (!lua_getmetatable(L, table))
        return;
    struct node inner = { .kind = NODE_TABLE, .part = node->part, .label = node->label, .at = visit_mix(node->at, TAG_METATABLE) };
    struct print print = visit_value(w, table + 1, &inner);
    sum->own += visit_mix(TAG_METATABLE, print.own);
    sum->linked = visit_mix(sum->linked, visit_mix(TAG_METATABLE, print.linked));
    lua_pop(L, 1);
}

static void walk_table(struct walk *w, int table, const struct node *node)
{
    struct print sum = sum_entries(w, table, node);
    order_entries(w, table, node, &sum);
    if (node->kind == NODE_TABLE) {
        walk_metatable(w, table, node, &sum);
        walk_part(w, node->part)->hash += visit_mix(node->at, sum.own);
    }
    visit_into_key(w, visit_mix(TAG_TABLE, sum.linked));
}

/* --- the walk --- */

void walk_add(struct walk *w, const char *name, uint64_t hash)
{
    uint32_t part = visit_new_part(w, name, 0);
    walk_part(w, part)->hash = hash;
    visit_into_key(w, visit_mix(visit_hash(TAG_NAME, name, strlen(name)), hash));
}

void walk_cannot(struct walk *w, const char *name, const char *why)
{
    visit_cannot(w, visit_new_part(w, name, 0), why);
}

void walk_from(struct walk *w, const char *name, int index)
{
    uint64_t root = visit_hash(TAG_NAME, name, strlen(name));
    visit_into_key(w, visit_mix(root, visit_head(w, index, &(struct head){ .title = name, .label = name, .is_root = true }).linked));
}

static void enter_metatable(struct walk *w, const char *title)
{
    lua_State *L = w->L;
    uint64_t name;
    int value = lua_gettop(L);
    if (lua_getmetatable(L, value) && !visit_name(w, value + 1, &name))
        visit_into_key(w, visit_head(w, value + 1, &(struct head){ .title = title, .label = title }).linked);
    lua_settop(L, value - 1);
}

/* What values of a kind do by the metatable of that kind, and methods of strings. */
static void enter_kinds(struct walk *w)
{
    lua_State *L = w->L;
    uint64_t name;
    lua_pushnil(L);
    enter_metatable(w, "metatable of nil");
    lua_pushboolean(L, 1);
    enter_metatable(w, "metatable of booleans");
    lua_pushinteger(L, 1);
    enter_metatable(w, "metatable of numbers");
    lua_pushliteral(L, "");
    enter_metatable(w, "metatable of strings");
    lua_pushcfunction(L, free_walk);
    enter_metatable(w, "metatable of functions");
    (void)lua_getglobal(L, LUA_STRLIBNAME);
    (void)visit_name(w, lua_gettop(L), &name);
    lua_pop(L, 1);
}

static void enter_globals(struct walk *w)
{
    struct node node = { .kind = NODE_GLOBALS };
    lua_State *L = w->L;
    int top = lua_gettop(L);
    if (visit_number(w, w->globals) > 0)
        return;
    (void)visit_add_node(w, w->globals, &node);
    if (lua_getmetatable(L, w->globals))
        visit_into_key(w, visit_head(w, top + 1, &(struct head){ .title = "metatable of the globals", .label = "globals" }).linked);
    lua_settop(L, top);
}

static void walk_node(struct walk *w, uint32_t i)
{
    lua_State *L = w->L;
    struct node node = ((const struct node *)(const void *)w->node_list.p)[i];
    (void)lua_rawgeti(L, w->nodes, (lua_Integer)i + 1);
    if (node.kind == NODE_FUNCTION && !w->has_function)
        enter_kinds(w);
    w->has_function |= node.kind == NODE_FUNCTION;
    if (node.kind == NODE_FUNCTION)
        walk_function(w, lua_gettop(L), &node);
    else
        walk_table(w, lua_gettop(L), &node);
    lua_pop(L, 1);
}

void walk_run(struct walk *w)
{
    if (w->mode == WALK_REACH)
        enter_globals(w);
    while (w->walked < w->node_list.n / sizeof(struct node)) {
        walk_node(w, w->walked++);
        if (w->mentions & CODE_ALL_GLOBALS)
            enter_globals(w);
    }
}
