/* value.c: encoding of Lua values; decoding is in value_push.c. */
#include "script/value.h"

#include "script/value_mark.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

static const char VALUE_KINDS[] = "a value can be a boolean, number, string, mr.null or a table of these";
static const char KEY_KINDS[] = "a key can be a boolean, number, string, mr.null or an array of these";

struct map_entry {
    size_t key_at, key_n; /* in enc->keys */
    size_t at, n;         /* of the pair, in the output */
};

void encoder_free(struct encoder *enc)
{
    buf_free(&enc->keys);
    buf_free(&enc->entries);
    buf_free(&enc->moved);
}

/* --- messages --- */

struct text {
    char *p;
    size_t n, cap;
};

static void __attribute__((format(printf, 2, 3))) say(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->p + t->n, t->cap - t->n, format, args);
    va_end(args);
    if (n > 0)
        t->n = t->n + (size_t)n < t->cap ? t->n + (size_t)n : t->cap - 1;
}

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
        if (!letter && (i == 0 || s[i] < '0' || s[i] > '9'))
            return false;
    }
    return n > 0 && n <= 60;
}

static void say_step(struct text *t, lua_State *L, const struct encoder_step *step)
{
    if (!step->key) {
        say(t, "[%lld]", (long long)step->at);
        return;
    }
    size_t n = 0;
    switch (lua_type(L, step->key)) {
    case LUA_TSTRING: {
        const char *s = lua_tolstring(L, step->key, &n);
        if (is_name(s, n))
            say(t, ".%s", s);
        else
            say(t, "[\"%.*s\"]", (int)(n < 40 ? n : 40), s);
        break;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(L, step->key))
            say(t, "[%lld]", (long long)lua_tointeger(L, step->key));
        else
            say(t, "[%.14g]", lua_tonumber(L, step->key));
        break;
    case LUA_TBOOLEAN:
        say(t, "[%s]", lua_toboolean(L, step->key) ? "true" : "false");
        break;
    default:
        say(t, "[a %s]", lua_typename(L, lua_type(L, step->key)));
    }
}

static void say_path(struct text *t, const struct encoder *enc, lua_State *L, unsigned depth)
{
    enum { SHOWN = 6 };
    say(t, "%s", enc->root);
    for (unsigned i = 0; i < depth && i < SHOWN; i++)
        say_step(t, L, &enc->path[i]);
    if (depth > SHOWN)
        say(t, "…");
}

static enum status __attribute__((format(printf, 3, 4)))
refuse(struct encoder *enc, lua_State *L, const char *format, ...)
{
    char what[ENCODER_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct text t = { enc->message, 0, sizeof enc->message };
    say_path(&t, enc, L, enc->depth);
    say(&t, " %s", what);
    enc->depth = 0;
    enc->keys.n = enc->entries.n = 0;
    return ST_SCRIPT;
}

static enum status refuse_type(struct encoder *enc, lua_State *L, int index, const char *kinds)
{
    int type = lua_type(L, index);
    if (type == LUA_TNIL || type == LUA_TNONE)
        return refuse(enc, L, "is nil; %s", kinds);
    return refuse(enc, L, "is a %s; %s", lua_typename(L, type), kinds);
}

/* --- scalars --- */

static struct slice string_at(lua_State *L, int index)
{
    size_t n;
    const char *s = lua_tolstring(L, index, &n);
    return slice_of(s, n);
}

/* --- tables --- */

static enum status encode(struct encoder *enc, lua_State *L, int index, struct buf *out);

/* Steps into the table at `index`: refuses cycles and what is too deep. */
static enum status enter(struct encoder *enc, lua_State *L, int index)
{
    const void *table = lua_topointer(L, index);
    for (unsigned i = 0; i < enc->depth; i++) {
        if (enc->path[i].table == table) {
            char again[ENCODER_MESSAGE_MAX];
            struct text t = { again, 0, sizeof again };
            say_path(&t, enc, L, i);
            return refuse(enc, L, "is a cycle: it is %s again", again);
        }
    }
    if (enc->depth >= CODEC_DEPTH_MAX)
        return refuse(enc, L, "is nested deeper than %d tables", CODEC_DEPTH_MAX);
    if (!lua_checkstack(L, 6))
        return ST_MEMORY;
    enc->path[enc->depth++] = (struct encoder_step){ table, 0, 0 };
    return ST_OK;
}

static void leave(struct encoder *enc)
{
    enc->depth--;
}

/* Number of pairs of a table; *is_array when its keys are exactly 1…n. */
static uint64_t count_pairs(lua_State *L, int index, bool *is_array)
{
    uint64_t length = lua_rawlen(L, index), count = 0;
    bool array = true;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        count++;
        if (array) {
            lua_Integer i = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
            array = i >= 1 && (uint64_t)i <= length;
        }
    }
    *is_array = array && count == length;
    return count;
}

