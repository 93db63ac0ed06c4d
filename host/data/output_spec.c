/* The description of an output: parsed, checked, freed. */
#include "base/size.h"
#include "base/sys.h"
#include "data/output.h"

#include <stdio.h>

static const char *const format_names[] = { "text", "tsv", "csv", "jsonl", "raw", "pairs", NULL };
static const char *const compress_names[] = { "none", "gz", "zst", "lz4", "bz2", "xz", NULL };
static const char *const option_names[] = {
    "format", "compress", "columns", "header", "write", NULL
};
static const char *const write_names[] = { "pair", "value", NULL };

enum { SHOWN_MAX = 60 };

/* Sets *index to that of `name` in `names`; else an error that says what there is. */
static enum status find_name(const char *what, struct slice name, const char *const *names,
                             unsigned *index, struct err *e)
{
    char shown[SHOWN_MAX + 1];
    size_t n = name.n < SHOWN_MAX ? name.n : SHOWN_MAX;
    for (unsigned i = 0; names[i]; i++)
        if (slice_equal(name, slice_str(names[i]))) {
            *index = i;
            return ST_OK;
        }
    for (size_t i = 0; i < n; i++)
        shown[i] = (char)(name.p[i] < 0x20 || name.p[i] == 0x7F ? '?' : name.p[i]);
    shown[n] = '\0';
    const char *near = nearest_name(shown, names);
    if (near)
        return err_set(e, ST_USAGE, "output: unknown %s \"%s\"; did you mean \"%s\"?", what, shown,
                       near);
    char known[SHOWN_MAX * 2];
    size_t at = 0;
    for (unsigned i = 0; names[i] && at < sizeof known; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", names[i]);
    return err_set(e, ST_USAGE, "output: unknown %s \"%s\"; there are %s", what, shown, known);
}

/* A string option; *index stays as it is when the field is absent. */
static enum status choice(struct slice d, const char *option, const char *const *names,
                          unsigned *index, struct err *e)
{
    struct slice value, name;
    if (!val_get(d, option, &value))
        return ST_OK;
    if (!val_as_string(value, &name))
        return err_set(e, ST_USAGE, "output: %s must be a string, got %s", option,
                       val_kind_name(value));
    return find_name(option, name, names, index, e);
}

static enum status check_options(struct slice d, struct err *e)
{
    struct val_cursor c;
    for (uint64_t n = val_map_open(d, &c); n > 0; n--) {
        struct scalar key;
        struct slice value;
        unsigned index;
        if (val_next(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK || key.kind != SC_STRING)
            return err_set(e, ST_USAGE, "output: its options need names");
        enum status status = find_name("option", key.s, option_names, &index, e);
        if (status != ST_OK)
            return status;
    }
    return ST_OK;
}

static enum status take_column(struct slice name, struct output_spec *spec, struct err *e)
{
    char *column = sys_malloc(name.n + 1);
    if (!column)
        return err_memory(e, "a column's name", name.n + 1);
    memcpy(column, name.p, name.n);
    column[name.n] = '\0';
    spec->columns[spec->ncolumns++] = column;
    return ST_OK;
}

static enum status parse_columns(struct slice d, struct output_spec *spec, struct err *e)
{
    struct slice list, element, name;
    struct val_cursor c;
    if (!val_get(d, "columns", &list))
        return ST_OK;
    uint64_t n = val_array(list, &c);
    if (n == 0 || n > OUTPUT_COLUMNS_MAX)
        return err_set(e, ST_USAGE, "output: columns must be a list of 1 to %d names",
                       OUTPUT_COLUMNS_MAX);
    for (; n > 0; n--) {
        if (val_skip(&c, &element) != ST_OK || !val_as_string(element, &name) ||
            memchr(name.p, 0, name.n))
            return err_set(e, ST_USAGE, "output: columns must be names (strings)");
        enum status status = take_column(name, spec, e);
        if (status != ST_OK)
            return status;
    }
    return ST_OK;
}

static enum status parse_header(struct slice d, struct output_spec *spec, struct err *e)
{
    struct slice value;
    if (!val_get(d, "header", &value))
        return ST_OK;
    if (value.n != 1 || (value.p[0] != VAL_TRUE && value.p[0] != VAL_FALSE))
        return err_set(e, ST_USAGE, "output: header must be true or false, got %s",
                       val_kind_name(value));
    spec->header = value.p[0] == VAL_TRUE;
    return ST_OK;
}

static enum status check_together(const struct output_spec *spec, struct err *e)
{
    bool fields = spec->format == OUT_CSV || spec->format == OUT_TSV;
    if (spec->ncolumns > 0 && !fields)
        return err_set(e, ST_USAGE, "output: columns need the format csv or tsv, not %s",
                       format_names[spec->format]);
    if (spec->header && spec->ncolumns == 0)
        return err_set(e, ST_USAGE, "output: header = true needs columns");
    if (spec->format == OUT_PAIRS && spec->write_value_only)
        return err_set(e, ST_USAGE, "output: pairs are written as pairs");
    if (spec->format == OUT_PAIRS && spec->compress != COMPRESS_NONE &&
        spec->compress != COMPRESS_LZ4)
        return err_set(e, ST_USAGE, "output: pairs can be compressed with lz4 only");
    return ST_OK;
}

static enum status parse_map(struct slice d, struct output_spec *spec, struct err *e)
{
    unsigned format = OUT_TEXT, compress = COMPRESS_NONE, write = 0;
    enum status status = check_options(d, e);
    if (status == ST_OK)
        status = choice(d, "format", format_names, &format, e);
    if (status == ST_OK)
        status = choice(d, "compress", compress_names, &compress, e);
    if (status == ST_OK)
        status = choice(d, "write", write_names, &write, e);
    if (status == ST_OK)
        status = parse_columns(d, spec, e);
    if (status == ST_OK)
        status = parse_header(d, spec, e);
    spec->format = (enum output_format)format;
    spec->compress = (enum output_compress)compress;
    spec->write_value_only = write == 1;
    return status == ST_OK ? check_together(spec, e) : status;
}

enum status output_spec_parse(struct slice description, struct output_spec *spec, struct err *e)
{
    struct slice name;
    unsigned format = OUT_TEXT;
    enum status status = ST_OK;
    memset(spec, 0, sizeof *spec);
    if (val_check(description) != ST_OK)
        return err_set(e, ST_USAGE, "output: its description does not decode");
    if (description.p[0] == VAL_NULL)
        return ST_OK;
    if (val_as_string(description, &name)) {
        status = find_name("format", name, format_names, &format, e);
        spec->format = (enum output_format)format;
    } else if (val_is_map(description)) {
        status = parse_map(description, spec, e);
    } else {
        status = err_set(e, ST_USAGE, "output: must be a format's name or a table, got %s",
                         val_kind_name(description));
    }
    if (status != ST_OK)
        output_spec_free(spec);
    return status;
}

void output_spec_free(struct output_spec *spec)
{
    for (uint32_t i = 0; i < spec->ncolumns; i++)
        sys_free(spec->columns[i]);
    memset(spec, 0, sizeof *spec);
}

const char *output_suffix(const struct output_spec *spec)
{
    static const char *const suffixes[] = { "", ".gz", ".zst", ".lz4", ".bz2", ".xz" };
    return spec->format == OUT_PAIRS ? "" : suffixes[spec->compress];
}
