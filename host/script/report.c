/* report.c: see report.h. */
#include "script/report.h"

#include "base/size.h"
#include "base/sys.h"
#include "data/json.h"
#include "script/failure.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WRITE_AT_ONCE = 64 << 10,
    READ_AT_ONCE = 1 << 20,
    LINE_MAX_BYTES = 64 << 20,
    COLUMN_MAX = 1 << 20
};

static const char STDOUT[] = "standard output";

struct report {
    const char *name;
    struct slice argument;
    const struct report_host *host;
    int fd;
    bool reader_gone;
    struct buf out;   /* not written yet */
    struct buf rows;  /* of the last query */
    struct buf bytes; /* of a quarantine file */
    struct buf value; /* an entry of it */
};

static struct report *report_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* --- output --- */

static enum status flush(struct report *r, struct err *e)
{
    enum status st = ST_OK;
    if (!r->reader_gone && r->out.n > 0)
        st = sys_write(r->fd, r->out.p, r->out.n, STDOUT, NULL, e);
    r->out.n = 0;
    if (st == ST_OK || e->os_error != EPIPE)
        return st;
    r->reader_gone = true;
    return ST_OK;
}

static int report_write(lua_State *L)
{
    struct report *r = report_of(L);
    struct err e;
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    if (buf_append(&r->out, text, n) != ST_OK)
        return luaL_error(L, "not enough memory");
    if (r->out.n >= WRITE_AT_ONCE && flush(r, &e) != ST_OK)
        return script_raise(L, &e);
    return 0;
}

static int report_usage(lua_State *L)
{
    return script_usage(L, "%s", luaL_checkstring(L, 1));
}

/* An error that a report may catch. */
static int fail(lua_State *L, const struct err *e)
{
    failure_push(L, status_type(e->status), e->message);
    return lua_error(L);
}

static int report_fail(lua_State *L)
{
    failure_push(L, status_type(ST_CORRUPT), luaL_checkstring(L, 1));
    return lua_error(L);
}

/* --- journals --- */

static int report_open(lua_State *L)
{
    const struct report *r = report_of(L);
    struct err e;
    enum status st = r->host->open(r->host->context, luaL_optstring(L, 1, NULL),
                                   lua_toboolean(L, 2), &e);
    if (st != ST_OK) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    lua_pushboolean(L, true);
    return 1;
}

/* The arguments from `first` as an encoded array in `out`. */
static enum status put_params(lua_State *L, int first, struct buf *out)
{
    struct script *s = script_of(L);
    int last = lua_gettop(L);
    out->n = 0;
    enum status st = val_put_array(out, (uint64_t)(last - first + 1));
    for (int i = first; i <= last && st == ST_OK; i++)
        st = lua_isnil(L, i) ? val_put_null(out) : value_encode(&s->encoder, L, i, out);
    return st;
}

static int report_query(lua_State *L)
{
    struct report *r = report_of(L);
    struct script *s = script_of(L);
    struct err e;
    const char *sql = luaL_checkstring(L, 1);
    if (put_params(L, 2, &s->bytes) != ST_OK)
        return luaL_error(L, "a parameter of a query is no scalar, or memory is out");
    r->rows.n = 0;
    if (r->host->query(r->host->context, sql, buf_slice(&s->bytes), &r->rows, &e) != ST_OK)
        return fail(L, &e);
    if (!value_push(L, buf_slice(&r->rows)))
        return luaL_error(L, "rows that do not decode");
    return 1;
}

/* decode(bytes) → value, or nil: what the journal keeps encoded */
static int report_decode(lua_State *L)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, 1, &n);
    if (!value_push(L, slice_of(bytes, n)))
        lua_pushnil(L);
    return 1;
}

static int report_driver(lua_State *L)
{
    const struct report *r = report_of(L);
    lua_pushstring(L, r->host->driver(luaL_checkstring(L, 1), (long)luaL_checkinteger(L, 2)));
    return 1;
}

/* --- files --- */

static int report_disk(lua_State *L)
{
    const struct report *r = report_of(L);
    uint64_t bytes = 0;
    bool all = r->host->disk(r->host->context, luaL_checkstring(L, 1), &bytes);
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_pushboolean(L, all);
    return 2;
}

