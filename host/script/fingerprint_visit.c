/* fingerprint_visit.c: see fingerprint_visit.h. */
#include "script/fingerprint_visit.h"

#include "script/fingerprint_names.h"
#include "script/state.h"

#include <stdio.h>

void visit_need(lua_State *L, enum status st, size_t bytes)
{
    struct err e;
    if (st != ST_OK)
        (void)script_raise(L, (err_memory(&e, "a fingerprint", bytes), &e));
}

uint32_t visit_put_text(struct walk *w, const char *text)
{
    size_t at = w->text.n, n = strlen(text) + 1;
    visit_need(w->L, at + n <= UINT32_MAX ? buf_append(&w->text, text, n) : ST_MEMORY, n);
    return (uint32_t)at;
}

/* --- parts and nodes --- */

static uint32_t put_title(struct walk *w, const char *title)
{
    char text[VISIT_TITLE_MAX];
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
    uint32_t at = visit_put_text(w, title);
    for (char *p = (char *)w->text.p + at; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7F) /* it goes to terminals */
            *p = '?';
    return at;
}

uint32_t visit_new_part(struct walk *w, const char *title, uint32_t place)
{
    struct part part = { .name = put_title(w, title), .place = place };
    visit_need(w->L, buf_append(&w->parts, &part, sizeof part), sizeof part);
    return walk_parts(w) - 1;
}

void visit_cannot(struct walk *w, uint32_t part, const char *why)
{
    if (walk_part(w, part)->why == 0) {
        uint32_t at = visit_put_text(w, why);
        walk_part(w, part)->why = at;
    }
    w->can = false;
}

uint32_t visit_number(struct walk *w, int index)
{
    lua_pushvalue(w->L, index);
    (void)lua_rawget(w->L, w->seen);
    uint32_t n = (uint32_t)lua_tointeger(w->L, -1);
    lua_pop(w->L, 1);
    return n;
}

uint32_t visit_add_node(struct walk *w, int index, const struct node *node)
{
    lua_State *L = w->L;
    visit_need(L, buf_append(&w->node_list, node, sizeof *node), sizeof *node);
    uint32_t n = (uint32_t)(w->node_list.n / sizeof *node);
    lua_pushvalue(L, index);
    lua_rawseti(L, w->nodes, n);
    lua_pushvalue(L, index);
    lua_pushinteger(L, n);
    lua_rawset(L, w->seen);
    return n;
}

struct print visit_object(struct walk *w, enum tag tag, int index, uint32_t number)
{
    if (w->mode == WALK_REACH)
        return visit_plain(visit_mix(TAG_POINTER, (uint64_t)(uintptr_t)lua_topointer(w->L, index)));
    return (struct print){ tag, visit_mix(TAG_NUMBER, number) };
}

/* --- values --- */

bool visit_scalar(lua_State *L, int index, uint64_t *hash)
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
        *hash = lua_isinteger(L, index) ? visit_mix(TAG_INT, (uint64_t)lua_tointeger(L, index)) : visit_hash(TAG_FLOAT, &number, sizeof number);
        return true;
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &n);
        *hash = visit_hash(TAG_STRING, s, n);
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
    if (!is_library || visit_number(w, index) > 0)
        return;
    struct node node = { .kind = NODE_LIBRARY };
    node.label = visit_put_text(w, name);
    (void)visit_add_node(w, index, &node);
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

