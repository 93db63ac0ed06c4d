#include "aggregate_ops.h"

#include "base/size.h"
#include "base/sys.h"

#include <stdio.h>
#include <stdlib.h>

static const struct agg_ops *const all_ops[] = {
    &agg_ops_sum,    &agg_ops_count,     &agg_ops_min,  &agg_ops_max,      &agg_ops_mean,
    &agg_ops_first,  &agg_ops_last,      &agg_ops_list, &agg_ops_distinct, &agg_ops_top,
    &agg_ops_approx, &agg_ops_quantiles, &agg_ops_all,
};
enum { OPS_COUNT = sizeof all_ops / sizeof all_ops[0] };

enum { TOP_MAX = 1000000, AT_MAX = 100, NAME_MAX_SHOWN = 60 };

/* --- parsing --- */

static const struct agg_ops *find_ops(struct slice name)
{
    for (size_t i = 0; i < OPS_COUNT; i++)
        if (slice_equal(name, slice_str(all_ops[i]->name)))
            return all_ops[i];
    return NULL;
}

/* Printable, NUL-terminated copy for messages and nearest_name. */
static void short_name(struct slice s, char out[NAME_MAX_SHOWN + 1])
{
    size_t n = s.n < NAME_MAX_SHOWN ? s.n : NAME_MAX_SHOWN;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.p[i] < 0x20 || s.p[i] == 0x7F ? '?' : s.p[i]);
    out[n] = '\0';
}