static int report_size(lua_State *L)
{
    struct stat info;
    if (stat(luaL_checkstring(L, 1), &info) == 0 && S_ISREG(info.st_mode))
        lua_pushinteger(L, (lua_Integer)info.st_size);
    else
        lua_pushnil(L);
    return 1;
}

static int report_names(lua_State *L)
{
    lua_settop(L, 1);
    DIR *d = opendir(luaL_checkstring(L, 1));
    const struct dirent *entry;
    struct buf names = BUF_EMPTY; /* NUL-terminated: nothing may be raised while the folder is open */
    enum status st = ST_OK;
    while (d && st == ST_OK && (entry = readdir(d)))
        st = buf_append(&names, entry->d_name, strlen(entry->d_name) + 1);
    if (d)
        (void)closedir(d);
    struct report *r = report_of(L);
    buf_free(&r->bytes);
    r->bytes = names;
    if (st != ST_OK)
        return luaL_error(L, "not enough memory");
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t at = 0; at < names.n; at += strlen((const char *)names.p + at) + 1) {
        lua_pushstring(L, (const char *)names.p + at);
        lua_rawseti(L, 2, ++n);
    }
    return 1;
}

static int report_check(lua_State *L)
{
    const struct report *r = report_of(L);
    struct report_checked found = { .bytes = 0 };
    struct err e;
    const char *kind = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
    err_clear(&e);
    if (r->host->check(r->host->context, kind, path, &found, &e) != ST_OK) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)found.bytes);
    lua_setfield(L, -2, "bytes");
    if (found.checksum[0]) {
        lua_pushstring(L, found.checksum);
        lua_setfield(L, -2, "checksum");
    }
    return 1;
}

static int report_progress(lua_State *L)
{
    const struct report *r = report_of(L);
    lua_Integer total = luaL_optinteger(L, 1, 0);
    r->host->progress(r->host->context, total > 0 ? (uint64_t)total : 0);
    return 0;
}

/* --- quarantine files --- */

static enum status read_piece(int fd, const char *path, uint64_t at, size_t room, struct buf *out,
                              struct err *e)
{
    size_t got = 0;
    out->n = 0;
    if (buf_reserve(out, room) != ST_OK)
        return err_memory(e, path, room);
    enum status st = sys_pread(fd, out->p, room, at, &got, path, e);
    out->n = got;
    return st;
}

/* Whole lines of the file from `at`: as many as a piece holds, at least one. */
static enum status read_lines(int fd, const char *path, uint64_t at, struct buf *out, struct err *e)
{
    for (size_t room = READ_AT_ONCE; room <= LINE_MAX_BYTES; room *= 2) {
        enum status st = read_piece(fd, path, at, room, out, e);
        if (st != ST_OK)
            return st;
        size_t n = out->n;
        while (n > 0 && out->p[n - 1] != '\n')
            n--;
        if (n == 0 && out->n == room)
            continue;
        out->n = n > 0 ? n : out->n; /* a last line without an end is all there is */
        return ST_OK;
    }
    return err_set(e, ST_USAGE, "%s has a line of more than 64 MB from byte %llu", path,
                   (unsigned long long)at);
}

static void push_entry(lua_State *L, struct report *r, struct slice line, uint64_t at)
{
    struct err e;
    r->value.n = 0;
    if (json_to_value(line, &r->value, &e) == ST_OK && val_is_map(buf_slice(&r->value)) &&
        value_push(L, buf_slice(&r->value)))
        return;
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "broken");
    lua_pushinteger(L, (lua_Integer)at);
    lua_setfield(L, -2, "offset");
}

static void push_entries(lua_State *L, struct report *r, uint64_t at)
{
    const uint8_t *p = r->bytes.p, *end = p + r->bytes.n;
    lua_newtable(L);
    for (lua_Integer n = 1; p < end; n++) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            stop = end;
        push_entry(L, r, slice_of(p, (size_t)(stop - p)), at + (uint64_t)(p - r->bytes.p));
        lua_rawseti(L, -2, n);
        p = stop < end ? stop + 1 : end;
    }
}

static int read_quarantine(lua_State *L)
{
    struct report *r = report_of(L);
    struct err e;
    int fd = -1;
    const char *path = luaL_checkstring(L, 1);
    uint64_t at = (uint64_t)luaL_optinteger(L, 2, 0);
    enum status st = sys_open_read(path, &fd, &e);
    if (st == ST_OK)
        st = read_lines(fd, path, at, &r->bytes, &e);
    if (fd >= 0)
        (void)close(fd);
    if (st != ST_OK) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    push_entries(L, r, at);
    if (r->bytes.n == 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)(at + r->bytes.n));
    return 2;
}