bool visit_name(struct walk *w, int index, uint64_t *hash)
{
    lua_State *L = w->L;
    size_t n;
    lua_pushvalue(L, index);
    int type = lua_rawget(L, w->names);
    if (type == LUA_TSTRING) {
        const char *name = lua_tolstring(L, -1, &n);
        *hash = visit_hash(TAG_NAME, name, n);
        if (strcmp(name, "mr.lookup") == 0 || strcmp(name, "mr.side_pairs") == 0)
            w->mentions |= CODE_LOOKUP;
        else if (strcmp(name, "mr.output") == 0)
            w->mentions |= CODE_OUTPUT;
        enter_library(w, index, name);
    } else if (w->mode == WALK_REACH && (type != LUA_TNIL || is_bare(L, index))) {
        *hash = visit_mix(TAG_POINTER, (uint64_t)(uintptr_t)lua_topointer(L, index));
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

uint32_t visit_put_file(struct walk *w, const char *path)
{
    return visit_put_text(w, strncmp(path, "./", 2) == 0 ? path + 2 : path);
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
    return visit_put_file(w, text);
}

/* What a function in C keeps (REACH) is as good as what one in Lua does; its code (PRINT) nobody knows. */
static bool is_followed(struct walk *w, int index)
{
    return lua_isfunction(w->L, index) && (w->mode == WALK_REACH || !lua_iscfunction(w->L, index));
}

static struct print visit_function(struct walk *w, int index, const struct head *head)
{
    char title[VISIT_TITLE_MAX], label[VISIT_LABEL_MAX]; /* copies: the text may move */
    uint32_t number = visit_number(w, index);
    if (number == 0) {
        (void)snprintf(label, sizeof label, "%s", head->label);
        (void)snprintf(title, sizeof title, head->is_root ? "%s" : "function %s", head->is_root ? head->title : label);
        struct node node = { .kind = NODE_FUNCTION };
        uint32_t place = place_of(w, index);
        node.part = visit_new_part(w, title, place);
        node.label = visit_put_text(w, label);
        number = visit_add_node(w, index, &node);
    }
    return visit_object(w, TAG_FUNCTION, index, number);
}

/* A module's table is a part, however it was come by. False: it is none. */
static bool visit_module(struct walk *w, int index, struct print *out)
{
    char title[VISIT_TITLE_MAX];
    lua_State *L = w->L;
    int top = lua_gettop(L);
    lua_pushvalue(L, index);
    if (lua_rawget(L, w->modules) != LUA_TSTRING) {
        lua_settop(L, top);
        return false;
    }
    uint32_t number = visit_number(w, index);
    if (number == 0) {
        const char *module = lua_tostring(L, -1);
        (void)snprintf(title, sizeof title, "module %s", module);
        struct node node = { .kind = NODE_TABLE };
        uint32_t place = names_find_module(L, module, false) ? visit_put_file(w, lua_tostring(L, -1)) : 0;
        node.part = visit_new_part(w, title, place);
        node.label = visit_put_text(w, module);
        number = visit_add_node(w, index, &node);
    }
    lua_settop(L, top);
    *out = visit_object(w, TAG_TABLE, index, number);
    return true;
}

static struct print visit_table(struct walk *w, int index, const struct node *node)
{
    uint32_t number = visit_number(w, index);
    if (number == 0)
        number = visit_add_node(w, index, node);
    return visit_object(w, TAG_TABLE, index, number);
}

static bool visit_args(struct walk *w, int index, struct print *out)
{
    if (w->mode == WALK_REACH || !lua_rawequal(w->L, index, w->args))
        return false;
    *out = visit_table(w, index, &(struct node){ .kind = NODE_ARGS });
    return true;
}

struct print visit_value(struct walk *w, int index, const struct node *inner)
{
    struct print print;
    uint64_t hash;
    lua_State *L = w->L;
    if (visit_scalar(L, index, &hash) || visit_name(w, index, &hash))
        return visit_plain(hash);
    if (is_followed(w, index))
        return visit_function(w, index, &(struct head){ .label = walk_text(w, inner->label) });
    if (lua_istable(L, index)) {
        if (visit_module(w, index, &print) || visit_args(w, index, &print))
            return print;
        return visit_table(w, index, inner);
    }
    visit_cannot(w, inner->part, unsure_kind(L, index));
    return w->mode == WALK_REACH ? visit_object(w, TAG_UNSURE, index, 0) : visit_plain(TAG_UNSURE);
}

struct print visit_head(struct walk *w, int index, const struct head *head)
{
    struct print print;
    uint64_t hash;
    lua_State *L = w->L;
    bool is_other_name = w->mode == WALK_REACH && visit_number(w, index) > 0; /* that it has one more is worth telling */
    if (is_followed(w, index) && !is_other_name && !visit_name(w, index, &hash))
        return visit_function(w, index, head);
    if (lua_istable(L, index) && !visit_name(w, index, &hash) && (visit_module(w, index, &print) || visit_args(w, index, &print)))
        return print;
    struct node inner = { .kind = NODE_TABLE };
    inner.part = visit_new_part(w, head->title, head->place);
    inner.label = visit_put_text(w, head->label);
    print = visit_value(w, index, &inner);
    walk_part(w, inner.part)->hash += visit_mix(TAG_ENTRY, print.own);
    return print;
}