static enum status unknown_name(const char *what, struct slice given, const char *const *known,
                                struct err *e)
{
    char name[NAME_MAX_SHOWN + 1];
    short_name(given, name);
    const char *near = nearest_name(name, known);
    if (near)
        return err_set(e, ST_USAGE, "unknown %s \"%s\"; did you mean \"%s\"?", what, name, near);
    char all[3 * NAME_MAX_SHOWN];
    size_t at = 0;
    for (size_t i = 0; known[i] && at < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", known[i]);
    return err_set(e, ST_USAGE, "unknown %s \"%s\"; there are %s", what, name, all);
}

static enum status unknown_ops(struct slice name, struct err *e)
{
    const char *known[OPS_COUNT + 1];
    for (size_t i = 0; i < OPS_COUNT; i++)
        known[i] = all_ops[i]->name;
    known[OPS_COUNT] = NULL;
    return unknown_name("reducer", name, known, e);
}

static enum status parse_top(struct slice d, struct agg *a, struct err *e)
{
    int64_t n = val_get_int(d, "n", 0);
    if (n < 1 || n > TOP_MAX)
        return err_set(e, ST_USAGE, "top needs n, an integer from 1 to %d", TOP_MAX);
    struct slice by;
    if (val_get(d, "by", &by) && strcmp(val_kind_name(by), "a boolean") != 0)
        return err_set(e, ST_USAGE,
                       "top's by says whether values come as { rank, value }: true or false");
    a->top_count = (uint32_t)n;
    a->top_by_rank = val_get_bool(d, "by", false);
    return ST_OK;
}

/* The standard error of HyperLogLog is 1.04 / √registers. */
static enum status parse_approx(struct slice d, struct agg *a, struct err *e)
{
    struct slice given;
    double error = val_get(d, "error", &given) ? val_get_float(d, "error", -1) : 0.01;
    if (!(error >= 0.002 && error <= 0.3))
        return err_set(e, ST_USAGE, "approx_distinct needs an error from 0.002 to 0.3");
    a->precision = 4;
    while (a->precision < 20 && 1.04 * 1.04 / (double)(1u << a->precision) > error * error)
        a->precision++;
    return ST_OK;
}

static enum status parse_quantiles(struct slice d, struct agg *a, struct err *e)
{
    struct slice list = slice_of("", 0);
    struct val_cursor c;
    (void)val_get(d, "at", &list);
    a->at_count = (size_t)val_array(list, &c);
    if (a->at_count < 1 || a->at_count > AT_MAX)
        return err_set(e, ST_USAGE, "quantiles needs a list of 1 to %d numbers from 0 to 1",
                       AT_MAX);
    a->at = sys_calloc(a->at_count, sizeof *a->at);
    if (!a->at)
        return err_memory(e, "quantiles", a->at_count * sizeof *a->at);
    for (size_t i = 0; i < a->at_count; i++) {
        struct scalar s;
        if (val_next(&c, &s) != ST_OK || (s.kind != SC_INT && s.kind != SC_FLOAT))
            return err_set(e, ST_USAGE, "quantiles needs numbers from 0 to 1");
        a->at[i] = s.kind == SC_INT ? (double)s.i : s.f;
        if (!(a->at[i] >= 0 && a->at[i] <= 1))
            return err_set(e, ST_USAGE, "quantiles needs numbers from 0 to 1, got %g", a->at[i]);
    }
    return ST_OK;
}

static enum status parse(struct slice declaration, bool nested, struct agg **out, struct err *e);

static enum status parse_field(struct val_cursor *c, struct agg *a, struct err *e)
{
    struct agg_field *field = &a->fields[a->field_count];
    struct scalar name;
    struct slice declaration;
    if (val_next(c, &name) != ST_OK || name.kind != SC_STRING || val_skip(c, &declaration) != ST_OK)
        return err_set(e, ST_USAGE, "all needs a table of name = reducer");
    if (memchr(name.s.p, 0, name.s.n))
        return err_set(e, ST_USAGE, "a field's name in all holds a NUL");
    field->name = sys_malloc(name.s.n + 1);
    if (!field->name)
        return err_memory(e, "a reducer", name.s.n + 1);
    memcpy(field->name, name.s.p, name.s.n);
    field->name[name.s.n] = '\0';
    a->field_count++;
    enum status status = parse(declaration, true, &field->agg, e);
    if (status != ST_OK)
        return status;
    field->offset = a->state_size;
    a->state_size += (field->agg->state_size + 7) / 8 * 8;
    return ST_OK;
}

static int compare_fields(const void *a, const void *b)
{
    return strcmp(((const struct agg_field *)a)->name, ((const struct agg_field *)b)->name);
}

static enum status parse_all(struct slice d, struct agg *a, struct err *e)
{
    struct slice of = slice_of("", 0);
    struct val_cursor c;
    (void)val_get(d, "of", &of);
    uint64_t n = val_map_open(of, &c);
    if (n < 1 || n > AGG_FIELDS_MAX)
        return err_set(e, ST_USAGE, "all needs a table of 1 to %d name = reducer", AGG_FIELDS_MAX);
    a->fields = sys_calloc((size_t)n, sizeof *a->fields);
    if (!a->fields)
        return err_memory(e, "a reducer", (size_t)n * sizeof *a->fields);
    enum status status = ST_OK;
    while (n-- > 0 && status == ST_OK)
        status = parse_field(&c, a, e);
    qsort(a->fields, a->field_count, sizeof *a->fields, compare_fields);
    return status;
}

/* A map's own fields: what is not known is an error, with the nearest name. */
static enum status check_options(struct slice d, const struct agg_ops *ops, struct err *e)
{
    const char *known[] = { "agg", NULL, NULL, NULL };
    struct val_cursor c;
    if (ops == &agg_ops_top) {
        known[1] = "n";
        known[2] = "by";
    } else if (ops == &agg_ops_approx) {
        known[1] = "error";
    } else if (ops == &agg_ops_quantiles) {
        known[1] = "at";
    } else if (ops == &agg_ops_all) {
        known[1] = "of";
    }
    for (uint64_t n = val_map_open(d, &c); n > 0; n--) {
        struct scalar key;
        struct slice value;
        bool found = false;
        if (val_next(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK || key.kind != SC_STRING)
            return err_set(e, ST_USAGE, "a reducer's options need names");
        for (size_t i = 0; known[i]; i++)
            found = found || slice_equal(key.s, slice_str(known[i]));
        if (!found)
            return unknown_name("option of a reducer", key.s, known, e);
    }
    return ST_OK;
}

static enum status parse_options(struct slice d, struct agg *a, struct err *e)
{
    enum status status = check_options(d, a->ops, e);
    if (status != ST_OK)
        return status;
    if (a->ops == &agg_ops_top)
        return parse_top(d, a, e);
    if (a->ops == &agg_ops_approx)
        return parse_approx(d, a, e);
    if (a->ops == &agg_ops_quantiles)
        return parse_quantiles(d, a, e);
    return a->ops == &agg_ops_all ? parse_all(d, a, e) : ST_OK;
}

static enum status parse(struct slice declaration, bool nested, struct agg **out, struct err *e)
{
    struct slice name = slice_of("", 0);
    if (!val_as_string(declaration, &name) && !val_get_string(declaration, "agg", &name))
        return err_set(e, ST_USAGE, "a reducer is a name or a table with agg, got %s",
                       val_kind_name(declaration));
    const struct agg_ops *ops = find_ops(name);
    if (!ops)
        return unknown_ops(name, e);
    if (nested && ops == &agg_ops_all)
        return err_set(e, ST_USAGE, "all cannot stand inside all");
    struct agg *a = sys_calloc(1, sizeof *a);
    if (!a)
        return err_memory(e, "a reducer", sizeof *a);
    a->ops = ops;
    a->state_size = ops->size;
    enum status status = parse_options(declaration, a, e);
    if (status != ST_OK) {
        agg_free(a);
        return status;
    }
    *out = a;
    return ST_OK;
}

enum status agg_parse(struct slice declaration, struct agg **out, struct err *e)
{
    if (val_check(declaration) != ST_OK)
        return err_set(e, ST_USAGE, "a reducer's declaration does not decode");
    return parse(declaration, false, out, e);
}

void agg_free(struct agg *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->field_count; i++) {
        sys_free(a->fields[i].name);
        agg_free(a->fields[i].agg);
    }
    sys_free(a->fields);
    sys_free(a->at);
    sys_free(a);
}

/* --- what the aggregates share --- */

enum status agg_refuse(const struct agg *a, const char *needed, struct slice value, struct err *e)
{
    return err_set(e, ST_SCRIPT, "%s needs %s, got %s", a->ops->name, needed, val_kind_name(value));
}

enum status agg_refuse_order(const struct agg *a, enum status status, struct slice value,
                             struct err *e)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (status != ST_SCRIPT)
        return status == ST_MEMORY ? err_memory(e, "a reducer's value", value.n) : status;
    if (val_next(&c, &s) == ST_OK && s.kind == SC_FLOAT)
        return err_set(e, ST_SCRIPT, "%s needs values that have an order, got nan (not a number)",
                       a->ops->name);
    return err_set(e, ST_SCRIPT,
                   "%s needs values that have an order, got a table with named fields or nan in it",
                   a->ops->name);
}