/* --- texts --- */

static int report_disarm(lua_State *L)
{
    const struct report *r = report_of(L);
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    luaL_Buffer b;
    char *copy = luaL_buffinitsize(L, &b, n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = text[i] ? text[i] : '?';
    copy[n] = '\0';
    r->host->disarm(copy);
    luaL_pushresultsize(&b, n);
    return 1;
}

static int report_columns(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    lua_pushinteger(L, (lua_Integer)report_of(L)->host->columns(text, n));
    return 1;
}

static int report_cut(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    lua_Integer columns = luaL_checkinteger(L, 2);
    luaL_argcheck(L, columns >= 0 && columns <= COLUMN_MAX, 2, "a number of columns");
    (void)lua_pushlstring(L, text, report_of(L)->host->cut(text, n, (size_t)columns));
    return 1;
}

static int duration_text(lua_State *L)
{
    char text[SIZE_TEXT_MAX];
    lua_pushstring(L, duration_format(luaL_checknumber(L, 1), text));
    return 1;
}

static uint64_t check_count(lua_State *L)
{
    lua_Number n = luaL_checknumber(L, 1);
    if (lua_isinteger(L, 1)) /* exact beyond 2^53 */
        return n > 0 ? (uint64_t)lua_tointeger(L, 1) : 0;
    return n > 0 && n < 1.8e19 ? (uint64_t)n : 0;
}

static int size_text(lua_State *L)
{
    char text[SIZE_TEXT_MAX];
    lua_pushstring(L, size_format(check_count(L), text));
    return 1;
}

static int count_text(lua_State *L)
{
    char text[SIZE_TEXT_MAX];
    lua_pushstring(L, count_format(check_count(L), text));
    return 1;
}

/* --- running --- */

static void add_natives(lua_State *L, struct report *r)
{
    static const luaL_Reg functions[] = { { "open", report_open },
                                          { "query", report_query },
                                          { "driver", report_driver },
                                          { "decode", report_decode },
                                          { "disk", report_disk },
                                          { "size", report_size },
                                          { "names", report_names },
                                          { "check", report_check },
                                          { "progress", report_progress },
                                          { "read_quarantine", read_quarantine },
                                          { "write", report_write },
                                          { "usage", report_usage },
                                          { "fail", report_fail },
                                          { "disarm", report_disarm },
                                          { "columns", report_columns },
                                          { "cut", report_cut },
                                          { "duration_text", duration_text },
                                          { "size_text", size_text },
                                          { "count_text", count_text },
                                          { NULL, NULL } };
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->natives);
    lua_pushlightuserdata(L, r);
    luaL_setfuncs(L, functions, 1);
}

static int report_body(lua_State *L)
{
    struct report *r = lua_touserdata(L, 1);
    char module[64];
    lua_settop(L, 0);
    add_natives(L, r);
    (void)snprintf(module, sizeof module, "mr.report_%s", r->name);
    script_require(L, module);
    if (!value_push(L, r->argument))
        return luaL_error(L, "the report's argument does not decode");
    lua_call(L, 1, 0);
    return 0;
}

/* A report's own error comes from values that nobody's driver writes: the schema does not hold them
 * back. */
static enum status foreign(struct err *e)
{
    struct err what = *e;
    return err_set(e, ST_CORRUPT,
                   "the job's journal holds what no lmr writes, so that this cannot be told (%s)",
                   what.message);
}

enum status report_run(const char *name, struct slice argument, const struct report_host *host,
                       int fd, struct err *e)
{
    struct report r = { .name = name, .argument = argument, .host = host, .fd = fd };
    struct script_config config = { .seed_task = "report" };
    struct script *s = NULL;
    struct err late;
    err_clear(e);
    enum status st = script_open(&config, &s, e);
    if (st == ST_OK)
        st = script_protect(s, report_body, &r, e);
    if (st == ST_SCRIPT)
        st = foreign(e);
    script_close(s);
    enum status end = flush(&r, &late);
    if (st == ST_OK && end != ST_OK) {
        *e = late;
        st = end;
    }
    buf_free(&r.out);
    buf_free(&r.rows);
    buf_free(&r.bytes);
    buf_free(&r.value);
    return st;
}
