/* fingerprint_code.c: see fingerprint_code.h. The layout is that of Lua 5.4's ldump.c, the instructions those of its lopcodes.h. */
#include "script/fingerprint_code.h"

#include <assert.h>
#include <lua.h>
#include <xxhash.h>

static_assert(LUA_VERSION_NUM == 504, "the layout of dumped functions is that of Lua 5.4");

enum { DEPTH_MAX = 250 }; /* of functions in functions; Lua itself takes fewer */

/* Instructions that are looked at. */
enum { OP_LOADK = 3, OP_GETUPVAL = 9, OP_SETUPVAL = 10, OP_GETTABUP = 11, OP_GETTABLE = 12, OP_GETFIELD = 14, OP_SETTABUP = 15, OP_CALL = 68, OP_TAILCALL = 69 };

/* Kinds of constants. */
enum { K_NIL = 0x00, K_FALSE = 0x01, K_TRUE = 0x11, K_INTEGER = 0x03, K_FLOAT = 0x13, K_SHORT = 0x04, K_LONG = 0x14 };

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

struct scan {
    struct reader r;
    struct code *out;
    struct buf constants; /* struct slice each: the strings; others are empty */
    enum status status;
};

/* --- bytes --- */

static const uint8_t *take(struct reader *r, size_t n)
{
    const uint8_t *p = r->p;
    if (r->bad || (size_t)(r->end - p) < n) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    return p;
}

static unsigned take_byte(struct reader *r)
{
    const uint8_t *p = take(r, 1);
    return p ? *p : 0;
}

/* Seven bits a byte, the highest first; the last byte has its eighth bit set. */
static size_t take_size(struct reader *r)
{
    size_t n = 0;
    for (;;) {
        unsigned byte = take_byte(r);
        if (r->bad || n > SIZE_MAX >> 7) {
            r->bad = true;
            return 0;
        }
        n = n << 7 | (byte & 0x7F);
        if (byte & 0x80)
            return n;
    }
}

static struct slice take_string(struct reader *r)
{
    size_t n = take_size(r);
    if (n == 0)
        return slice_of(NULL, 0);
    const uint8_t *p = take(r, n - 1);
    return slice_of(p, p ? n - 1 : 0);
}

/* --- what a function asks for by name --- */

static void keep(struct scan *s, struct buf *names, struct slice name)
{
    if (s->status == ST_OK)
        s->status = buf_append(names, &name, sizeof name);
}

static unsigned mention_of(struct slice text)
{
    static const struct { const char *word; unsigned mention; } words[] = {
        { "lookup", CODE_LOOKUP }, { "side_pairs", CODE_LOOKUP }, { "args", CODE_ARGS }, { "output", CODE_OUTPUT },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(text, slice_str(words[i].word)))
            return words[i].mention;
    return 0;
}

static uint32_t instruction(struct slice code, size_t i)
{
    uint32_t word;
    memcpy(&word, code.p + i * sizeof word, sizeof word);
    return word;
}

static unsigned op_of(uint32_t word) { return word & 0x7F; }
static unsigned a_of(uint32_t word) { return word >> 7 & 0xFF; }
static unsigned b_of(uint32_t word) { return word >> 16 & 0xFF; }
static unsigned c_of(uint32_t word) { return word >> 24; }

/* `first`: where this function's constants begin. */
static struct slice constant(const struct scan *s, size_t first, size_t i)
{
    size_t n = s->constants.n / sizeof(struct slice);
    return first + i < n ? code_name(&s->constants, first + i) : slice_of(NULL, 0);
}

/* `require` was fetched by instruction i; the next two load its argument and call it (or pcall). */
static void see_require(struct scan *s, struct slice code, size_t i, size_t first)
{
    struct slice module = slice_of(NULL, 0);
    if ((i + 2) * sizeof(uint32_t) < code.n) {
        uint32_t load = instruction(code, i + 1);
        unsigned call = op_of(instruction(code, i + 2));
        if (op_of(load) == OP_LOADK && (call == OP_CALL || call == OP_TAILCALL))
            module = constant(s, first, load >> 15);
    }
    if (module.n > 0)
        keep(s, &s->out->modules, module);
    else
        s->out->mentions |= CODE_COMPUTED_MODULE;
}

static void see_global(struct scan *s, struct slice name)
{
    if (name.n > 0)
        keep(s, &s->out->globals, name);
    else
        s->out->mentions |= CODE_ALL_GLOBALS;
}

static void see_name(struct scan *s, struct slice code, size_t i, size_t first, struct slice name)
{
    if (slice_equal(name, slice_str("require")))
        see_require(s, code, i, first);
    else if (slice_equal(name, slice_str("dofile")) || slice_equal(name, slice_str("loadfile")))
        s->out->mentions |= CODE_LOADS_FILE;
}