bool agg_cut_ranked(struct slice value, struct slice *rank, struct slice *what)
{
    struct val_cursor c;
    return val_array(value, &c) == 2 && val_skip(&c, rank) == ST_OK && val_skip(&c, what) == ST_OK;
}

enum status agg_open_array(struct slice partial, struct val_cursor *c, uint64_t *count)
{
    if (val_check(partial) != ST_OK || partial.p[0] != VAL_ARRAY)
        return ST_CORRUPT;
    *count = val_array(partial, c);
    return ST_OK;
}

static enum status accepts_order(const struct agg *a, struct slice value, struct err *e)
{
    struct buf key = BUF_EMPTY;
    enum status status = agg_refuse_order(a, value_to_key(value, &key, e), value, e);
    buf_free(&key);
    return status;
}

static enum status accepts_number(const struct agg *a, struct slice value, struct err *e)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK || (s.kind != SC_INT && s.kind != SC_FLOAT))
        return agg_refuse(a, "a number", value, e);
    if (a->ops == &agg_ops_quantiles && s.kind == SC_FLOAT && s.f != s.f)
        return agg_refuse_order(a, ST_SCRIPT, value, e);
    return ST_OK;
}

enum status agg_accepts(const struct agg *a, struct slice value, struct err *e)
{
    struct slice rank, what;
    switch (a->ops->needs) {
    case NEEDS_NUMBER: return accepts_number(a, value, e);
    case NEEDS_ORDER: return accepts_order(a, value, e);
    case NEEDS_RANKED:
        if (!a->top_by_rank)
            return accepts_order(a, value, e);
        return agg_cut_ranked(value, &rank, &what) ? accepts_order(a, rank, e)
                                                   : agg_refuse(a, "{ rank, value }", value, e);
    default: return ST_OK;
    }
}

/* --- the door --- */

const char *agg_name(const struct agg *a)
{
    return a->ops->name;
}

size_t agg_state_size(const struct agg *a)
{
    return a->state_size;
}

void agg_init(const struct agg *a, void *state)
{
    memset(state, 0, a->state_size);
}

enum status agg_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    return a->ops->add(a, state, value, e);
}

enum status agg_merge(const struct agg *a, void *state, struct slice partial, struct err *e)
{
    enum status status = a->ops->merge(a, state, partial);
    if (status == ST_OK)
        return ST_OK;
    if (status == ST_MEMORY)
        return err_memory(e, "a reducer's state", partial.n);
    return err_set(e, status, "a partial result of %s does not decode", a->ops->name);
}

size_t agg_weight(const struct agg *a, const void *state)
{
    return a->ops->weight ? a->ops->weight(a, state) : 0;
}

enum status agg_partial(const struct agg *a, const void *state, struct buf *out)
{
    return a->ops->partial(a, state, out);
}

enum status agg_finish(const struct agg *a, const void *state, struct buf *out, struct err *e)
{
    enum status status = a->ops->finish(a, state, out);
    return status == ST_MEMORY ? err_memory(e, "a reducer's result", out->n) : status;
}

void agg_drop(const struct agg *a, void *state)
{
    if (a->ops->drop)
        a->ops->drop(a, state);
}

void agg_save_to(const struct agg *a, const void *state, struct saver *to)
{
    a->ops->save(a, state, to);
}

enum status agg_load_from(const struct agg *a, void *state, struct saved *from)
{
    enum status status = a->ops->load(a, state, from);
    return status == ST_OK && from->failed ? ST_CORRUPT : status;
}

bool agg_is_sum(const struct agg *a)
{
    return a->ops == &agg_ops_sum;
}
