/* fuzz_wire: any bytes as what came over a worker's socket, in any pieces. Whole messages are
 * taken, looked into as the driver and the worker do, and put again; nothing may be read out of
 * bounds. */
#include "schedule/wire.h"

#include "data/codec.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A message that was taken is put and taken again: the same payload. */
static void take_again(const struct wire_message *m)
{
    struct buf out = BUF_EMPTY;
    struct wire_reader reader = WIRE_READER_EMPTY;
    struct wire_message again;
    if (wire_put(&out, m->type, m->payload, NULL) != ST_OK ||
        wire_feed(&reader, buf_slice(&out)) != ST_OK || wire_take(&reader, &again, NULL) != ST_OK ||
        again.type != m->type || !slice_equal(again.payload, m->payload))
        abort();
    wire_reader_free(&reader);
    buf_free(&out);
}

static void look_into(const struct wire_message *m)
{
    struct err err;
    struct slice error = m->payload;
    struct buf out = BUF_EMPTY;
    (void)val_get(m->payload, "error", &error);
    wire_get_err(error, &err);
    if (err.status <= ST_END || err.status >= ST_COUNT || err.type[0] == '\0')
        abort();
    if (wire_put_err(&err, &out) != ST_OK || val_check(buf_slice(&out)) != ST_OK)
        abort();
    buf_free(&out);
}

/* The first byte says how many bytes come at a time. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    struct wire_reader reader = WIRE_READER_EMPTY;
    struct wire_message m;
    enum status st = ST_END;
    for (size_t at = 1; at < size && st == ST_END; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (wire_feed(&reader, slice_of(data + at, n)) != ST_OK)
            break;
        while ((st = wire_take(&reader, &m, NULL)) == ST_OK) {
            take_again(&m);
            look_into(&m);
        }
    }
    wire_reader_free(&reader);
    return 0;
}