/* Globals are fields of the upvalue `env`, and may be fields of other tables too (_G). */
static void scan_code(struct scan *s, struct slice code, size_t first, struct code_upvalues up)
{
    for (size_t i = 0; i * sizeof(uint32_t) < code.n; i++) {
        uint32_t word = instruction(code, i);
        unsigned op = op_of(word);
        int b = (int)b_of(word);
        if (op == OP_GETTABUP || op == OP_GETFIELD) {
            struct slice name = constant(s, first, c_of(word));
            if (op == OP_GETTABUP && b == up.env)
                see_global(s, name);
            see_name(s, code, i, first, name);
        } else if (op == OP_GETTABLE && i > 0 && op_of(instruction(code, i - 1)) == OP_LOADK) { /* of more than 255 constants */
            see_name(s, code, i, first, constant(s, first, instruction(code, i - 1) >> 15));
        } else if (op == OP_SETTABUP && (int)a_of(word) == up.env) {
            see_global(s, constant(s, first, b_of(word)));
        } else if (op == OP_GETUPVAL && b == up.require) {
            see_require(s, code, i, first);
        } else if ((op == OP_GETUPVAL || op == OP_SETUPVAL) && b == up.env) {
            s->out->mentions |= CODE_ALL_GLOBALS;
        }
    }
}

/* --- the layout --- */

static void read_constant(struct scan *s)
{
    struct slice text = slice_of(NULL, 0);
    switch (take_byte(&s->r)) {
    case K_NIL: case K_FALSE: case K_TRUE:
        break;
    case K_INTEGER:
        (void)take(&s->r, sizeof(lua_Integer));
        break;
    case K_FLOAT:
        (void)take(&s->r, sizeof(lua_Number));
        break;
    case K_SHORT: case K_LONG:
        text = take_string(&s->r);
        s->out->mentions |= mention_of(text);
        break;
    default:
        s->r.bad = true;
    }
    keep(s, &s->constants, text);
}

/* What nobody counts: lines, names of locals and upvalues. A stripped dump has none. */
static void skip_debug(struct reader *r)
{
    (void)take(r, take_size(r)); /* lines */
    for (size_t n = take_size(r); n > 0 && !r->bad; n--) {
        (void)take_size(r);
        (void)take_size(r);
    }
    for (size_t n = take_size(r); n > 0 && !r->bad; n--) {
        (void)take_string(r);
        (void)take_size(r);
        (void)take_size(r);
    }
    for (size_t n = take_size(r); n > 0 && !r->bad; n--)
        (void)take_string(r);
}

/* Which of this function's upvalues is the one that its parent has as `outer`; −1: none. */
static int inner_upvalue(struct slice upvalues, int outer)
{
    if (outer < 0)
        return -1;
    for (size_t i = 0; i * 3 < upvalues.n; i++)
        if (upvalues.p[i * 3] == 0 && upvalues.p[i * 3 + 1] == outer)
            return (int)i;
    return -1;
}

/* A function; of the outermost one (depth 0) it does not count where its parent kept its upvalues. */
static void read_function(struct scan *s, struct code_upvalues up, unsigned depth)
{
    struct reader *r = &s->r;
    size_t first = s->constants.n / sizeof(struct slice);
    (void)take_string(r); /* source */
    (void)take_size(r);   /* lines */
    (void)take_size(r);
    const uint8_t *begin = r->p;
    (void)take(r, 3); /* parameters, varargs, stack */
    size_t n = take_size(r);
    struct slice code = slice_of(r->p, n > SIZE_MAX / 4 ? SIZE_MAX : n * 4);
    (void)take(r, code.n);
    for (n = take_size(r); n > 0 && !r->bad; n--)
        read_constant(s);
    const uint8_t *end = r->p;
    n = take_size(r);
    struct slice upvalues = slice_of(r->p, n * 3);
    if (n > 255 || !take(r, n * 3) || depth > DEPTH_MAX)
        r->bad = true;
    if (r->bad)
        return;
    s->out->hash = XXH3_64bits_withSeed(begin, (size_t)((depth > 0 ? r->p : end) - begin), s->out->hash);
    if (depth > 0)
        up = (struct code_upvalues){ inner_upvalue(upvalues, up.env), inner_upvalue(upvalues, up.require) };
    scan_code(s, code, first, up);
    for (n = take_size(r); n > 0 && !r->bad; n--)
        read_function(s, up, depth + 1);
    skip_debug(r);
}

/* Signature, version, format, data that finds broken line ends, three sizes, an integer, a number; then the count of upvalues. */
static void skip_header(struct reader *r)
{
    const uint8_t *signature = take(r, 4), *version = take(r, 1), *format = take(r, 1);
    (void)take(r, 6);
    const uint8_t *sizes = take(r, 3);
    (void)take(r, sizeof(lua_Integer) + sizeof(lua_Number) + 1);
    if (r->bad || memcmp(signature, LUA_SIGNATURE, 4) != 0 || *version != 0x54 || *format != 0 || sizes[0] != 4 ||
        sizes[1] != sizeof(lua_Integer) || sizes[2] != sizeof(lua_Number))
        r->bad = true;
}

enum status code_read(struct slice dump, struct code_upvalues up, struct code *out)
{
    struct scan s = { .r = { dump.p, dump.p + dump.n, false }, .out = out };
    out->hash = 0;
    out->mentions = 0;
    out->globals.n = out->modules.n = 0;
    skip_header(&s.r);
    if (!s.r.bad)
        read_function(&s, up, 0);
    buf_free(&s.constants);
    return s.status != ST_OK ? s.status : s.r.bad || s.r.p != s.r.end ? ST_CORRUPT : ST_OK;
}

void code_free(struct code *c)
{
    buf_free(&c->globals);
    buf_free(&c->modules);
}
