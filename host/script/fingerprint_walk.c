/* fingerprint_walk.c: see fingerprint_walk.h.
 *
 * Every table and function gets a number when it is first met. Where several are met at once (the entries of a table), they are taken in the
 * order of their keys' hashes; what has no order is added up. The key takes in each thing's content with the numbers of what it refers to,
 * so it is the same for the same graph; a part's own hash leaves the numbers out, so that it tells of what stands in that part alone. */
#include "script/fingerprint_walk.h"

#include "base/sys.h"
#include "script/fingerprint_names.h"
#include "script/state.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { LABEL_MAX = 160, TITLE_MAX = 256, CUT = 60 };

/* What hashes begin with. */
enum tag { TAG_NIL = 1, TAG_FALSE, TAG_TRUE, TAG_INT, TAG_FLOAT, TAG_STRING, TAG_NAME, TAG_TABLE, TAG_FUNCTION, TAG_UNSURE, TAG_POINTER,
           TAG_NUMBER, TAG_GLOBAL, TAG_MODULE, TAG_ENTRY, TAG_METATABLE, TAG_VARIABLE, TAG_GONE };

/* What becomes of a value: its hash in the part it stands in, and in the key. */
struct print {
    uint64_t own, linked;
};

/* How a value is called that gets a part of its own. */
struct head {
    const char *title;    /* of the part, when it is no function: "upvalue 'x' of map" */
    const char *label;    /* of a function, and of those in a table: "x" */
    uint32_t place;       /* in the text; 0: its own */
    bool is_root;         /* a function's part is called by its title */
};

struct entry {
    uint64_t key;
    lua_Integer waiting; /* index of its key */
};

/* --- hashes --- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    const uint64_t words[2] = { a, b };
    return XXH3_64bits(words, sizeof words);
}

static uint64_t hash_bytes(enum tag tag, const void *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, tag);
}

static struct print plain(uint64_t hash)
{
    return (struct print){ hash, hash };
}

/* --- memory --- */

static void need(lua_State *L, enum status st, size_t bytes)
{
    struct err e;
    if (st != ST_OK)
        (void)script_raise(L, (err_memory(&e, "a fingerprint", bytes), &e));
}

/* Appends a text with its NUL; returns where. */
static uint32_t put_text(struct walk *w, const char *text)
{
    size_t at = w->text.n, n = strlen(text) + 1;
    need(w->L, at + n <= UINT32_MAX ? buf_append(&w->text, text, n) : ST_MEMORY, n);
    return (uint32_t)at;
}

void walk_close(struct walk *w)
{
    buf_free(&w->node_list);
    buf_free(&w->parts);
    buf_free(&w->text);
    buf_free(&w->dump);
    buf_free(&w->entries);
    code_free(&w->code);
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
    (void)put_text(w, ""); /* so that 0 is no place */
    return w;
}

/* --- parts and nodes --- */

/* A name that is there already gets a number. */
static uint32_t put_title(struct walk *w, const char *title)
{
    char text[TITLE_MAX];
    lua_State *L = w->L;
    (void)lua_getfield(L, w->titles, title);
    lua_Integer n = lua_tointeger(L, -1) + 1;
    lua_pop(L, 1);
    lua_pushinteger(L, n);
    lua_setfield(L, w->titles, title);
    if (n > 1) {
        (void)snprintf(text, sizeof text, "%s #%lld", title, (long long)n);
        title = text;
    }
    return put_text(w, title);
}

static uint32_t new_part(struct walk *w, const char *title, uint32_t place)
{
    struct part part = { .name = put_title(w, title), .place = place };
    need(w->L, buf_append(&w->parts, &part, sizeof part), sizeof part);
    return walk_parts(w) - 1;
}

static void cannot(struct walk *w, uint32_t part, const char *why)
{
    if (walk_part(w, part)->why == 0) {
        uint32_t at = put_text(w, why);
        walk_part(w, part)->why = at;
    }
    w->can = false;
}

