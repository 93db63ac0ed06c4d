/* combine.c: see combine.h. */
#include "script/combine.h"

#include "script/failure.h"
#include "script/quarantine.h"

#include <stdio.h>

struct combine_call {
    struct map_emitter *em;
    struct slice key;
    const struct group_values *values;
    uint64_t next;
    combine_put put;
    void *put_context;
};

/* The group being combined; raises when the iterator or emit of another one is called. Upvalue 1 is the group's number. */
static struct combine_call *current(lua_State *L, const char *what)
{
    struct task *t = script_of(L)->task;
    struct map_emitter *em = t && t->kind == TASK_MAP ? t->emitter : NULL;
    if (!em || !em->combining || em->groups != lua_tointeger(L, lua_upvalueindex(1)))
        (void)luaL_error(L, "%s of a group that is over", what);
    return em->combining;
}

static int next_value(lua_State *L)
{
    struct combine_call *call = current(L, "values");
    if (call->next == call->values->count)
        return 0;
    if (!value_push(L, call->values->values[call->next++]))
        return luaL_error(L, "a value does not decode");
    lua_pushvalue(L, lua_upvalueindex(2));
    return 2;
}

static int combine_emit(lua_State *L)
{
    struct combine_call *call = current(L, "emit");
    struct map_emitter *em = call->em;
    struct encoder *enc = &em->task->script->encoder;
    struct buf *out = &em->combine_bytes;
    int n = lua_gettop(L);
    if (n == 0 || n > 2)
        return luaL_error(L, "emit takes a key and a value, got %d arguments", n);
    out->n = 0;
    enum status st = key_encode(enc, L, 1, out);
    if (st == ST_OK && !slice_equal(buf_slice(out), call->key))
        return luaL_error(L, "combine may not change keys: emit the key it was given");
    out->n = 0;
    if (st == ST_OK)
        st = n == 1 ? val_put_bool(out, true) : value_encode(enc, L, 2, out);
    if (st == ST_SCRIPT)
        return luaL_error(L, "emit: %s", enc->message);
    if (st == ST_OK)
        st = call->put(call->put_context, buf_slice(out));
    if (st == ST_OK)
        return 0;
    (void)err_memory(&em->err, "a combined value", out->n);
    em->err.status = st;
    return script_raise(L, &em->err);
}

static int combine_body(lua_State *L)
{
    struct combine_call *call = lua_touserdata(L, 1);
    struct map_emitter *em = call->em;
    script_check(L, em->task->script);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, em->combine_ref);
    if (!key_push(L, &em->task->script->cursor, call->key))
        return luaL_error(L, "a key does not decode");
    lua_pushinteger(L, em->groups);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, next_value, 2);
    lua_pushinteger(L, em->groups);
    lua_pushcclosure(L, combine_emit, 1);
    lua_call(L, 3, 0);
    return 0;
}

/* Its pairs come from many records, so that none of them is to blame and none can be put aside. */
static void place(struct map_emitter *em, struct slice key, struct err *e)
{
    struct buf text = BUF_EMPTY;
    em->combine_failed = true;
    if (em->task->undo.active && quarantine_is_for(e->status)) {
        size_t n = strlen(e->message);
        (void)snprintf(e->message + n, sizeof e->message - n, " (in combine, where no record can be put aside)");
    }
    if (output_text_of_key(key, &text) == ST_OK && buf_terminate(&text) == ST_OK)
        (void)snprintf(e->key, sizeof e->key, "%s", (const char *)text.p);
    buf_free(&text);
}

enum status combine_group(void *context, struct slice key, const struct group_values *values, combine_put put,
                          void *put_context, struct err *e)
{
    struct map_emitter *em = context;
    struct script *s = em->task->script;
    struct combine_call call = { em, key, values, 0, put, put_context };
    lua_State *outer = s->L;
    uint32_t phase = POSITION_GET(s->page, phase);
    em->combining = &call;
    em->groups++;
    POSITION_SET(s->page, phase, POS_COMBINE);
    s->L = em->L;
    enum status st = script_protect(s, combine_body, &call, e);
    s->L = outer;
    if (st != ST_OK)
        place(em, key, e);
    POSITION_SET(s->page, phase, phase);
    em->combining = NULL;
    return st;
}
