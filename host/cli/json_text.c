#include "cli/json_text.h"

#include "data/json.h"

#include <inttypes.h>
#include <math.h>

static void keep_status(struct text *t, enum status status)
{
    if (t->status == ST_OK)
        t->status = status;
}

/* A comma when something stands before in the same object, then the name. */
static void begin(struct text *t, const char *name)
{
    uint8_t last = t->status == ST_OK && t->buf.n ? t->buf.p[t->buf.n - 1] : '{';
    if (last != '{' && last != '[' && last != ':' && last != '\n')
        text_add(t, ",");
    if (!name)
        return;
    if (t->status == ST_OK)
        keep_status(t, json_put_string(&t->buf, slice_str(name)));
    text_add(t, ":");
}

void json_open(struct text *t, const char *name, char bracket)
{
    begin(t, name);
    text_add_bytes(t, &bracket, 1);
}

void json_close(struct text *t, char bracket)
{
    text_add_bytes(t, &bracket, 1);
}

void json_string(struct text *t, const char *name, const char *value)
{
    begin(t, name);
    if (!value)
        text_add(t, "null");
    else if (t->status == ST_OK)
        keep_status(t, json_put_string(&t->buf, slice_str(value)));
}

void json_count(struct text *t, const char *name, uint64_t value)
{
    begin(t, name);
    text_printf(t, "%" PRIu64, value);
}

void json_integer(struct text *t, const char *name, int64_t value)
{
    begin(t, name);
    text_printf(t, "%" PRId64, value);
}

void json_number(struct text *t, const char *name, double value)
{
    char digits[NUMBER_TEXT_MAX];
    begin(t, name);
    if (isfinite(value))
        text_add_bytes(t, digits, float_format(value, digits));
    else
        text_add(t, "null");
}

void json_encoded(struct text *t, const char *name, struct slice value)
{
    begin(t, name);
    if (value.n == 0)
        text_add(t, "{}");
    else if (t->status == ST_OK)
        keep_status(t, json_from_value(value, 0, &t->buf, NULL));
}