/* The number of a thing met before; 0: it was not. Absolute index. */
static uint32_t number_of(struct walk *w, int index)
{
    lua_pushvalue(w->L, index);
    (void)lua_rawget(w->L, w->seen);
    uint32_t n = (uint32_t)lua_tointeger(w->L, -1);
    lua_pop(w->L, 1);
    return n;
}

static uint32_t add_node(struct walk *w, int index, const struct node *node)
{
    lua_State *L = w->L;
    need(L, buf_append(&w->node_list, node, sizeof *node), sizeof *node);
    uint32_t n = (uint32_t)(w->node_list.n / sizeof *node);
    lua_pushvalue(L, index);
    lua_rawseti(L, w->nodes, n);
    lua_pushvalue(L, index);
    lua_pushinteger(L, n);
    lua_rawset(L, w->seen);
    return n;
}

static struct print object(struct walk *w, enum tag tag, int index, uint32_t number)
{
    if (w->mode == WALK_REACH)
        return plain(mix(TAG_POINTER, (uint64_t)(uintptr_t)lua_topointer(w->L, index)));
    return (struct print){ tag, mix(TAG_NUMBER, number) };
}

/* --- values --- */

static bool hash_scalar(lua_State *L, int index, uint64_t *hash)
{
    size_t n;
    const char *s;
    lua_Number number;
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        *hash = TAG_NIL;
        return true;
    case LUA_TBOOLEAN:
        *hash = lua_toboolean(L, index) ? TAG_TRUE : TAG_FALSE;
        return true;
    case LUA_TNUMBER:
        number = lua_tonumber(L, index);
        *hash = lua_isinteger(L, index) ? mix(TAG_INT, (uint64_t)lua_tointeger(L, index)) : hash_bytes(TAG_FLOAT, &number, sizeof number);
        return true;
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &n);
        *hash = hash_bytes(TAG_STRING, s, n);
        return true;
    default:
        return false;
    }
}

/* What a library's name begins in the walk: what has been changed in it. */
static void enter_library(struct walk *w, int index, const char *name)
{
    lua_State *L = w->L;
    lua_pushvalue(L, index);
    bool is_library = lua_istable(L, -1) && lua_rawget(L, w->copies) == LUA_TTABLE;
    lua_pop(L, 1);
    if (!is_library || number_of(w, index) > 0)
        return;
    struct node node = { .kind = NODE_LIBRARY };
    node.label = put_text(w, name);
    (void)add_node(w, index, &node);
}

/* A function in C that keeps nothing. */
static bool is_bare(lua_State *L, int index)
{
    if (!lua_iscfunction(L, index))
        return false;
    bool keeps = lua_getupvalue(L, index, 1) != NULL;
    lua_pop(L, keeps ? 1 : 0);
    return !keeps;
}

/* What counts by name (in REACH: what is kept). */
static bool hash_name(struct walk *w, int index, uint64_t *hash)
{
    lua_State *L = w->L;
    size_t n;
    lua_pushvalue(L, index);
    int type = lua_rawget(L, w->names);
    if (type == LUA_TSTRING) {
        const char *name = lua_tolstring(L, -1, &n);
        *hash = hash_bytes(TAG_NAME, name, n);
        if (strcmp(name, "mr.lookup") == 0 || strcmp(name, "mr.side_pairs") == 0)
            w->mentions |= CODE_LOOKUP;
        enter_library(w, index, name);
    } else if (w->mode == WALK_REACH && (type != LUA_TNIL || is_bare(L, index))) {
        *hash = mix(TAG_POINTER, (uint64_t)(uintptr_t)lua_topointer(L, index));
        type = LUA_TSTRING;
    }
    lua_pop(L, 1);
    return type == LUA_TSTRING;
}

static const char *unsure_kind(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TFUNCTION:
        return "a function in C";
    case LUA_TTHREAD:
        return "a coroutine";
    default:
        return "a userdata";
    }
}

/* A file's name as a place. */
static uint32_t put_file(struct walk *w, const char *path)
{
    return put_text(w, strncmp(path, "./", 2) == 0 ? path + 2 : path);
}