static enum status encode_array(struct encoder *enc, lua_State *L, int index, uint64_t count, struct buf *out)
{
    enum status st = val_put_array(out, count);
    for (uint64_t i = 1; st == ST_OK && i <= count; i++) {
        enc->path[enc->depth - 1].at = (lua_Integer)i;
        (void)lua_rawgeti(L, index, (lua_Integer)i);
        st = encode(enc, L, lua_gettop(L), out);
        if (st == ST_OK)
            lua_pop(L, 1);
    }
    return st;
}

/* The key of a map's pair at stack index `key`: as a value into `out`, as a sortable key into enc->keys. */
static enum status encode_map_key(struct encoder *enc, lua_State *L, int key, struct buf *out)
{
    enum status st, st2;
    switch (lua_type(L, key)) {
    case LUA_TBOOLEAN:
        st = key_put_bool(&enc->keys, lua_toboolean(L, key));
        st2 = val_put_bool(out, lua_toboolean(L, key));
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, key)) {
            st = key_put_int(&enc->keys, lua_tointeger(L, key));
            st2 = val_put_int(out, lua_tointeger(L, key));
        } else {
            st = key_put_float(&enc->keys, lua_tonumber(L, key));
            st2 = val_put_float(out, lua_tonumber(L, key));
        }
        break;
    case LUA_TSTRING:
        st = key_put_string(&enc->keys, string_at(L, key), false);
        st2 = val_put_string(out, string_at(L, key));
        break;
    default:
        leave(enc); /* the message is about the table, not about its last key */
        return refuse(enc, L, "has a %s as a key; keys of a table can be booleans, numbers and strings",
                      lua_typename(L, lua_type(L, key)));
    }
    return st ? st : st2;
}

struct entry_order {
    const uint8_t *keys;
};

static int compare_entries(const void *a, const void *b, void *context)
{
    const struct map_entry *x = a, *y = b;
    const struct entry_order *order = context;
    return slice_compare(slice_of(order->keys + x->key_at, x->key_n), slice_of(order->keys + y->key_at, y->key_n));
}

static bool in_order(const struct map_entry *entries, size_t n, struct entry_order *order)
{
    for (size_t i = 1; i < n; i++)
        if (compare_entries(&entries[i - 1], &entries[i], order) > 0)
            return false;
    return true;
}

/* Puts the pairs that stand in out from `start` on into key order. */
static enum status order_pairs(struct encoder *enc, struct map_entry *entries, size_t n, struct buf *out, size_t start)
{
    struct entry_order order = { enc->keys.p };
    if (in_order(entries, n, &order))
        return ST_OK;
    qsort_r(entries, n, sizeof *entries, compare_entries, &order);
    enc->moved.n = 0;
    enum status st = buf_reserve(&enc->moved, out->n - start);
    for (size_t i = 0; st == ST_OK && i < n; i++)
        st = buf_append(&enc->moved, out->p + entries[i].at, entries[i].n);
    if (st == ST_OK)
        memcpy(out->p + start, enc->moved.p, enc->moved.n);
    return st;
}

static enum status encode_pairs(struct encoder *enc, lua_State *L, int index, struct buf *out)
{
    enum status st = ST_OK;
    lua_pushnil(L);
    while (st == ST_OK && lua_next(L, index)) {
        int value = lua_gettop(L);
        struct map_entry entry = { .key_at = enc->keys.n, .at = out->n };
        st = encode_map_key(enc, L, value - 1, out);
        if (st != ST_OK)
            break;
        entry.key_n = enc->keys.n - entry.key_at;
        enc->path[enc->depth - 1].key = value - 1;
        st = encode(enc, L, value, out);
        entry.n = out->n - entry.at;
        if (st == ST_OK)
            st = buf_append(&enc->entries, &entry, sizeof entry);
        lua_pop(L, 1);
    }
    return st;
}

