/* native_profile.c: what `lmr profile explain` asks of C: the verdict on a failure, by the driver's own arithmetic. Lua plays the policy
 * host: it is told which function is to be asked, and comes back with the answer. */
#include "script/mr.h"

#include "recover/verdict.h"

static const char RULES[] = "lmr.rules";

/* The rules of a profile, and the question that stands open. */
struct rules_handle {
    struct arena arena;
    struct rules rules;
    struct verdict_ask ask;
};

/* --- arguments --- */

static double number_field(lua_State *L, int table, const char *name, double fallback)
{
    (void)lua_getfield(L, table, name);
    double value = luaL_optnumber(L, -1, fallback);
    lua_pop(L, 1);
    return value;
}

static uint64_t count_field(lua_State *L, int table, const char *name)
{
    (void)lua_getfield(L, table, name);
    lua_Integer value = luaL_optinteger(L, -1, 0);
    lua_pop(L, 1);
    return value > 0 ? (uint64_t)value : 0;
}

static bool bool_field(lua_State *L, int table, const char *name)
{
    (void)lua_getfield(L, table, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static void text_field(lua_State *L, int table, const char *name, char *out, size_t size)
{
    size_t n;
    (void)lua_getfield(L, table, name);
    const char *text = luaL_optlstring(L, -1, "", &n);
    n = n < size ? n : size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
    lua_pop(L, 1);
}

/* { type, message, file, offset, record, key, details (lines "NAME\tVALUE\n"), retry_after } */
static void read_err(lua_State *L, int table, struct err *e)
{
    luaL_checktype(L, table, LUA_TTABLE);
    err_clear(e);
    text_field(L, table, "type", e->type, sizeof e->type);
    text_field(L, table, "message", e->message, sizeof e->message);
    text_field(L, table, "file", e->file, sizeof e->file);
    text_field(L, table, "key", e->key, sizeof e->key);
    text_field(L, table, "details", e->details, sizeof e->details);
    e->status = status_from_type(e->type);
    e->offset = (int64_t)number_field(L, table, "offset", -1);
    e->record = (int64_t)number_field(L, table, "record", -1);
    e->retry_after = number_field(L, table, "retry_after", -1);
    e->elapsed_seconds = number_field(L, table, "elapsed_seconds", -1);
}

static void read_context(lua_State *L, int table, struct verdict_context *c)
{
    luaL_checktype(L, table, LUA_TTABLE);
    *c = (struct verdict_context){
        .attempt = (uint32_t)count_field(L, table, "attempt"),
        .retry = (uint32_t)count_field(L, table, "retry"),
        .failures = (uint32_t)count_field(L, table, "failures"),
        .same_failures = (uint32_t)count_field(L, table, "same_failures"),
        .elapsed_seconds = number_field(L, table, "elapsed_seconds", 0),
        .memory_limit = count_field(L, table, "memory_limit"),
        .timeout_seconds = number_field(L, table, "timeout_seconds", 0),
        .task_timeout_seconds = number_field(L, table, "task_timeout_seconds", 0),
        .progress_timeout_seconds = number_field(L, table, "progress_timeout_seconds", 0),
        .heartbeat_timeout_seconds = number_field(L, table, "heartbeat_timeout_seconds", 0),
        .budget_left = number_field(L, table, "budget_left", 0),
        .has_culprit = bool_field(L, table, "has_culprit"),
        .may_quarantine = bool_field(L, table, "may_quarantine"),
        .may_drop = bool_field(L, table, "may_drop"),
        .is_run = bool_field(L, table, "is_run"),
    };
}

/* --- results --- */

static void push_verdict(lua_State *L, const struct verdict *v)
{
    lua_createtable(L, 0, 9);
    lua_pushstring(L, verdict_name(v->action));
    lua_setfield(L, -2, "action");
    lua_pushnumber(L, v->delay_least);
    lua_setfield(L, -2, "delay_least");
    lua_pushnumber(L, v->delay_most);
    lua_setfield(L, -2, "delay_most");
    lua_pushinteger(L, (lua_Integer)v->memory_limit);
    lua_setfield(L, -2, "memory_limit");
    lua_pushnumber(L, v->timeout_seconds);
    lua_setfield(L, -2, "timeout_seconds");
    lua_pushboolean(L, v->fresh_worker);
    lua_setfield(L, -2, "fresh_worker");
    lua_pushstring(L, v->rule);
    lua_setfield(L, -2, "rule");
    lua_pushstring(L, v->reason);
    lua_setfield(L, -2, "reason");
}

/* A verdict; or nil, the number of the function to be asked, and whether it is for the delay. */
static int push_next(lua_State *L, const struct rules_handle *h, enum verdict_next next, const struct verdict *v)
{
    if (next == VERDICT_DECIDED) {
        push_verdict(L, v);
        return 1;
    }
    lua_pushnil(L);
    lua_pushinteger(L, h->ask.function);
    lua_pushboolean(L, h->ask.for_delay);
    return 3;
}

/* --- functions --- */

static int rules_gc(lua_State *L)
{
    struct rules_handle *h = luaL_checkudata(L, 1, RULES);
    arena_free(&h->arena);
    return 0;
}

/* rules(profile) → rules of an effective profile (scripts/profile.lua) */
static int read_rules(lua_State *L)
{
    struct script *s = script_of(L);
    struct err e;
    err_clear(&e);
    s->bytes.n = 0;
    if (value_encode(&s->encoder, L, 1, &s->bytes) != ST_OK)
        return luaL_error(L, "a profile that cannot be encoded");
    struct rules_handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (struct rules_handle){ .arena = ARENA_EMPTY };
    if (luaL_newmetatable(L, RULES)) {
        lua_pushcfunction(L, rules_gc);
        lua_setfield(L, -2, "__gc");
    }
    (void)lua_setmetatable(L, -2);
    if (rules_read(buf_slice(&s->bytes), &h->arena, &h->rules, &e) != ST_OK)
        return luaL_error(L, "%s", e.message);
    return 1;
}

/* The first three arguments of each: rules, err, context. */
struct question {
    struct rules_handle *h;
    struct err err;
    struct verdict_context context;
};

static void read_question(lua_State *L, struct question *q)
{
    q->h = luaL_checkudata(L, 1, RULES);
    read_err(L, 2, &q->err);
    read_context(L, 3, &q->context);
}

/* verdict(rules, err, context) → as push_next */
static int verdict(lua_State *L)
{
    struct question q;
    struct verdict v;
    read_question(L, &q);
    return push_next(L, q.h, verdict_begin(&q.h->rules, &q.err, &q.context, &q.h->ask, &v), &v);
}

/* verdict_answer(rules, err, context, answer) → as push_next: goes on with what the function said */
static int answer(lua_State *L)
{
    struct script *s = script_of(L);
    struct question q;
    struct verdict v;
    read_question(L, &q);
    s->bytes.n = 0;
    enum status st = lua_isnoneornil(L, 4) ? val_put_null(&s->bytes) : value_encode(&s->encoder, L, 4, &s->bytes);
    if (st != ST_OK)
        return luaL_error(L, "a verdict that cannot be encoded");
    return push_next(L, q.h, verdict_answer(&q.h->rules, &q.err, &q.context, &q.h->ask, buf_slice(&s->bytes), &v), &v);
}

/* verdict_without(rules, err, context, problem) → the verdict, the function having failed */
static int without_answer(lua_State *L)
{
    struct question q;
    struct verdict v;
    read_question(L, &q);
    verdict_no_answer(&q.h->rules, &q.err, &q.context, &q.h->ask, luaL_checkstring(L, 4), &v);
    push_verdict(L, &v);
    return 1;
}

/* built_in_verdicts() → [ { type, what } ] */
static int built_in(lua_State *L)
{
    lua_newtable(L);
    for (lua_Integer i = 0; built_in_verdicts[i].type; i++) {
        lua_createtable(L, 2, 0);
        lua_pushstring(L, built_in_verdicts[i].type);
        lua_rawseti(L, -2, 1);
        lua_pushstring(L, built_in_verdicts[i].what);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void native_add_profile(lua_State *L)
{
    static const luaL_Reg functions[] = { { "rules", read_rules }, { "verdict", verdict }, { "verdict_answer", answer },
                                          { "verdict_without", without_answer }, { "built_in_verdicts", built_in }, { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
}