/* "job.lua:12" of the function at the index; 0: it has none. */
static uint32_t place_of(struct walk *w, int index)
{
    lua_Debug ar;
    char text[LUA_IDSIZE + 24];
    lua_pushvalue(w->L, index);
    if (!lua_getinfo(w->L, ">S", &ar) || *ar.what == 'C')
        return 0;
    if (*ar.source == '@' && ar.linedefined > 0)
        (void)snprintf(text, sizeof text, "%s:%d", ar.short_src, ar.linedefined);
    else
        (void)snprintf(text, sizeof text, "%s", ar.short_src);
    return put_file(w, text);
}

static struct print visit_head(struct walk *w, int index, const struct head *head);

/* What a function in C keeps (REACH) is as good as what one in Lua does; its code (PRINT) nobody knows. */
static bool is_followed(struct walk *w, int index)
{
    return lua_isfunction(w->L, index) && (w->mode == WALK_REACH || !lua_iscfunction(w->L, index));
}

static struct print visit_function(struct walk *w, int index, const struct head *head)
{
    char title[TITLE_MAX], label[LABEL_MAX]; /* copies: the text may move */
    uint32_t number = number_of(w, index);
    if (number == 0) {
        (void)snprintf(label, sizeof label, "%s", head->label);
        (void)snprintf(title, sizeof title, head->is_root ? "%s" : "function %s", head->is_root ? head->title : label);
        struct node node = { .kind = NODE_FUNCTION };
        uint32_t place = place_of(w, index);
        node.part = new_part(w, title, place);
        node.label = put_text(w, label);
        number = add_node(w, index, &node);
    }
    return object(w, TAG_FUNCTION, index, number);
}

/* A module's table is a part, however it was come by. False: it is none. */
static bool visit_module(struct walk *w, int index, struct print *out)
{
    char title[TITLE_MAX];
    lua_State *L = w->L;
    int top = lua_gettop(L);
    lua_pushvalue(L, index);
    if (lua_rawget(L, w->modules) != LUA_TSTRING) {
        lua_settop(L, top);
        return false;
    }
    uint32_t number = number_of(w, index);
    if (number == 0) {
        const char *module = lua_tostring(L, -1);
        (void)snprintf(title, sizeof title, "module %s", module);
        struct node node = { .kind = NODE_TABLE };
        uint32_t place = names_find_module(L, module, false) ? put_file(w, lua_tostring(L, -1)) : 0;
        node.part = new_part(w, title, place);
        node.label = put_text(w, module);
        number = add_node(w, index, &node);
    }
    lua_settop(L, top);
    *out = object(w, TAG_TABLE, index, number);
    return true;
}

static struct print visit_table(struct walk *w, int index, const struct node *node)
{
    uint32_t number = number_of(w, index);
    if (number == 0)
        number = add_node(w, index, node);
    return object(w, TAG_TABLE, index, number);
}

static bool visit_args(struct walk *w, int index, struct print *out)
{
    if (w->mode == WALK_REACH || !lua_rawequal(w->L, index, w->args))
        return false;
    *out = visit_table(w, index, &(struct node){ .kind = NODE_ARGS });
    return true;
}

/* A value that stands in a part; `inner` says how a table or function in it is met. */
static struct print visit(struct walk *w, int index, const struct node *inner)
{
    struct print print;
    uint64_t hash;
    lua_State *L = w->L;
    if (hash_scalar(L, index, &hash) || hash_name(w, index, &hash))
        return plain(hash);
    if (is_followed(w, index))
        return visit_function(w, index, &(struct head){ .label = walk_text(w, inner->label) });
    if (lua_istable(L, index)) {
        if (visit_module(w, index, &print) || visit_args(w, index, &print))
            return print;
        return visit_table(w, index, inner);
    }
    cannot(w, inner->part, unsure_kind(L, index));
    return w->mode == WALK_REACH ? object(w, TAG_UNSURE, index, 0) : plain(TAG_UNSURE);
}

