/* undo.c: see undo.h. The log is a list of struct note, each followed by the names' bytes and by its whole length (4 bytes), for it is
 * read backwards. */
#include "script/undo.h"

#include "script/task.h"

struct note {
    uint32_t group_length, name_length;
    int type; /* of the value: LUA_TNIL, LUA_TNUMBER */
    bool is_integer;
    union {
        lua_Integer i;
        lua_Number f;
    } value;
};

/* A counter that is raised again and again, with no other between, is noted once. */
static bool is_noted(const struct undo *u, const struct note *note, const char *group, const char *name)
{
    struct note last;
    if (u->log.n == 0)
        return false;
    const uint8_t *p = u->log.p + u->last;
    memcpy(&last, p, sizeof last);
    p += sizeof last;
    return last.group_length == note->group_length && last.name_length == note->name_length &&
           memcmp(p, group, note->group_length) == 0 && memcmp(p + note->group_length, name, note->name_length) == 0;
}

static void append_note(struct undo *u, const struct note *note, const char *group, const char *name)
{
    size_t start = u->log.n, room = sizeof *note + note->group_length + note->name_length + sizeof(uint32_t);
    if (start + room > UNDO_LOG_MAX || buf_reserve(&u->log, room) != ST_OK) {
        u->lost = true;
        return;
    }
    uint32_t length = (uint32_t)room;
    (void)buf_append(&u->log, note, sizeof *note);
    (void)buf_append(&u->log, group, note->group_length);
    (void)buf_append(&u->log, name, note->name_length);
    (void)buf_append(&u->log, &length, sizeof length);
    u->last = start;
}

void undo_note_counter(lua_State *L, struct undo *u, int old)
{
    size_t group_length, name_length;
    u->dirty = true;
    const char *group = lua_tolstring(L, 1, &group_length), *name = lua_tolstring(L, 2, &name_length);
    if (u->lost || group_length > UNDO_LOG_MAX || name_length > UNDO_LOG_MAX) {
        u->lost = true;
        return;
    }
    struct note note;
    memset(&note, 0, sizeof note);
    note.group_length = (uint32_t)group_length;
    note.name_length = (uint32_t)name_length;
    note.type = lua_type(L, old);
    note.is_integer = lua_isinteger(L, old);
    if (note.is_integer)
        note.value.i = lua_tointeger(L, old);
    else
        note.value.f = lua_tonumber(L, old);
    if (!is_noted(u, &note, group, name))
        append_note(u, &note, group, name);
}

static void push_value(lua_State *L, const struct note *note)
{
    if (note->type == LUA_TNIL)
        lua_pushnil(L);
    else if (note->is_integer)
        lua_pushinteger(L, note->value.i);
    else
        lua_pushnumber(L, note->value.f);
}

/* A group of counters that is empty was not there before. */
static void drop_empty(lua_State *L, int counters, int group, const char *name, size_t length)
{
    lua_pushnil(L);
    if (lua_next(L, group))
        return;
    (void)lua_pushlstring(L, name, length);
    lua_pushnil(L);
    lua_rawset(L, counters);
}

static void restore(lua_State *L, int counters, const uint8_t *p)
{
    struct note note;
    memcpy(&note, p, sizeof note);
    const char *group = (const char *)p + sizeof note, *name = group + note.group_length;
    (void)lua_pushlstring(L, group, note.group_length);
    if (lua_rawget(L, counters) == LUA_TTABLE) {
        (void)lua_pushlstring(L, name, note.name_length);
        push_value(L, &note);
        lua_rawset(L, counters + 1);
        drop_empty(L, counters, counters + 1, group, note.group_length);
    }
    lua_settop(L, counters);
}

void undo_counters(lua_State *L, struct task *t)
{
    struct undo *u = &t->undo;
    int top = lua_gettop(L);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->counters_ref);
    for (size_t end = u->log.n; end > 0;) {
        uint32_t length;
        memcpy(&length, u->log.p + end - sizeof length, sizeof length);
        end -= length;
        restore(L, top + 1, u->log.p + end);
    }
    u->log.n = 0;
    lua_settop(L, top);
}
