/* How one input is read: the description in a job, checked and made a struct. */
#include "base/size.h"
#include "data/input.h"

enum { NAME_MAX_BYTES = 64 };

static const char *const formats[] = {
    [IN_TEXT] = "text", [IN_JSONL] = "jsonl", [IN_CSV] = "csv",
    [IN_TSV] = "tsv",   [IN_WHOLE] = "whole", [IN_FIXED] = "fixed",
    [IN_LUA] = "lua",   [IN_PAIRS] = "pairs", NULL,
};

/* What is wrong with a name, and the nearest one that is right. */
static enum status unknown(const char *what, const char *name, const char *const *names,
                           struct err *e)
{
    const char *near = nearest_name(name, names);
    return err_set(e, ST_USAGE, "input: unknown %s \"%s\"%s%s%s", what, name,
                   near ? "; is it \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum status wrong(const char *field, const char *what, struct err *e)
{
    return err_set(e, ST_USAGE, "input: %s must be %s", field, what);
}

static enum status set_format(struct slice name, struct input_spec *spec, struct err *e)
{
    for (int i = 0; formats[i]; i++)
        if (slice_equal(name, slice_str(formats[i]))) {
            spec->format = (enum input_format)i;
            return ST_OK;
        }
    char text[NAME_MAX_BYTES];
    size_t n = name.n < sizeof text - 1 ? name.n : sizeof text - 1;
    memcpy(text, name.p, n);
    text[n] = '\0';
    return unknown("format", text, formats, e);
}

/* A byte that separates or quotes: a string of one. */
static bool one_byte(struct slice value, char *out)
{
    struct slice s;
    if (!val_as_string(value, &s) || s.n != 1)
        return false;
    *out = (char)s.p[0];
    return *out != '\n' && *out != '\r' && *out != '\0';
}

static bool as_bool(struct slice value, bool *out)
{
    struct scalar s;
    struct val_cursor c = val_cursor(value);
    if (val_next(&c, &s) != ST_OK || (s.kind != SC_TRUE && s.kind != SC_FALSE))
        return false;
    *out = s.kind == SC_TRUE;
    return true;
}

static enum status take_separator(struct slice v, struct arena *a, struct input_spec *spec,
                                  struct err *e)
{
    (void)a;
    return one_byte(v, &spec->separator) ? ST_OK : wrong("separator", "a string of one byte", e);
}

static enum status take_quote(struct slice v, struct arena *a, struct input_spec *spec,
                              struct err *e)
{
    (void)a;
    bool on;
    if (as_bool(v, &on) && !on) {
        spec->quote = '\0';
        return ST_OK;
    }
    return one_byte(v, &spec->quote) ? ST_OK
                                     : wrong("quote", "a string of one byte, or false for none", e);
}

static enum status take_header(struct slice v, struct arena *a, struct input_spec *spec,
                               struct err *e)
{
    (void)a;
    return as_bool(v, &spec->header) ? ST_OK : wrong("header", "true or false", e);
}

static enum status take_multiline(struct slice v, struct arena *a, struct input_spec *spec,
                                  struct err *e)
{
    (void)a;
    return as_bool(v, &spec->multiline) ? ST_OK : wrong("multiline", "true or false", e);
}

static enum status take_resumable(struct slice v, struct arena *a, struct input_spec *spec,
                                  struct err *e)
{
    (void)a;
    return as_bool(v, &spec->lua_resumable) ? ST_OK : wrong("resumable", "true or false", e);
}

/* A count of bytes: a positive integer, or a string such as "64K". */
static bool as_bytes(struct slice v, uint64_t *bytes)
{
    int64_t i;
    struct slice s;
    char text[NAME_MAX_BYTES];
    if (val_as_int(v, &i)) {
        *bytes = i < 0 ? 0 : (uint64_t)i;
        return i > 0;
    }
    if (!val_as_string(v, &s) || s.n >= sizeof text || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return size_parse(text, bytes) && *bytes > 0;
}

static enum status take_record_size(struct slice v, struct arena *a, struct input_spec *spec,
                                    struct err *e)
{
    (void)a;
    uint64_t bytes;
    if (!as_bytes(v, &bytes) || bytes > UINT32_MAX)
        return wrong("record_size", "a number of bytes, 1 to 4294967295", e);
    spec->record_size = (uint32_t)bytes;
    return ST_OK;
}

static enum status take_max_record(struct slice v, struct arena *a, struct input_spec *spec,
                                   struct err *e)
{
    (void)a;
    if (!as_bytes(v, &spec->max_record) || spec->max_record > SIZE_MAX / 8)
        return wrong("max_record", "a number of bytes or a size such as \"64M\"", e);
    return ST_OK;
}

static enum status copy_value(struct slice v, struct arena *a, struct slice *out, struct err *e)
{
    char *copy = arena_strndup(a, (const char *)v.p, v.n);
    if (!copy)
        return err_memory(e, "an input's description", v.n);
    *out = slice_of(copy, v.n);
    return ST_OK;
}

static enum status take_columns(struct slice v, struct arena *a, struct input_spec *spec,
                                struct err *e)
{
    struct val_cursor c;
    uint64_t n = val_array(v, &c);
    struct slice element, name;
    for (uint64_t i = 0; i < n; i++)
        if (val_skip(&c, &element) != ST_OK || !val_as_string(element, &name))
            return wrong("columns", "an array of column names", e);
    return n > 0 ? copy_value(v, a, &spec->columns, e)
                 : wrong("columns", "an array of column names", e);
}

static enum status take_types(struct slice v, struct arena *a, struct input_spec *spec,
                              struct err *e)
{
    static const char *const types[] = { "string", "number", "integer", NULL };
    static const char what[] = "a table of column = \"string\", \"number\" or \"integer\"";
    struct val_cursor c;
    struct slice key, value, name, type;
    if (!val_is_map(v))
        return wrong("types", what, e);
    uint64_t n = val_map_open(v, &c);
    for (uint64_t i = 0; i < n; i++) {
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK ||
            !val_as_string(key, &name) || !val_as_string(value, &type))
            return wrong("types", what, e);
        bool known = false;
        for (int t = 0; types[t]; t++)
            known = known || slice_equal(type, slice_str(types[t]));
        if (!known)
            return wrong("types", what, e);
    }
    return copy_value(v, a, &spec->types, e);
}

enum { OF_CSV = 1u << IN_CSV | 1u << IN_TSV, OF_ANY = ~0u >> 1 };

static const struct {
    const char *name;
    unsigned formats; /* that have it */
    enum status (*take)(struct slice v, struct arena *a, struct input_spec *spec, struct err *e);
} fields[] = {
    { "separator", OF_CSV, take_separator },
    { "quote", OF_CSV, take_quote },
    { "header", OF_CSV, take_header },
    { "multiline", OF_CSV, take_multiline },
    { "columns", OF_CSV, take_columns },
    { "types", OF_CSV, take_types },
    { "record_size", 1u << IN_FIXED, take_record_size },
    { "resumable", 1u << IN_LUA, take_resumable },
    { "max_record", OF_ANY, take_max_record },
};

enum { FIELDS = sizeof fields / sizeof *fields };

static enum status unknown_field(struct slice name, struct err *e)
{
    const char *names[FIELDS + 2];
    for (int i = 0; i < FIELDS; i++)
        names[i] = fields[i].name;
    names[FIELDS] = "format";
    names[FIELDS + 1] = NULL;
    char text[NAME_MAX_BYTES];
    size_t n = name.n < sizeof text - 1 ? name.n : sizeof text - 1;
    memcpy(text, name.p, n);
    text[n] = '\0';
    return unknown("field", text, names, e);
}

static enum status take_field(struct slice key, struct slice value, struct arena *a,
                              struct input_spec *spec, struct err *e)
{
    struct slice name;
    if (!val_as_string(key, &name))
        return err_set(e, ST_USAGE, "input: its fields have names, such as format = \"csv\"");
    if (slice_equal(name, slice_str("format")))
        return ST_OK;
    for (int i = 0; i < FIELDS; i++)
        if (slice_equal(name, slice_str(fields[i].name))) {
            if (!(fields[i].formats & 1u << spec->format))
                return err_set(e, ST_USAGE, "input: %s does not go with format \"%s\"",
                               fields[i].name, formats[spec->format]);
            return fields[i].take(value, a, spec, e);
        }
    return unknown_field(name, e);
}

/* True when one of the first `n` columns has the name. */
static bool has_column(const struct input_spec *spec, uint64_t n, struct slice name)
{
    struct val_cursor c;
    struct slice element, column;
    uint64_t count = val_array(spec->columns, &c);
    for (uint64_t i = 0; i < n && i < count; i++)
        if (val_skip(&c, &element) == ST_OK && val_as_string(element, &column) &&
            slice_equal(name, column))
            return true;
    return false;
}

static enum status check_columns(const struct input_spec *spec, struct err *e)
{
    struct val_cursor c;
    struct slice element, name;
    uint64_t n = val_array(spec->columns, &c);
    for (uint64_t i = 0; i < n; i++)
        if (val_skip(&c, &element) == ST_OK && val_as_string(element, &name) &&
            has_column(spec, i, name))
            return err_set(e, ST_USAGE, "input: columns names \"%.*s\" twice",
                           (int)(name.n < 200 ? name.n : 200), (const char *)name.p);
    return ST_OK;
}

/* Every column that has a type is one of `columns`. */
static enum status check_types(const struct input_spec *spec, struct err *e)
{
    struct val_cursor types;
    struct slice key, value, name;
    uint64_t n = val_map_open(spec->types, &types);
    for (uint64_t i = 0; i < n; i++) {
        if (val_skip(&types, &key) != ST_OK || val_skip(&types, &value) != ST_OK ||
            !val_as_string(key, &name))
            return wrong("types", "a table", e);
        if (!has_column(spec, UINT64_MAX, name))
            return err_set(e, ST_USAGE, "input: types names \"%.*s\", which is none of columns",
                           (int)(name.n < 200 ? name.n : 200), (const char *)name.p);
    }
    return ST_OK;
}

static enum status check_whole(const struct input_spec *spec, struct err *e)
{
    if (spec->format == IN_FIXED && spec->record_size == 0)
        return err_set(e, ST_USAGE, "input: format \"fixed\" needs record_size, in bytes");
    if (spec->format == IN_FIXED && spec->record_size > spec->max_record)
        return err_set(e, ST_USAGE, "input: record_size is more than max_record");
    if (spec->quote && spec->quote == spec->separator)
        return err_set(e, ST_USAGE, "input: separator and quote are the same");
    if (spec->types.n > 0 && spec->columns.n == 0 && !spec->header)
        return err_set(e, ST_USAGE, "input: types needs names: give columns, or header = true");
    enum status status = check_columns(spec, e);
    return status == ST_OK && spec->columns.n > 0 ? check_types(spec, e) : status;
}

static enum status parse_map(struct slice map, struct arena *a, struct input_spec *spec,
                             struct err *e)
{
    struct slice format, key, value;
    if (val_get(map, "format", &value)) {
        if (!val_as_string(value, &format))
            return wrong("format", "a name", e);
        enum status status = set_format(format, spec, e);
        if (status != ST_OK)
            return status;
    }
    spec->separator = spec->format == IN_TSV ? '\t' : ',';
    struct val_cursor c;
    uint64_t n = val_map_open(map, &c);
    for (uint64_t i = 0; i < n; i++) {
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK)
            return err_set(e, ST_USAGE, "input: its description does not decode");
        enum status status = take_field(key, value, a, spec, e);
        if (status != ST_OK)
            return status;
    }
    return check_whole(spec, e);
}

enum status input_spec_parse(struct slice description, struct arena *a, struct input_spec *spec,
                             struct err *e)
{
    *spec = (struct input_spec){ .format = IN_TEXT,
                                 .separator = ',',
                                 .quote = '"',
                                 .header = true,
                                 .max_record = MAX_RECORD_DEFAULT };
    struct slice name;
    if (description.n == 1 && description.p[0] == VAL_NULL)
        return ST_OK;
    if (val_is_map(description))
        return parse_map(description, a, spec, e);
    if (!val_as_string(description, &name))
        return err_set(e, ST_USAGE, "input must be a format's name or a table with format = …");
    enum status status = set_format(name, spec, e);
    spec->separator = spec->format == IN_TSV ? '\t' : ',';
    return status == ST_OK ? check_whole(spec, e) : status;
}