/* A value that gets a part, unless it has one. */
static struct print visit_head(struct walk *w, int index, const struct head *head)
{
    struct print print;
    uint64_t hash;
    lua_State *L = w->L;
    bool is_other_name = w->mode == WALK_REACH && number_of(w, index) > 0; /* that it has one more is worth telling */
    if (is_followed(w, index) && !is_other_name && !hash_name(w, index, &hash))
        return visit_function(w, index, head);
    if (lua_istable(L, index) && !hash_name(w, index, &hash) && (visit_module(w, index, &print) || visit_args(w, index, &print)))
        return print;
    struct node inner = { .kind = NODE_TABLE };
    inner.part = new_part(w, head->title, head->place);
    inner.label = put_text(w, head->label);
    print = visit(w, index, &inner);
    walk_part(w, inner.part)->hash += mix(TAG_ENTRY, print.own);
    return print;
}

static void into_key(struct walk *w, uint64_t hash)
{
    w->key = mix(w->key, hash);
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

static bool mark_seen(struct walk *w, const char *what)
{
    lua_State *L = w->L;
    bool was = lua_getfield(L, w->seen, what) != LUA_TNIL;
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_setfield(L, w->seen, what);
    return was;
}

/* A global that a function names. */
static uint64_t visit_global(struct walk *w, struct slice name)
{
    char title[TITLE_MAX], label[LABEL_MAX];
    lua_State *L = w->L;
    uint64_t hash = hash_bytes(TAG_GLOBAL, name.p, name.n);
    (void)snprintf(title, sizeof title, "global '%.*s'", name.n > CUT ? CUT : (int)name.n, (const char *)name.p);
    (void)snprintf(label, sizeof label, "%.*s", name.n > CUT ? CUT : (int)name.n, (const char *)name.p);
    if (mark_seen(w, title))
        return hash;
    int key = lua_gettop(L) + 1;
    uint64_t value;
    (void)lua_pushlstring(L, (const char *)name.p, name.n);
    lua_pushvalue(L, key);
    (void)lua_rawget(L, w->globals);
    if (lua_rawequal(L, key + 1, w->globals))
        w->mentions |= CODE_ALL_GLOBALS;
    else if (is_as_it_was(w, w->globals, key, key + 1) && (hash_scalar(L, key + 1, &value) || hash_name(w, key + 1, &value)))
        hash = mix(hash, value);
    else if (!lua_isnil(L, key + 1))
        hash = mix(hash, visit_head(w, key + 1, &(struct head){ .title = title, .label = label }).linked);
    lua_settop(L, key - 1);
    return hash;
}

static uint64_t load_module(struct walk *w, const char *module, const char *title)
{
    lua_State *L = w->L;
    int path = lua_gettop(L);
    if (luaL_loadfilex(L, lua_tostring(L, path), "t") != LUA_OK) {
        uint32_t part = new_part(w, title, put_file(w, lua_tostring(L, path)));
        cannot(w, part, "it does not compile");
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
        (void)hash_scalar(L, -1, &hash);
    }
    walk_add(w, title, hash);
    return hash;
}

static uint64_t visit_required(struct walk *w, struct slice name)
{
    char title[TITLE_MAX];
    lua_State *L = w->L;
    int top = lua_gettop(L);
    uint64_t hash = hash_bytes(TAG_MODULE, name.p, name.n), value;
    const char *module = lua_pushlstring(L, (const char *)name.p, name.n);
    (void)snprintf(title, sizeof title, "module %.200s", module);
    if (!mark_seen(w, lua_pushfstring(L, "require %s", module)) && !names_is_host(module)) {
        (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        if (lua_getfield(L, -1, module) == LUA_TNIL)
            hash = mix(hash, visit_unloaded(w, module, title));
        else if (hash_name(w, lua_gettop(L), &value))
            hash = mix(hash, value);
        else
            hash = mix(hash, visit_head(w, lua_gettop(L), &(struct head){ .title = title, .label = module, .is_root = true }).linked);
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

/* The function's upvalue that is the table of globals, from 0; −1: none. */
static int find_env(struct walk *w, int function)
{
    lua_State *L = w->L;
    const char *name;
    int found = -1;
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++) {
        if (lua_rawequal(L, -1, w->globals) && (found < 0 || strcmp(name, "_ENV") == 0))
            found = i - 1;
        lua_pop(L, 1);
    }
    return found;
}

static void read_code(struct walk *w, int function, uint32_t part)
{
    lua_State *L = w->L;
    w->dump.n = 0;
    lua_pushvalue(L, function);
    need(L, lua_dump(L, write_dump, &w->dump, 1) == 0 ? ST_OK : ST_MEMORY, w->dump.n);
    lua_pop(L, 1);
    enum status st = code_read(buf_slice(&w->dump), find_env(w, function), &w->code);
    need(L, st == ST_CORRUPT ? ST_OK : st, w->dump.n);
    if (st == ST_CORRUPT)
        cannot(w, part, "its code is not understood");
    walk_part(w, part)->hash = w->code.hash;
    w->mentions |= w->code.mentions;
    into_key(w, w->code.hash);
    if (w->code.mentions & CODE_COMPUTED_MODULE)
        cannot(w, part, "it requires a module whose name only it knows");
}

/* A variable belongs to the first function that is met with it. */
static void visit_upvalue(struct walk *w, int function, int i, const char *name, const struct node *node)
{
    char title[TITLE_MAX];
    lua_State *L = w->L;
    int value = lua_gettop(L);
    lua_pushlightuserdata(L, lua_upvalueid(L, function, i));
    uint32_t variable = number_of(w, value + 1);
    if (variable == 0) {
        variable = ++w->variables;
        lua_pushvalue(L, value + 1);
        lua_pushinteger(L, variable);
        lua_rawset(L, w->seen);
        const char *of = lua_pushstring(L, walk_text(w, node->label));
        (void)snprintf(title, sizeof title, "upvalue '%.60s' of %.150s", name, of);
        struct head head = { .title = title, .label = name, .place = walk_part(w, node->part)->place };
        into_key(w, visit_head(w, value, &head).linked);
    }
    into_key(w, mix(TAG_VARIABLE, variable));
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
        walk_part(w, node->part)->hash = mix(TAG_POINTER, (uint64_t)(uintptr_t)lua_topointer(L, function));
    visit_upvalues(w, function, node);
    if (w->mode == WALK_REACH)
        return;
    for (size_t i = 0; i < code_count(&w->code.globals); i++)
        into_key(w, visit_global(w, code_name(&w->code.globals, i)));
    for (size_t i = 0; i < code_count(&w->code.modules); i++)
        into_key(w, visit_required(w, code_name(&w->code.modules, i)));
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
    if (hash_scalar(w->L, key, &hash) || hash_name(w, key, &hash))
        return hash;
    if (w->mode == WALK_REACH)
        return object(w, TAG_UNSURE, key, 0).own;
    cannot(w, node->part, "a table whose keys are tables or functions");
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
    need(L, buf_append(&w->entries, &entry, sizeof entry), sizeof entry);
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
        if (is_named_node(node) || !(hash_scalar(L, at + 1, &value) || hash_name(w, at + 1, &value))) {
            put_entry(w, key, at);
            continue;
        }
        sum.own += mix(key, value);
        sum.linked += mix(key, value);
    }
    if (w->entries.n > 0)
        qsort(w->entries.p, w->entries.n / sizeof(struct entry), sizeof(struct entry), compare_entries);
    return sum;
}

/* The name of what stands under a key: "util.clean", "steps[3]". */
static void child_label(const struct walk *w, const struct node *node, int key, char out[LABEL_MAX])
{
    lua_State *L = w->L;
    const char *parent = walk_text(w, node->label), *dot = *parent ? "." : "";
    int n = -1;
    if (lua_type(L, key) == LUA_TSTRING)
        n = snprintf(out, LABEL_MAX, "%s%s%.60s", parent, dot, lua_tostring(L, key));
    else if (lua_isinteger(L, key))
        n = snprintf(out, LABEL_MAX, "%s[%lld]", parent, (long long)lua_tointeger(L, key));
    if (n < 0 || n >= LABEL_MAX)
        (void)snprintf(out, LABEL_MAX, "%.150s[…]", parent);
}

static void name_argument(lua_State *L, int key, char title[TITLE_MAX])
{
    if (lua_type(L, key) == LUA_TSTRING)
        (void)snprintf(title, TITLE_MAX, "argument %.60s", lua_tostring(L, key));
    else
        (void)snprintf(title, TITLE_MAX, "argument %lld", (long long)lua_tointeger(L, key));
}

/* An entry of the globals, a library or the arguments is a part of its own. */
static struct print visit_named(struct walk *w, const struct node *node, int key, int value)
{
    char title[TITLE_MAX], label[LABEL_MAX];
    child_label(w, node, key, label);
    if (node->kind == NODE_ARGS)
        name_argument(w->L, key, title);
    else
        (void)snprintf(title, sizeof title, node->kind == NODE_GLOBALS ? "global '%s'" : "%s", label);
    if (node->kind == NODE_GLOBALS && mark_seen(w, title))
        return plain(TAG_GLOBAL);
    return visit_head(w, value, &(struct head){ .title = title, .label = label });
}

static struct print visit_entry(struct walk *w, const struct node *node, const struct entry *entry, int key, int value)
{
    char label[LABEL_MAX];
    if (is_named_node(node))
        return visit_named(w, node, key, value);
    struct node inner = { .kind = NODE_TABLE, .part = node->part, .at = mix(node->at, entry->key) };
    child_label(w, node, key, label);
    inner.label = put_text(w, label);
    return visit(w, value, &inner);
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
        sum->own += mix(entry.key, print.own);
        sum->linked = mix(sum->linked, mix(entry.key, print.linked));
        lua_settop(L, table);
    }
}

static void walk_metatable(struct walk *w, int table, const struct node *node, struct print *sum)
{
    lua_State *L = w->L;
    if (!lua_getmetatable(L, table))
        return;
    struct node inner = { .kind = NODE_TABLE, .part = node->part, .label = node->label, .at = mix(node->at, TAG_METATABLE) };
    struct print print = visit(w, table + 1, &inner);
    sum->own += mix(TAG_METATABLE, print.own);
    sum->linked = mix(sum->linked, mix(TAG_METATABLE, print.linked));
    lua_pop(L, 1);
}

static void walk_table(struct walk *w, int table, const struct node *node)
{
    struct print sum = sum_entries(w, table, node);
    order_entries(w, table, node, &sum);
    if (node->kind == NODE_TABLE) {
        walk_metatable(w, table, node, &sum);
        walk_part(w, node->part)->hash += mix(node->at, sum.own);
    }
    into_key(w, mix(TAG_TABLE, sum.linked));
}

/* --- the walk --- */

void walk_add(struct walk *w, const char *name, uint64_t hash)
{
    uint32_t part = new_part(w, name, 0);
    walk_part(w, part)->hash = hash;
    into_key(w, mix(hash_bytes(TAG_NAME, name, strlen(name)), hash));
}

void walk_cannot(struct walk *w, const char *name, const char *why)
{
    cannot(w, new_part(w, name, 0), why);
}

void walk_from(struct walk *w, const char *name, int index)
{
    uint64_t root = hash_bytes(TAG_NAME, name, strlen(name));
    into_key(w, mix(root, visit_head(w, index, &(struct head){ .title = name, .label = name, .is_root = true }).linked));
}

static void enter_metatable(struct walk *w, const char *title)
{
    lua_State *L = w->L;
    uint64_t name;
    int value = lua_gettop(L);
    if (lua_getmetatable(L, value) && !hash_name(w, value + 1, &name))
        into_key(w, visit_head(w, value + 1, &(struct head){ .title = title, .label = title }).linked);
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
    (void)hash_name(w, lua_gettop(L), &name);
    lua_pop(L, 1);
}

static void enter_globals(struct walk *w)
{
    struct node node = { .kind = NODE_GLOBALS };
    lua_State *L = w->L;
    int top = lua_gettop(L);
    if (number_of(w, w->globals) > 0)
        return;
    (void)add_node(w, w->globals, &node);
    if (lua_getmetatable(L, w->globals))
        into_key(w, visit_head(w, top + 1, &(struct head){ .title = "metatable of the globals", .label = "globals" }).linked);
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