static enum status encode_map(struct encoder *enc, lua_State *L, int index, uint64_t count, struct buf *out)
{
    size_t keys = enc->keys.n, entries = enc->entries.n;
    enum status st = val_put_map(out, count);
    size_t start = out->n;
    if (st == ST_OK)
        st = encode_pairs(enc, L, index, out);
    if (st != ST_OK)
        return st;
    struct map_entry *first = (struct map_entry *)(void *)(enc->entries.p + entries);
    st = order_pairs(enc, first, (enc->entries.n - entries) / sizeof *first, out, start);
    enc->keys.n = keys;
    enc->entries.n = entries;
    return st;
}

static enum status encode_table(struct encoder *enc, lua_State *L, int index, struct buf *out)
{
    enum status st = enter(enc, L, index);
    if (st != ST_OK)
        return st;
    bool is_array;
    uint64_t count = count_pairs(L, index, &is_array);
    if (count == 0)
        st = value_is_empty_map(L, index) ? val_put_map(out, 0) : val_put_array(out, 0);
    else if (is_array)
        st = encode_array(enc, L, index, count, out);
    else
        st = encode_map(enc, L, index, count, out);
    if (st == ST_OK)
        leave(enc);
    return st;
}

static enum status encode(struct encoder *enc, lua_State *L, int index, struct buf *out)
{
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return val_put_bool(out, lua_toboolean(L, index));
    case LUA_TNUMBER:
        return lua_isinteger(L, index) ? val_put_int(out, lua_tointeger(L, index))
                                       : val_put_float(out, lua_tonumber(L, index));
    case LUA_TSTRING:
        return val_put_string(out, string_at(L, index));
    case LUA_TTABLE:
        return encode_table(enc, L, index, out);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index))
            return val_put_null(out);
        return refuse_type(enc, L, index, VALUE_KINDS);
    default:
        return refuse_type(enc, L, index, VALUE_KINDS);
    }
}

/* An error leaves keys and values of the walk on the stack, for its message: they go here. */
enum status value_encode(struct encoder *enc, lua_State *L, int index, struct buf *out)
{
    int top = lua_gettop(L);
    enc->root = "value";
    enc->depth = 0;
    enc->keys.n = enc->entries.n = 0;
    enum status st = encode(enc, L, lua_absindex(L, index), out);
    lua_settop(L, top);
    return st;
}

/* --- keys --- */

static enum status put_key(struct encoder *enc, lua_State *L, int index, struct buf *out, bool nested);

static enum status put_key_array(struct encoder *enc, lua_State *L, int index, struct buf *out)
{
    enum status st = enter(enc, L, index);
    if (st != ST_OK)
        return st;
    bool is_array;
    uint64_t count = count_pairs(L, index, &is_array);
    if (!is_array) {
        leave(enc);
        return refuse(enc, L, "is a table that is no array; %s", KEY_KINDS);
    }
    st = key_array_begin(out);
    for (uint64_t i = 1; st == ST_OK && i <= count; i++) {
        enc->path[enc->depth - 1].at = (lua_Integer)i;
        (void)lua_rawgeti(L, index, (lua_Integer)i);
        st = put_key(enc, L, lua_gettop(L), out, true);
        if (st == ST_OK)
            lua_pop(L, 1);
    }
    if (st != ST_OK)
        return st;
    leave(enc);
    return key_array_end(out);
}

static enum status put_key(struct encoder *enc, lua_State *L, int index, struct buf *out, bool nested)
{
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return key_put_bool(out, lua_toboolean(L, index));
    case LUA_TNUMBER: {
        if (lua_isinteger(L, index))
            return key_put_int(out, lua_tointeger(L, index));
        double v = lua_tonumber(L, index);
        return v != v ? refuse(enc, L, "is NaN, which has no place in an order; %s", KEY_KINDS) : key_put_float(out, v);
    }
    case LUA_TSTRING:
        return key_put_string(out, string_at(L, index), nested);
    case LUA_TTABLE:
        return put_key_array(enc, L, index, out);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index))
            return key_put_null(out);
        return refuse_type(enc, L, index, KEY_KINDS);
    default:
        return refuse_type(enc, L, index, KEY_KINDS);
    }
}

enum status key_encode(struct encoder *enc, lua_State *L, int index, struct buf *out)
{
    int top = lua_gettop(L);
    enc->root = "key";
    enc->depth = 0;
    enum status st = put_key(enc, L, lua_absindex(L, index), out, false);
    lua_settop(L, top);
    return st;
}
