/* all: several aggregates over the fields of table values. */
#include "aggregate_ops.h"

static void *field_state(const struct agg_field *field, void *state)
{
    return (uint8_t *)state + field->offset;
}

static const void *const_field_state(const struct agg_field *field, const void *state)
{
    return (const uint8_t *)state + field->offset;
}

/* What each field takes of a table: the whole for count, else the field of its name; p is NULL when
 * that is absent. Both sides stand in the order of names, so one walk does; a table in another order
 * (none of ours is) only starts the walk over. */
static void cut_fields(const struct agg *a, struct slice table, struct slice *parts)
{
    struct val_cursor c;
    size_t at = 0;
    for (size_t i = 0; i < a->field_count; i++)
        parts[i] = a->fields[i].agg->ops == &agg_ops_count ? table : slice_of(NULL, 0);
    for (uint64_t n = val_map_open(table, &c); n > 0; n--) {
        struct scalar name;
        struct slice value;
        int order = -1;
        if (val_next(&c, &name) != ST_OK || val_skip(&c, &value) != ST_OK)
            return;
        if (name.kind != SC_STRING)
            continue;
        if (at > 0 && slice_compare(slice_str(a->fields[at - 1].name), name.s) >= 0)
            at = 0;
        while (at < a->field_count &&
               (order = slice_compare(slice_str(a->fields[at].name), name.s)) < 0)
            at++;
        if (at < a->field_count && order == 0 && !parts[at].p)
            parts[at] = value;
    }
}

static enum status refuse_field(const struct agg_field *field, struct err *e)
{
    char message[ERR_MESSAGE_MAX];
    if (!e)
        return ST_SCRIPT;
    memcpy(message, e->message, sizeof message);
    return err_set(e, e->status, "field \"%.200s\": %.1200s", field->name, message);
}

/* All fields are looked at before the first is folded, so that a refused value leaves no trace. */
static enum status all_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    struct slice parts[AGG_FIELDS_MAX];
    enum status status = ST_OK;
    bool empty = value.n == 2 && value.p[0] == VAL_ARRAY; /* {} is an empty array */
    if (!val_is_map(value) && !empty)
        return agg_refuse(a, "a table of fields", value, e);
    cut_fields(a, value, parts);
    for (size_t i = 0; i < a->field_count; i++)
        if (parts[i].p && agg_accepts(a->fields[i].agg, parts[i], e) != ST_OK)
            return refuse_field(&a->fields[i], e);
    for (size_t i = 0; i < a->field_count && status == ST_OK; i++) {
        const struct agg_field *field = &a->fields[i];
        if (parts[i].p)
            status = field->agg->ops->add(field->agg, field_state(field, state), parts[i], e);
    }
    return status;
}

static enum status all_merge(const struct agg *a, void *state, struct slice partial)
{
    struct val_cursor c;
    uint64_t count;
    struct slice part;
    if (agg_open_array(partial, &c, &count) != ST_OK || count != a->field_count)
        return ST_CORRUPT;
    for (size_t i = 0; i < a->field_count; i++) {
        const struct agg_field *field = &a->fields[i];
        if (val_skip(&c, &part) != ST_OK)
            return ST_CORRUPT;
        enum status status = field->agg->ops->merge(field->agg, field_state(field, state), part);
        if (status != ST_OK)
            return status;
    }
    return ST_OK;
}

static size_t all_weight(const struct agg *a, const void *state)
{
    size_t bytes = 0;
    for (size_t i = 0; i < a->field_count; i++)
        bytes += agg_weight(a->fields[i].agg, const_field_state(&a->fields[i], state));
    return bytes;
}

static enum status all_partial(const struct agg *a, const void *state, struct buf *out)
{
    enum status status = val_put_array(out, a->field_count);
    for (size_t i = 0; i < a->field_count && status == ST_OK; i++)
        status = agg_partial(a->fields[i].agg, const_field_state(&a->fields[i], state), out);
    return status;
}

static enum status all_finish(const struct agg *a, const void *state, struct buf *out)
{
    enum status status = val_put_map(out, a->field_count);
    for (size_t i = 0; i < a->field_count && status == ST_OK; i++) {
        const struct agg_field *field = &a->fields[i];
        status = val_put_str(out, field->name);
        if (status == ST_OK)
            status = field->agg->ops->finish(field->agg, const_field_state(field, state), out);
    }
    return status;
}

static void all_drop(const struct agg *a, void *state)
{
    for (size_t i = 0; i < a->field_count; i++)
        agg_drop(a->fields[i].agg, field_state(&a->fields[i], state));
}

static void all_save(const struct agg *a, const void *state, struct saver *to)
{
    save_uint(to, a->field_count);
    for (size_t i = 0; i < a->field_count; i++)
        agg_save_to(a->fields[i].agg, const_field_state(&a->fields[i], state), to);
}

static enum status all_load(const struct agg *a, void *state, struct saved *from)
{
    enum status status = ST_OK;
    saved_expect(from, a->field_count);
    for (size_t i = 0; i < a->field_count && status == ST_OK; i++)
        status = agg_load_from(a->fields[i].agg, field_state(&a->fields[i], state), from);
    return status;
}

const struct agg_ops agg_ops_all = {
    .name = "all", .needs = NEEDS_FIELDS, .size = 0,
    .add = all_add, .merge = all_merge, .weight = all_weight,
    .partial = all_partial, .finish = all_finish, .drop = all_drop,
    .save = all_save, .load = all_load,
};
